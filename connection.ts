/**
 * The public connection: factories for every kind of transport, and the operations. What happens behind them is in `session/`.
 *
 * @module
 */

import type { SshInit } from "./bios/ssh.ts";
import type { Options, OptionsInit } from "./protocol/options.ts";
import { Opening } from "./protocol/superblock.ts";
import type { SocketLike } from "./runtime/sockets.ts";
import type { ChildLike } from "./runtime/spawn.ts";
import type { TlsInit } from "./runtime/tls.ts";
import { Calls, CallScope } from "./session/calls.ts";
import { Bounds } from "./session/bounds.ts";
import { followCalls } from "./session/context.ts";
import type { Exportable } from "./session/exchange.ts";
import { Extending } from "./session/extending.ts";
import { Hold } from "./session/hold.ts";
import type { ConnectionStatus } from "./session/peer.ts";
import type { CallLimits } from "./session/scope.ts";
import { Scope } from "./session/scope.ts";
import { Session } from "./session/session.ts";
import type { CommandInit } from "./transports/command.ts";
import type { PortLike } from "./transports/port.ts";
import type { Transport } from "./transports/web_streams.ts";
import type { WebSocketLike } from "./transports/websocket.ts";
import type { Wire } from "./transports/wire.ts";
import type { Kind, Wires } from "./wires.ts";
import { wires } from "./wires.ts";

const COMMAND_OPTIONS = ["cwd", "env", "clearEnv", "stderr"];
const TLS_OPTIONS = ["caCerts", "serverName", "cert", "key"];
const SSH_OPTIONS = [...COMMAND_OPTIONS, "runtime", "sshCommand", "sshArgs", "permissions"];

/** The constructor, which users have no use for. */
let connect: (begin: (connection: object) => Session) => Connection;
/** The session of a connection. */
export let sessionOf: (connection: Connection) => Session;

/**
 * A connection to another JavaScript process, in which it runs code.
 *
 * Every factory returns at once and connects in the background; operations that are issued before the handshake wait for it.
 *
 * @example Running a function in a bare interpreter
 * ```ts
 * import { biosCommand, Connection } from "@x/across";
 * import { assertEquals } from "@std/assert";
 *
 * await using conn = Connection.fromCommand(biosCommand());
 * assertEquals(await conn.call((a: number, b: number) => a + b, 1, 2), 3);
 * ```
 */
export class Connection extends Calls implements AsyncDisposable {
  readonly #session: Session;

  static {
    // Others must find it under its name where the kernel's identifiers are shortened.
    Object.defineProperty(this, "name", { value: "Connection" });
    connect = (begin) => new Connection(begin);
    sessionOf = (connection) => connection.#session;
  }

  private constructor(begin: (connection: object) => Session) {
    let session!: Session;
    super((connection) => {
      session = begin(connection);
      return session.caller;
    });
    this.#session = session;
  }

  /**
   * Connects to a server over TCP. All addresses of the host are tried.
   *
   * @param host A name or address, also of IPv6.
   * @param port The port.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is false by default.
   * @throws {TypeError} If the host is no host.
   * @throws {RangeError} If the port is no port.
   */
  static fromTcp(host: string, port: number, options: OptionsInit = {}): Connection {
    return open(options, [], false, (wires) => wires.tcp(host, port));
  }

  /**
   * Connects to a server over TLS, whose certificate is checked.
   *
   * @param host A name or address.
   * @param port The port.
   * @param options See {@linkcode OptionsInit} and {@linkcode TlsInit}; `acceptCalls` is false by default.
   * @throws {TypeError} If the host is no host, or an option makes no sense.
   * @throws {RangeError} If the port is no port.
   */
  static fromTls(host: string, port: number, options: OptionsInit & TlsInit = {}): Connection {
    return open(options, TLS_OPTIONS, false, (wires) => wires.tls(host, port, options));
  }

  /**
   * Connects to a server that listens on a Unix socket.
   *
   * @param path Where the socket is.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is false by default.
   * @throws {TypeError} If the path is no path.
   */
  static fromUnix(path: string, options: OptionsInit = {}): Connection {
    return open(options, [], false, (wires) => wires.unix(path));
  }

  /**
   * Connects over a socket that is connected already, as a listener accepts it. The connection owns it from then on.
   *
   * @param socket A `Deno.Conn`, or a socket of `node:net` or `node:tls`.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is true by default.
   * @throws {TypeError} If it is not a socket.
   *
   * @example A server and its client
   * ```ts
   * import { Connection } from "@x/across";
   * import { assertEquals } from "@std/assert";
   *
   * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
   * const serving = listener.accept().then((socket) => Connection.fromSocket(socket).wait());
   *
   * const conn = Connection.fromTcp("127.0.0.1", listener.addr.port);
   * assertEquals(await conn.call((a: number, b: number) => a + b, 1, 2), 3);
   * await conn.close();
   * await serving;
   * ```
   */
  static fromSocket(socket: SocketLike, options: OptionsInit = {}): Connection {
    return open(options, [], true, (wires) => wires.socket(socket));
  }

