/**
 * A page that shows how busy this machine is, as long as it is open: a server that offers an object to its own page, over a WebSocket.
 *
 *   deno run -A examples/page/server.ts
 *
 * What runs in the browser is `page.ts`, bundled by `deno bundle`.
 *
 * @module
 */

import { setTimeout as wait } from "node:timers/promises";
import { Connection, getCallSignal } from "../../mod.ts";
import type { Visitor } from "./page.ts";

/** How often the load is told, in milliseconds. */
const EVERY = 500;

let visitors = 0;

/** All that a page can reach of this process. */
export const machine = {
  /** The name of this machine. */
  name: (): string => Deno.hostname(),
  /** How many processes wanted to run during the last minute, now and from then on, until the page is gone. */
  async *load(): AsyncGenerator<number> {
    const signal = getCallSignal();
    while (!signal.aborted) {
      yield Deno.loadavg()[0]!;
      await wait(EVERY, undefined, { signal }).catch(() => {});
    }
  },
};

const HTML = `<!doctype html>
<meta charset="utf-8">
<title>…</title>
<h1 id="name">…</h1>
<p id="greeting"></p>
<ol id="load"></ol>
<script type="module" src="page.js"></script>
`;

/** A server that runs. */
export interface Running extends AsyncDisposable {
  /** Where the page is. */
  readonly url: string;
}

/** Bundles the page's script. */
async function bundle(): Promise<string> {
  const file = new URL("page.ts", import.meta.url).pathname;
  const args = ["bundle", "--quiet", "--platform", "browser", file];
  const { success, stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  if (!success) throw new Error("Cannot bundle the page");
  return new TextDecoder().decode(stdout);
}

/**
 * Serves the page.
 *
 * @param port Where; 0 is any port.
 * @returns the server, which ends when it is disposed of
 */
export async function startServer(port = 0): Promise<Running> {
  const script = await bundle();
  const open = new Set<Connection>();
  const files = new Map<string, readonly [type: string, text: string]>([
    ["/", ["text/html", HTML]],
    ["/page.js", ["text/javascript", script]],
  ]);

  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    const file = files.get(pathname);
    if (file) {
      // The page needs no more than this: nothing of across is evaluated from text there.
      return new Response(file[1], {
        headers: { "content-type": file[0], "content-security-policy": "default-src 'self'" },
      });
    }
    if (pathname !== "/across") return new Response(null, { status: 404 });
    // Browsers let any page connect to any server, and only say which page it was. What is compared is where we
    // listen, not the header Host: that can be a name of the attacker's that leads here.
    if (request.headers.get("origin") !== origin) return new Response(null, { status: 403 });
    if (request.headers.get("upgrade") !== "websocket") return new Response(null, { status: 426 });
    const { socket, response } = Deno.upgradeWebSocket(request);
    void serve(Connection.fromWebSocket(socket, { expose: machine }));
    return response;
  });
  const origin = `http://127.0.0.1:${server.addr.port}`;

  async function serve(conn: Connection): Promise<void> {
    open.add(conn);
    // It may be gone at any time; that is no news.
    await conn.root<Visitor>().greet(`You are visitor ${++visitors}`).catch(() => {});
    await conn.wait();
    open.delete(conn);
    await conn.close().catch(() => {});
  }

  return {
    url: `${origin}/`,
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([...open].map((conn) => conn.close()));
      await server.shutdown();
    },
  };
}

if (import.meta.main) {
  const { url } = await startServer(8000);
  console.log(`Open ${url}`);
}
