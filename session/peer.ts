/**
 * What the two sides of a connection tell each other about themselves, and what a side can tell about a connection.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { VERSION } from "../protocol/version.ts";
import { debugLevel } from "./debug.ts";
import { hostName, pid, runtime, runtimeVersion } from "../runtime/host.ts";

/** No timer takes more than a few weeks. Milliseconds. */
const LONGEST = 86_400_000;

/** What the peer said about itself. */
export interface PeerInfo {
  /** `deno`, `node`, `bun` or `other`. */
  readonly runtime: string;
  /** Version of the runtime. */
  readonly version: string;
  /** Version of across. */
  readonly across: string;
  /** Process id, where it is known. */
  readonly pid?: number;
  /** Host name, where it is known. */
  readonly host?: string;
}

/** The first message of each side. */
export interface Hello extends PeerInfo {
  /** Milliseconds of silence after which the sender gives up. */
  readonly timeout: number;
  /** Whether the sender takes exported modules. */
  readonly modules: boolean;
  /** Whether the sender runs what it is asked to. */
  readonly calls: boolean;
  /** Bytes of one message that the sender takes. */
  readonly limit: number;
  /** How much the sender says about itself, see `setDebugLevel()`. An end that it booted does the same. */
  readonly debug: 0 | 1 | 2;
}

/** Our own hello. */
export function makeHello(own: Pick<Hello, "timeout" | "modules" | "calls" | "limit">): Hello {
  const id = pid(), host = hostName();
  return {
    runtime,
    version: runtimeVersion,
    across: VERSION,
    ...(id === undefined ? {} : { pid: id }),
    ...(host === undefined ? {} : { host }),
    ...own,
    debug: debugLevel(),
  };
}

/**
 * Checks the peer's hello.
 *
 * @throws {ProtocolError} If it is none.
 */
export function readHello(value: unknown): Hello {
  const { timeout, modules, calls, runtime, version, across, pid, host, limit, debug } = Object(value) as Partial<
    Hello
  >;
  if (typeof timeout !== "number" || !(timeout >= 1) || typeof runtime !== "string" || typeof version !== "string") {
    throw new ProtocolError("The peer's hello makes no sense");
  }
  return {
    runtime: runtime.slice(0, 20),
    version: version.slice(0, 40),
    across: String(across).slice(0, 40),
    ...(typeof pid === "number" ? { pid } : {}),
    ...(typeof host === "string" ? { host: host.slice(0, 255) } : {}),
    timeout: timeout === Infinity ? timeout : Math.min(timeout, LONGEST),
    modules: modules === true,
    calls: calls === true,
    limit: typeof limit === "number" && limit >= 1 ? limit : LIMITS.messageSize,
    debug: debug === 1 || debug === 2 ? debug : 0,
  };
}

/** What of a hello is of interest to programs. */
export function peerInfo(
  { timeout: _timeout, modules: _modules, calls: _calls, limit: _limit, debug: _debug, ...peer }: Hello,
): PeerInfo {
  return peer;
}

/** What stacks call the peer. */
export function peerName(hello: Hello | undefined): string {
  return `host "${hello?.host ?? "?"}", process ${hello?.pid ?? "?"}`;
}

/** Counters of a connection. */
export interface ConnectionStatus {
  /** As `isConnected()`. */
  readonly connected: boolean;
  /** Bytes written, sources of across included. */
  readonly bytesSent: number;
  /** Bytes read. */
  readonly bytesReceived: number;
  /** Messages sent. */
  readonly messagesSent: number;
  /** Messages received. */
  readonly messagesReceived: number;
  /** Frames received, idle ones included. */
  readonly framesReceived: number;
  /** Calls of ours that are not answered yet. */
  readonly callsInFlight: number;
  /** Calls of the peer that have not come to an end here. */
  readonly callsRunning: number;
  /** Objects of the peer that we hold a reference to. */
  readonly referencesHeld: number;
  /** Objects of ours that the peer holds a reference to. */
  readonly referencesGiven: number;
  /** Results that are kept here because the peer may build upon them. */
  readonly resultsHeld: number;
  /** Streams and iterations, in either direction, that have not come to an end. */
  readonly streamsOpen: number;
  /** Modules that were sent to the peer. */
  readonly modulesSent: number;
  /** What the peer is; absent before the handshake. */
  readonly peer?: PeerInfo;
}