  /**
   * Connects over a WebSocket: one that is opened here, or one that is there, on either side. The connection owns it from then on. Whoever accepts one
   * from a page should check the `Origin` of the request first.
   *
   * @param socket Where to connect to, or a WebSocket: of the platform, of `Deno.upgradeWebSocket()`, or of the package `ws`.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is false by default, on both sides.
   * @throws {TypeError} If it is neither.
   * @throws {DOMException} If the address is not one of a WebSocket.
   */
  static fromWebSocket(socket: string | URL | WebSocketLike, options: OptionsInit = {}): Connection {
    return open(options, [], false, (wires) => wires.webSocket(socket));
  }

  /**
   * Connects over a message port: to a worker, from inside of one, or over a `MessageChannel`. The connection owns it from then on: at its end a
   * worker is terminated, a port closed.
   *
   * @param port A `Worker`, a `MessagePort`, or the global scope of a worker; also those of `node:worker_threads`.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is true by default.
   * @throws {TypeError} If it is no port.
   *
   * @example A worker that has nothing of its own
   * ```ts
   * import { Connection, workerUrl } from "@x/across";
   * import { assertEquals } from "@std/assert";
   *
   * const worker = new Worker(workerUrl(), { type: "module" });
   * await using conn = Connection.fromPort(worker, { acceptCalls: false });
   * assertEquals(await conn.call((a: number, b: number) => a + b, 1, 2), 3);
   * ```
   */
  static fromPort(port: PortLike, options: OptionsInit = {}): Connection {
    return open(options, [], true, (wires) => wires.port(port));
  }

  /**
   * Connects over a pair of web streams, for example of a process that something else started.
   *
   * @param readable What the peer writes.
   * @param writable What the peer reads.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is true by default.
   */
  static fromPipes(
    readable: ReadableStream<Uint8Array>,
    writable: WritableStream<Uint8Array>,
    options: OptionsInit = {},
  ): Connection {
    return open(options, [], true, (wires) => wires.pipes(readable, writable));
  }

  /**
   * Connects to whoever started this process, over its standard input and output. What the program prints goes to stderr from then on.
   *
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is true by default.
   */
  static fromStdio(options: OptionsInit = {}): Connection {
    return open(options, [], true, (wires) => wires.stdio(), true);
  }

  /**
   * Starts a program and connects to it over its standard input and output.
   *
   * @param args The program and its arguments, such as {@linkcode biosCommand} gives.
   * @param options See {@linkcode OptionsInit} and {@linkcode CommandInit}; `acceptCalls` is false by default.
   * @throws {TypeError} If there is no program.
   */
  static fromCommand(args: readonly string[], options: OptionsInit & CommandInit = {}): Connection {
    return open(options, COMMAND_OPTIONS, false, (wires) => wires.command(args, options));
  }

  /**
   * Runs a shell command and connects to it over its standard input and output.
   *
   * @param script What `sh -c` is to run.
   * @param options As of {@linkcode Connection.fromCommand}.
   *
   * @example A bare interpreter behind a shell
   * ```ts
   * import { Connection, getBios } from "@x/across";
   * import { assertEquals } from "@std/assert";
   *
   * await using conn = Connection.fromShell(`deno eval '${getBios().replaceAll("'", `'\\''`)}'`);
   * assertEquals(await conn.execute("1 + 1"), 2);
   * ```
   */
  static fromShell(script: string, options: OptionsInit & CommandInit = {}): Connection {
    return Connection.fromCommand(["sh", "-c", script], options);
  }

  /**
   * Connects to a child process over its standard input and output, which must be pipes. The connection owns it from then on.
   *
   * @param process A `Deno.ChildProcess`, or one of `node:child_process`.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is false by default.
   * @throws {TypeError} If the process has no pipes.
   */
  static fromProcess(process: ChildLike, options: OptionsInit = {}): Connection {
    return open(options, [], false, (wires) => wires.child(process));
  }

  /**
   * Logs in on another machine with `ssh` and boots an interpreter there, which needs to have nothing installed but itself.
   *
   * @param destination What `ssh` takes: `host`, `user@host`, or a name from its configuration.
   * @param options See {@linkcode OptionsInit} and {@linkcode SshInit}; `acceptCalls` is false by default.
   * @throws {TypeError} If the destination or an option makes no sense.
   */
  static fromSsh(destination: string, options: OptionsInit & SshInit = {}): Connection {
    return open(options, SSH_OPTIONS, false, (wires) => wires.ssh(destination, options));
  }

