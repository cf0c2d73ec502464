// Which dialog about files is shown.

import type { Dialog } from "../../state/tabs";
import { Close, Conflict, SaveAs } from "./Asking";
import { Graphs } from "./Graphs";
import "./files.css";

export default function Dialogs({ dialog }: { dialog: Dialog }) {
  switch (dialog.kind) {
    case "graphs":
      return <Graphs />;
    case "save":
      return <SaveAs closing={dialog.closing} />;
    case "conflict":
      return <Conflict gone={dialog.gone} closing={dialog.closing} />;
    case "close":
      return <Close />;
  }
}
