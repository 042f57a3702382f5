/**
 * The servers that `benches/servers.ts` compares, one in a process: prints where it can be reached, and ends with its stdin.
 *
 * @module
 */

import { newWebSocketRpcSession, RpcTarget } from "capnweb";
import { Connection } from "../../mod.ts";
import type { RunInit } from "../../servers/mod.ts";
import { runTcp, runUnix } from "../../servers/mod.ts";
import { api, handlerOf } from "./handlers.ts";

const [kind = "", transport = "", options = "{}"] = Deno.args;
const { secret, tls } = JSON.parse(options) as Pick<RunInit, "tls"> & { secret?: string };

const tell = (where: string | number): void => console.log(String(where));

class Target extends RpcTarget {
  add(a: number, b: number): number {
    return a + b;
  }
}

/** Sends back whatever comes. */
async function echo(): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  tell(listener.addr.port);
  for await (const conn of listener) {
    conn.setNoDelay(true);
    const serve = async () => {
      const buffer = new Uint8Array(65536);
      for (let size; (size = await conn.read(buffer)) !== null;) {
        for (let at = 0; at < size;) at += await conn.write(buffer.subarray(at, size));
      }
      conn.close();
    };
    serve().catch(() => {});
  }
}

function overWebSocket(accept: (socket: WebSocket) => void): void {
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => tell(port) }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    accept(socket);
    return response;
  });
}

async function start(): Promise<void> {
  if (kind === "echo") return await echo();
  if (kind === "capnweb") return overWebSocket((socket) => void newWebSocketRpcSession(socket, new Target()));
  if (transport === "websocket") {
    return overWebSocket((socket) => void Connection.fromWebSocket(socket, { acceptCalls: true, expose: api }));
  }
  const init = { handler: handlerOf(kind), ...(secret ? { secret } : {}), ...(tls ? { tls } : {}) };
  if (transport === "unix") {
    const path = `${await Deno.makeTempDir()}/socket`;
    await runUnix(path, { ...init, onListen: () => tell(path) });
  } else await runTcp("127.0.0.1", 0, { ...init, onListen: ({ port }) => tell(port) });
}

start();
for await (const _ of Deno.stdin.readable);
Deno.exit();
