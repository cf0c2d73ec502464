import "./styles/page.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Status } from "./panels/Status";
import { clientId } from "./protocol/client";
import { Connection, socketUrl } from "./protocol/connection";
import { Api } from "./protocol/http";
import { makeServerStore } from "./state/server";

const connection = new Connection({ url: socketUrl(location.href, clientId(sessionStorage)) });
const server = makeServerStore(new Api(), connection);
addEventListener("online", () => connection.retryNow());
connection.connect();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id root");
createRoot(root).render(
  <StrictMode>
    <Status server={server} retry={() => connection.retryNow()} />
  </StrictMode>,
);
