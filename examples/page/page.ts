/**
 * What runs in the browser, see `server.ts`.
 *
 * @module
 */

/// <reference lib="dom" />

import { Connection } from "../../mod.ts";
import type { machine } from "./server.ts";

/** All that the server can reach of a page. */
export interface Visitor {
  /** Shows a text. */
  greet(text: string): void;
}

const element = (id: string): HTMLElement => document.getElementById(id)!;

const visitor: Visitor = {
  greet(text) {
    element("greeting").textContent = text;
  },
};

const conn = Connection.fromWebSocket(new URL("across", location.href.replace(/^http/, "ws")), { expose: visitor });
const server = conn.root<typeof machine>();
document.title = element("name").textContent = await server.name();
for await (const load of server.load()) {
  const item = document.createElement("li");
  item.textContent = load.toFixed(2);
  element("load").append(item);
}
