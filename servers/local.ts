/**
 * The handler that serves clients in its own process.
 *
 * @module
 */

import type { OptionsInit } from "../mod.ts";
import { Options } from "../mod.ts";
import { wires } from "../wires.ts";
import { ConnectionHandler, serveWith } from "./handler.ts";

/**
 * Serves every client in this process: calls run here and see its modules and variables. With `acceptCalls: false` clients reach nothing but
 * what `expose` names.
 *
 * @example A server that offers some functions, and nothing else
 * ```ts
 * import { Connection } from "@x/across";
 * import { LocalConnectionHandler, runTcp } from "@x/across/servers";
 * import { assertEquals } from "@std/assert";
 *
 * const api = { add: (a: number, b: number) => a + b };
 * const handler = new LocalConnectionHandler({ acceptCalls: false, expose: api });
 * const controller = new AbortController();
 * const { promise, resolve } = Promise.withResolvers<number>();
 * const running = runTcp("127.0.0.1", 0, {
 *   handler,
 *   signal: controller.signal,
 *   onListen: ({ port }) => resolve(port),
 * });
 *
 * const conn = Connection.fromTcp("127.0.0.1", await promise);
 * assertEquals(await conn.root<typeof api>().add(1, 2), 3);
 * await conn.close();
 * controller.abort();
 * await running;
 * await handler.close();
 * ```
 */
export class LocalConnectionHandler extends ConnectionHandler {
  /**
   * Makes a handler, which does nothing before it gets sockets.
   *
   * @param options Those of each connection; `acceptCalls` is true by default.
   * @throws {TypeError} If exported modules are to be accepted: they would replace those of the server itself, for all clients.
   */
  constructor(options: OptionsInit = {}) {
    const checked = options instanceof Options ? options : new Options(options);
    super(checked);
    if (checked.acceptExportedModules) {
      throw new TypeError(
        "Cannot accept exported modules in a process that clients share: pass them to a ProcessConnectionHandler",
      );
    }
    serveWith(this, (wire) => {
      const conn = wires().connect(checked, { wire, acceptCalls: checked.acceptCalls ?? true, steady: false });
      // How a client ended is its own business.
      const close = () => conn.close().catch(() => {});
      return { closed: conn.wait().then(close), close, cancel: () => conn.cancel() };
    });
  }
}
