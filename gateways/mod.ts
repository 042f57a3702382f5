/**
 * Gateways, channels and groups: sources that run elsewhere and talk to here over channels. What Python's `execnet` has, in today's JavaScript; nothing
 * needs to be installed on the far side.
 *
 * @example
 * ```ts
 * import { makeGateway } from "@x/across/gateways";
 * import { assertEquals } from "@std/assert";
 *
 * await using gateway = await makeGateway(); // or "ssh=wonderland", "socket=192.168.2.1:8888", …
 * const channel = gateway.remoteExec(`
 *   for await (const { a, b } of channel) await channel.send(a + b);
 * `);
 * await channel.send({ a: 40, b: 2 });
 * assertEquals(await channel.receive(), 42);
 * channel.close();
 * ```
 *
 * @module
 */

export { XSpec } from "./spec.ts";
export type { GatewayType, XSpecInit } from "./spec.ts";
export { defaultGroup, Group, makeGateway } from "./group.ts";
export type { GroupInit, TreeInit } from "./group.ts";
export { Gateway } from "./gateway.ts";
export type { GatewayConfiguration, RemoteFunctionSource } from "./gateway.ts";
export { Channel } from "./channel.ts";
export type { CallbackInit, FileInit, ReceiveInit, WaitInit } from "./channel.ts";
export type { ChannelFile } from "./channel_streams.ts";
export type { Offer, Peer } from "./channel_core.ts";
export { MultiChannel } from "./multi_channel.ts";
export type { QueueInit, ReceiveQueue } from "./multi_channel.ts";
export type { MapInit, MapProgress } from "./map.ts";
export { carry, joinFarEnd } from "./carrier.ts";
export type { Carriage } from "./carrier.ts";
export type { Lane } from "./lane.ts";
export { Execution, FarEnd, getChannel, openFarEnd } from "./far_end.ts";
export type { FarConfiguration, RemoteStatus, Source } from "./far_end.ts";
export type { ProcessFacts, Surroundings } from "../runtime/surroundings.ts";
export { getSocketServer } from "./socket_server.ts";
export type { SocketServerInit } from "./socket_server.ts";
export { RSync, RSyncError, RSyncFileError } from "./rsync.ts";
export type {
  RSyncEntry,
  RSyncEvent,
  RSyncGateway,
  RSyncInit,
  RSyncProgress,
  RSyncReport,
  RSyncSendInit,
  RSyncTargetInit,
} from "./rsync.ts";
export { EndOfChannelError, GatewayLostError, HostNotFound, RemoteError, TimeoutError } from "./errors.ts";
export type { ExitInfo } from "./errors.ts";
