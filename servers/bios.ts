/**
 * The handler that gives every client a bare interpreter.
 *
 * @module
 */

import { biosCommand } from "../mod.ts";
import type { OptionsInit } from "../mod.ts";
import { Options } from "../mod.ts";
import { wires } from "../wires.ts";
import { ConnectionHandler, serveWith } from "./handler.ts";
import { serveWithBios } from "./given.ts";
import { Pump } from "./pump.ts";

/**
 * Serves every client with a child process that has nothing but the BIOS: across and all modules come from the client, as with `fromSsh()`. So
 * clients of every version can be served.
 *
 * @example
 * ```ts
 * import { Connection } from "@x/across";
 * import { BiosConnectionHandler } from "@x/across/servers";
 * import { assertEquals } from "@std/assert";
 *
 * await using handler = new BiosConnectionHandler({ timeout: 10_000 });
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const accepting = listener.accept().then((socket) => handler.handleSocket(socket));
 *
 * const conn = Connection.fromTcp("127.0.0.1", listener.addr.port);
 * assertEquals(await conn.call(() => Deno.pid) === Deno.pid, false);
 * await conn.close();
 * await accepting;
 * ```
 */
export class BiosConnectionHandler extends ConnectionHandler {
  /**
   * Makes a handler, which does nothing before it gets sockets.
   *
   * @param options Of which `timeout` and `secret` count: the others are those of what the client boots.
   * @throws {TypeError} If an option makes no sense.
   */
  constructor(options: OptionsInit = {}) {
    const checked = options instanceof Options ? options : new Options(options);
    super(checked);
    const { timeout } = checked;
    serveWith(this, (wire, socket) => {
      const start = () => Promise.resolve(wires().command(biosCommand(), { stderr: "inherit" }));
      return new Pump(wire, { boots: true, timeout, start, socket, give: (given) => serveWithBios(given, timeout) });
    });
  }
}
