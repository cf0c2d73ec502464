// What is said to those who do not see the page.

import { useUi } from "../state/context";
import "../styles/unseen.css";

export function Announcer() {
  const heard = useUi((state) => state.heard);
  return (
    <div className="unseen" aria-live="polite">
      {heard}
    </div>
  );
}
