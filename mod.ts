/**
 * across runs your own code in another JavaScript process (a child, a machine behind ssh, a peer on any two-way stream of bytes), where nothing
 * needs to be installed but a bare `deno`, `node` or `bun`.
 *
 * @example
 * ```ts
 * import { biosCommand, Connection } from "@x/across";
 * import { assertEquals } from "@std/assert";
 *
 * await using conn = Connection.fromCommand(biosCommand()); // or Connection.fromSsh("wonderland")
 * assertEquals(await conn.call((n: number) => n + 1, 41), 42);
 * ```
 *
 * @module
 */

import "./dial.ts";

export { Connection } from "./connection.ts";
export { getCallSignal, getConnection, getProxyConnection } from "./current.ts";
export { Calls, CallScope } from "./session/calls.ts";
export type { CallLimits } from "./session/scope.ts";
export type { ConnectionStatus, PeerInfo } from "./session/peer.ts";
export type { Exportable } from "./session/exchange.ts";
export { Options } from "./protocol/options.ts";
export type { OptionsInit } from "./protocol/options.ts";
export { getBios } from "./bios/script.ts";
export type { BiosInit } from "./bios/script.ts";
export { workerUrl } from "./bios/worker_url.ts";
export { biosCommand } from "./bios/command.ts";
export type { BiosCommandInit, Permissions } from "./bios/command.ts";
export type { SshInit } from "./bios/ssh.ts";
export type { CommandInit } from "./transports/command.ts";
export type { ChildLike, DenoChildLike, NodeChildLike, SpawnInit } from "./runtime/spawn.ts";
export type { DenoConnLike, NodeSocketLike, SocketLike } from "./runtime/sockets.ts";
export type { TlsInit } from "./runtime/tls.ts";
export type { NodePortLike, PortLike, WebPortLike } from "./transports/port.ts";
export type { WebSocketLike } from "./transports/websocket.ts";
export type { Transport } from "./transports/web_streams.ts";
export { copy, del, has, isProxy, keep, ref, release, set, ship } from "./session/handling.ts";
export type { Target } from "./session/handling.ts";
export { setDebugLevel } from "./session/debug.ts";
export { DisconnectError, OperationError, ProtocolError } from "./protocol/errors.ts";
export type * from "./session/types.ts";
