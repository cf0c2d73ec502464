// What opens over the canvas besides the search for a new node; what is seldom used is loaded when it is.

import { Suspense, lazy } from "react";

import { useUi } from "../state/context";
import { Announcer } from "./Announcer";
import { Join } from "./Join";
import { Menu } from "./Menu";

const Find = lazy(() => import("./Find"));
const Inside = lazy(() => import("./Inside"));
const Settings = lazy(() => import("./Settings"));

export function Openings() {
  const finding = useUi((state) => state.finding);
  const inside = useUi((state) => state.inside);
  const settings = useUi((state) => state.settings);
  return (
    <>
      <Menu />
      <Join />
      <Suspense fallback={null}>
        {finding && <Find />}
        {inside && <Inside path={inside} />}
        {settings && <Settings />}
      </Suspense>
      <Announcer />
    </>
  );
}
