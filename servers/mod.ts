/**
 * Servers: processes that others connect to, over TCP, TLS or Unix sockets.
 *
 * @example A server for as long as the program runs
 * ```ts ignore
 * import { ProcessConnectionHandler, runTcp } from "@x/across/servers";
 *
 * await using handler = new ProcessConnectionHandler();
 * await runTcp("0.0.0.0", 1865, { handler, secret: await Deno.readTextFile("secret") });
 * ```
 *
 * @module
 */

export { ConnectionHandler } from "./handler.ts";
export type { HandleInit } from "./handler.ts";
export { LocalConnectionHandler } from "./local.ts";
export { ProcessConnectionHandler } from "./process.ts";
export { BiosConnectionHandler } from "./bios.ts";
export { runTcp, runUnix } from "./run.ts";
export type { ListenAddress, RunInit, ServerTls } from "./run.ts";
