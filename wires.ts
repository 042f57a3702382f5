/**
 * What the factories of `Connection` make wires with. As with `session/provision.ts`, an end that was booted has it only once across is imported there.
 *
 * @module
 */

import type { SshInit } from "./bios/ssh.ts";
import type { Options, OptionsInit } from "./protocol/options.ts";
import type { SocketLike } from "./runtime/sockets.ts";
import type { ChildLike, SpawnInit } from "./runtime/spawn.ts";
import type { TlsInit } from "./runtime/tls.ts";
import type { CommandInit } from "./transports/command.ts";
import type { PortLike } from "./transports/port.ts";
import type { Transport } from "./transports/web_streams.ts";
import type { WebSocketLike } from "./transports/websocket.ts";
import type { Wire } from "./transports/wire.ts";

/** What is known of a connection besides its options. */
export interface Kind {
  readonly wire: Wire;
  readonly acceptCalls: boolean;
  readonly steady: boolean;
}

/** What servers need of a connection. */
export interface Opened {
  wait(): Promise<void>;
  close(): Promise<void>;
  cancel(): void;
}

/** What channels need of a connection: to know when it is over without holding the process for that, and to hold it for themselves. */
export interface Watched {
  /** Waits until it is over. */
  wait(held: boolean): Promise<void>;
  /** Why nothing can be asked any more. */
  readonly over: Error | undefined;
  /** What is sent goes through it. */
  readonly link: {
    /** Has what is sent next wait for what may follow from it at once. */
    linger(): void;
    /** Has what waits leave now. */
    flush(): void;
  };
  /** Whether what is asked for from now on does not hold the process. */
  readonly caller: { quiet: boolean };
  /** Says goodbye. */
  close(): Promise<void>;
  /** What began it. */
  readonly init: { readonly hold?: { change(by: 1 | -1): void } | undefined };
}

/** See `dial.ts`, which provides it. */
export interface Wires {
  /** What is behind a connection. */
  watched(connection: object): Watched;
  /**
   * Checks options, of which `foreign` belong to the factory, and makes a wire as they say.
   *
   * @param acceptCalls What the factory has for `acceptCalls`: false where it is we who dial.
   * @param steady Whether the wire is the stdio of this process.
   */
  open(
    init: OptionsInit,
    foreign: readonly string[],
    acceptCalls: boolean,
    makeWire: (wires: Wires) => Wire,
    steady: boolean,
  ): readonly [options: Options, kind: Kind];
  /** Opens a connection over a wire. */
  connect(options: Options, kind: Kind): Opened;
  /** Lets nothing of an accepted connection through before the client has proved, within `timeout` milliseconds, that it knows a secret. */
  guarded(wire: Wire, secret: string | Uint8Array, timeout: number): Wire;
  /** For `Connection.fromTcp()`. */
  tcp(host: string, port: number): Wire;
  /** For `Connection.fromTls()`. */
  tls(host: string, port: number, init: TlsInit): Wire;
  /** For `Connection.fromUnix()`. */
  unix(path: string): Wire;
  /** For `Connection.fromSocket()`. */
  socket(socket: SocketLike): Wire;
  /** For `Connection.fromWebSocket()`. */
  webSocket(socket: string | URL | WebSocketLike): Wire;
  /** For `Connection.fromPort()`. */
  port(port: PortLike): Wire;
  /** For `Connection.fromPipes()`. */
  pipes(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): Wire;
  /** For `Connection.fromStdio()`. */
  stdio(): Wire;
  /** For `Connection.fromCommand()`. */
  command(args: readonly string[], init: CommandInit): Wire;
  /** Starts a program with piped stdin and stdout, for who wants to know how it ends. */
  spawn(
    args: readonly string[],
    init: SpawnInit,
    stderr: "piped" | "inherit",
  ): ChildLike | Promise<ChildLike>;
  /** For `Connection.fromProcess()`. */
  child(child: ChildLike): Wire;
  /** For `Connection.fromSsh()`. */
  ssh(destination: string, init: SshInit): Wire;
  /** For `Connection.fromTransport()`. */
  transport(transport: Transport): Wire;
}

let provided: Wires | undefined;

/** Makes them available. */
export function provideWires(wires: Wires): void {
  provided = wires;
}

/**
 * What was provided.
 *
 * @throws {Error} If nothing was, as across was not imported here.
 */
export function wires(): Wires {
  if (!provided) throw new Error("Cannot dial here before across is imported");
  return provided;
}
