// Pictures that are looked at, one or two; what draws them is loaded when it is first wanted.

import "../gallery.css";

import { Suspense, lazy } from "react";

import { useUi } from "../../state/context";
import { Marked } from "./Marked";

const Viewer = lazy(() => import("./Viewer"));
const Compare = lazy(() => import("./Compare"));

export function Looking() {
  const shown = useUi((state) => state.shown);
  const compared = useUi((state) => state.compared);
  const gallery = useUi((state) => state.panel === "gallery");
  return (
    <>
      {!gallery && <Marked floating />}
      <Suspense fallback={null}>
        {shown && <Viewer shown={shown} />}
        {compared && <Compare pictures={compared} />}
      </Suspense>
    </>
  );
}
