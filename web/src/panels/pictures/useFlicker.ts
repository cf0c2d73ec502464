// Two pictures seen by turns.

import { useCallback, useEffect, useState } from "react";

const TURN = 700; // milliseconds

interface Flicker {
  /** Whether the second picture is the one that is seen. */
  readonly second: boolean;
  readonly auto: boolean;
  readonly turn: () => void;
  readonly toggle: () => void;
}

/** By turns; by itself only where the system allows movement, or the user wants it. */
export function useFlicker(on: boolean): Flicker {
  const [second, setSecond] = useState(false);
  const [auto, setAuto] = useState(() => !matchMedia("(prefers-reduced-motion: reduce)").matches);
  const turn = useCallback(() => setSecond((now) => !now), []);
  useEffect(() => {
    if (!on || !auto) return undefined;
    const timer = setInterval(turn, TURN);
    return () => clearInterval(timer);
  }, [on, auto, turn]);
  return {
    second,
    auto,
    turn: () => {
      setAuto(false);
      turn();
    },
    toggle: () => setAuto(!auto),
  };
}