  /**
   * Connects over a transport of your own.
   *
   * @param transport A two-way stream of bytes.
   * @param options See {@linkcode OptionsInit}; `acceptCalls` is true by default.
   */
  static fromTransport(transport: Transport, options: OptionsInit = {}): Connection {
    return open(options, [], true, (wires) => wires.transport(transport));
  }

  /**
   * Waits for the handshake.
   *
   * @returns This connection, so that `await using conn = await Connection.fromCommand(…).ready()` can be written. When it rejects, everything is freed.
   * @throws {Error} With what went wrong: the error of connecting, how the command ended and the end of its stderr, …
   * @throws {DisconnectError} If the connection was closed or cancelled meanwhile.
   */
  async ready(): Promise<this> {
    await this.#session.ready();
    return this;
  }

  /**
   * Makes modules, and all that they import by relative path, importable on the other side, and lets their functions and classes travel by name.
   *
   * @param module URLs of modules, as `import.meta.resolve()` gives them; URLs that end in `/`, for all below; or the `import.meta` of a module that runs.
   * @param bindings Functions and classes of a single module by their names, where it cannot be imported to find out.
   * @throws {OperationError} If the peer does not accept exported modules, or a module cannot be read.
   *
   * @example
   * ```ts
   * import { biosCommand, Connection } from "@x/across";
   * import { census } from "./examples/census/census.ts";
   *
   * await using conn = Connection.fromCommand(biosCommand());
   * await conn.export(import.meta.resolve("./examples/census/census.ts"));
   * console.log(await conn.call(census, "."));
   * ```
   */
  export(module: Exportable | readonly Exportable[], bindings?: object): Promise<void> {
    return this.#session.export(Array.isArray(module) ? module : [module as Exportable], bindings);
  }

  /**
   * The same operations under a signal, a deadline, or both.
   *
   * @param overrides What bounds the calls, see {@linkcode CallLimits}.
   * @throws {TypeError} If an option is unknown or of the wrong type.
   * @throws {RangeError} If the timeout is no number of milliseconds.
   *
   * @example
   * ```ts
   * import { biosCommand, Connection } from "@x/across";
   *
   * await using conn = Connection.fromCommand(biosCommand());
   * const slow = () => new Promise<void>(() => {});
   * await conn.with({ timeout: 50 }).call(slow).catch((error) => console.log(error.name)); // TimeoutError
   * ```
   */
  with(overrides: CallLimits): CallScope {
    return new CallScope(new Scope(this.#session.caller, overrides));
  }

  /** Whether the handshake is done and nothing has ended the connection since. */
  isConnected(): boolean {
    return this.#session.connected;
  }

  /** Ends the connection at once, without a goodbye, and kills the child. At any time, from anywhere; `close()` afterwards is clean. */
  cancel(): void {
    this.#session.cancel();
  }

  /**
   * Says goodbye and frees everything. Calls that wait are rejected at once.
   *
   * @throws {Error} Once, with the first fatal error since the handshake, unless `ready()` threw that already.
   */
  close(): Promise<void> {
    return this.#session.close();
  }

  /** Waits until the connection has ended, however that happens. Never rejects. */
  wait(): Promise<void> {
    return this.#session.wait();
  }

  /** Counters, for monitoring and tests. */
  status(): ConnectionStatus {
    return this.#session.status();
  }

  /** As `close()`, but does not throw what a call threw already. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#session.close();
    } catch (error) {
      if (!this.#session.told) throw error;
    }
  }
}

/**
 * Opens a connection, once its options turned out to make sense.
 *
 * @param init The options.
 * @param foreign Names of those that belong to the factory.
 * @param acceptCalls Whether the peer may start things here, unless the options say otherwise.
 * @param makeWire Makes what it is to speak over.
 * @param steady Whether that is the stdio of this process.
 */
function open(
  init: OptionsInit,
  foreign: readonly string[],
  acceptCalls: boolean,
  makeWire: (wires: Wires) => Wire,
  steady = false,
): Connection {
  return openConnection(...wires().open(init, foreign, acceptCalls, makeWire, steady));
}

/** Opens a connection over a wire. */
export function openConnection(options: Options, { wire, acceptCalls, steady }: Kind): Connection {
  return connect((connection) => {
    const bounds = new Bounds(options.maxMessageSize);
    const session: Session = new Session({
      wire,
      acceptCalls,
      hold: new Hold(wire, steady),
      options,
      connection,
      opening: new Opening(),
      beforeCall: (link) => followCalls() ?? bounds.thinned(link),
      keep: (bytes, segments) => bounds.keep(bytes, segments),
      // The end of a process is seen, so what is behind its pipes may be silent as long as it may be busy.
      extending: (link, heartbeat) =>
        new Extending(link, options.timeout, heartbeat, () => !!wire.describe && session.caller.inFlight > 0),
    });
    return session;
  });
}

/** The connection for a session that a BIOS began. */
export function connectionOf(session: object): Connection {
  return connect(() => session as Session);
}
