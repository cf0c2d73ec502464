// The window of curves, loaded when it is asked for.

import { Suspense, lazy } from "react";

import { useUi } from "../state/context";

const CurveWindow = lazy(() => import("./CurveWindow"));

export function Curves() {
  const id = useUi((state) => state.curve);
  return (
    id !== null && (
      <Suspense>
        <CurveWindow key={id} id={id} />
      </Suspense>
    )
  );
}
