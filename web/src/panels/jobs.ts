// Jobs as lists of the server's, asked for again whenever something may have changed.

import { useEffect, useRef } from "react";

import { useEditor } from "../state/context";

const PAUSE = 200; // milliseconds between two askings

/** Calls the listener when jobs come, begin, end, or change their places: at once, and then not more
 * often than a few times a second. */
export function useChanges(listener: () => void): void {
  const { connection, runtime } = useEditor();
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    let waiting: ReturnType<typeof setTimeout> | undefined;
    let told = 0;
    const tell = (): void => {
      waiting ??= setTimeout(
        () => {
          waiting = undefined;
          told = Date.now();
          latest.current();
        },
        Math.max(0, told + PAUSE - Date.now()),
      );
    };
    const ends = [
      runtime.subscribe(tell),
      connection.subscribe((event) => {
        const open = event.kind === "state" && event.state.kind === "open";
        if (open || (event.kind === "server" && event.message.type === "status")) tell();
      }),
    ];
    return () => {
      clearTimeout(waiting);
      for (const end of ends) end();
    };
  }, [connection, runtime]);
}
