/**
 * The handler that gives every client a process with across of its own.
 *
 * @module
 */

import type { OptionsInit, SocketLike } from "../mod.ts";
import { biosCommand, Connection, Options } from "../mod.ts";
import type { GivenSocket } from "../runtime/give.ts";
import { dropSocket, listenUnix } from "../runtime/listen.ts";
import { privateFolder, SocketFile } from "../runtime/socket_files.ts";
import { deferred, ignore } from "../runtime/waiting.ts";
import type { Wire } from "../transports/wire.ts";
import { wires } from "../wires.ts";
import { ConnectionHandler, serveWith } from "./handler.ts";
import { serveWithAcross } from "./given.ts";
import { Pump } from "./pump.ts";

/** What the child runs: it takes the client for its own, and tells when that is over. */
const SERVE = `
  const { Connection } = await import("@x/across");
  const conn = Connection.fromUnix(path, options);
  await conn.wait();
  await conn.close().catch(() => {});
`;

/**
 * Starts a child that has our across, over a connection that it ends with, and has it connect to us once more, to be passed what a client says.
 *
 * @param options Those of the client's connection, in the child.
 * @param signal Ends the child.
 * @returns a wire to the child's second connection
 */
async function startChild(options: OptionsInit, signal: AbortSignal): Promise<Wire> {
  const { timeout = Infinity } = options;
  const control = Connection.fromCommand(biosCommand(), { stderr: "inherit", timeout });
  signal.addEventListener("abort", () => control.cancel());
  const folder = await privateFolder();
  const { promise, resolve, reject } = deferred<SocketLike>();
  promise.catch(ignore);
  /** Whether nobody is waited for any more: a child may have connected just before it was killed. */
  let over = false;
  const accept = (socket: SocketLike) => {
    if (over) return dropSocket(socket);
    over = true;
    resolve(socket);
  };
  try {
    const path = `${folder.path}/socket`;
    const listening = await listenUnix(new SocketFile(path), { accept, fail: reject });
    try {
      control.wait().then(() => {
        over = true;
        reject(new Error("The child process ended before it served its client"));
      });
      const served = control.execute(SERVE, { path, options });
      const socket = await Promise.race([promise, served.then(() => promise)]);
      return controlled(wires().socket(socket), control, served, timeout);
    } finally {
      await listening.close();
    }
  } catch (error) {
    over = true;
    promise.then(dropSocket, ignore);
    control.cancel();
    throw error;
  } finally {
    await folder.remove();
  }
}

/**
 * A wire that the child ends with, and that ends with the child: also where the child has given the client up, and that cannot be seen behind what the
 * client does not read.
 */
function controlled(wire: Wire, control: Connection, served: Promise<unknown>, timeout: number): Wire {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const gone = wire.closed.then(() => control.close()).catch(ignore);
  served.then(() => {
    if (timeout < Infinity) timer = setTimeout(() => control.cancel(), timeout);
  }, ignore);
  control.wait().then(() => {
    clearTimeout(timer);
    wire.abort();
  });
  return {
    ...wire,
    abort(reason) {
      wire.abort(reason);
      control.cancel();
    },
    closed: gone.then(() => undefined),
  };
}

/**
 * Serves every client with a child process that has across already, the one of the server. Calls of one client do not see what those of others did, and
 * can neither block them nor bring them down.
 *
 * @example
 * ```ts
 * import { Connection } from "@x/across";
 * import { ProcessConnectionHandler } from "@x/across/servers";
 * import { assertEquals } from "@std/assert";
 *
 * await using handler = new ProcessConnectionHandler({ acceptExportedModules: true });
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const accepting = listener.accept().then((socket) => handler.handleSocket(socket));
 *
 * const conn = Connection.fromTcp("127.0.0.1", listener.addr.port);
 * assertEquals(await conn.call(() => Deno.pid) === Deno.pid, false);
 * await conn.close();
 * await accepting;
 * ```
 */
export class ProcessConnectionHandler extends ConnectionHandler {
  /**
   * Makes a handler, which does nothing before it gets sockets.
   *
   * @param options Those of each connection; `acceptCalls` is true by default.
   * @throws {TypeError} If something is to be exposed: an object of this process cannot be in another one.
   */
  constructor(options: OptionsInit = {}) {
    const checked = options instanceof Options ? options : new Options(options);
    super(checked);
    const { timeout, acceptExportedModules, acceptCalls = true, maxMessageSize, expose } = checked;
    if (expose) throw new TypeError("Cannot expose an object in other processes: pass it to a LocalConnectionHandler");
    const own = { timeout, acceptExportedModules, acceptCalls, maxMessageSize };
    const start = (signal: AbortSignal) => startChild(own, signal);
    const give = (given: GivenSocket, head: Uint8Array) => serveWithAcross(given, head, own);
    serveWith(this, (wire, socket) => new Pump(wire, { boots: false, timeout, start, socket, give }));
  }
}
