/**
 * Children that have the client's socket: bytes do not pass through the server, which keeps a line to the child of its own. Over that it asks for the
 * goodbye, and by it the child ends with the server. Whether a socket can be given away is said in `runtime/give.ts`.
 *
 * @module
 */

import type { OptionsInit } from "../mod.ts";
import { biosCommand, Connection, keep } from "../mod.ts";
import type { GivenSocket } from "../runtime/give.ts";
import { spawnWith } from "../runtime/give.ts";
import { execPath } from "../runtime/host.ts";
import { deferred, ignore, within } from "../runtime/waiting.ts";
import type { Served } from "./handler.ts";
import { patienceOf } from "./handler.ts";

/** How many times within the timeout it is looked whether a client is still there, and how long there is between two looks at most, in milliseconds. */
const LOOKS = 4, LOOK = 15_000;

/** Calls back when a client has gone, and the child did not end with it for the time that it has. What has ended is looked at no more. */
function watchClient({ gone }: GivenSocket, timeout: number, { closed, cancel }: Served): void {
  let since: number | undefined;
  const timer = setInterval(() => {
    if (!gone()) since = undefined;
    else if (performance.now() - (since ??= performance.now()) >= timeout) cancel();
  }, Math.max(1, Math.min(timeout / LOOKS, LOOK)));
  closed.then(() => clearInterval(timer));
}

/** How a child ends that has the socket. */
interface Ends {
  /** Milliseconds that it has to end by itself. */
  readonly timeout: number;
  /** Resolves when it has ended. Never rejects. */
  readonly closed: Promise<void>;
  /** Asks it to say goodbye, and to end then. Must not throw. */
  ask(): void;
  /** Kills it. */
  kill(): void;
}

/** What a handler needs to know of such a child. */
function served(socket: GivenSocket, { timeout, closed, ask, kill }: Ends): Served {
  const child: Served = {
    closed,
    async close() {
      ask();
      if (!await within(patienceOf(timeout), closed)) kill();
      await closed;
    },
    cancel: kill,
  };
  if (timeout < Infinity) watchClient(socket, timeout, child);
  return child;
}

/** The descriptor of the socket behind those that the wire is moved to. */
const SOCKET = 5;

/** What a child with across runs: it takes the client for its own. */
const SERVE = `
  const { Connection } = await import("@x/across");
  const { Socket } = await import("node:net");
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  socket.unshift(head);
  const conn = Connection.fromSocket(socket, options);
  void conn.wait().then(() => conn.close()).catch(() => {});
  conn
`;

/**
 * Serves a client with a child that has our across.
 *
 * @param socket The client's.
 * @param head What was read of it already.
 * @param options Those of the connection with the client.
 * @returns what is to be known of the child
 */
export function serveWithAcross(socket: GivenSocket, head: Uint8Array, options: OptionsInit): Served {
  const { timeout = Infinity } = options;
  const child = spawnWith(biosCommand(), ["pipe", "pipe", "inherit", "ignore", "ignore", socket.fd]);
  const control = Connection.fromProcess(child, { timeout });
  const conn = keep(control.execute<Connection>(SERVE, { fd: SOCKET, head, options }));
  // Its last bytes have left when it is closed. How it ended is the client's business.
  const over = conn.then(async (it) => {
    await it.wait();
    await it.close();
  });
  const closed = over.catch(ignore).then(() => control.close()).catch(ignore);
  return served(socket, {
    timeout,
    closed,
    ask: () => void conn.then((it) => it.close()).catch(ignore),
    kill: () => control.cancel(),
  });
}

/** Runs a command that is killed when the server dies, where the system can do that, as `bios/shell.ts` has it for what it starts. */
const MORTAL = `k="setpriv --pdeathsig KILL";$k true 2>/dev/null||k=;exec $k "$@"`;

/** What is used of the server's end of the line to a child. */
interface Line {
  on(event: string, listener: () => void): unknown;
  write(text: string): unknown;
  destroy(): unknown;
}

/** The descriptors of the socket, once for each direction as for any other wire, and of the line to the server. */
const OUTPUT = 3, INPUT = 4, LINE = 5;

/**
 * What a bare child runs: stage 1 of the BIOS for Node, which does not block its thread, so that the end of the server is the end of the child at
 * any time. On the line it says that the handshake is done; anything that it hears there asks for the goodbye.
 */
const BOOT = `(async () => {
  const fs = require("node:fs");
  const { Socket } = require("node:net");
  let close = () => process.exit();
  const line = new Socket({ fd: ${LINE}, readable: true, writable: true });
  line.on("data", () => close()).on("error", () => {}).on("close", () => process.exit()).unref();
  const read = async (bytes) => {
    for (let have = 0; have < bytes.length;) {
      try {
        const size = fs.readSync(${INPUT}, bytes.subarray(have));
        if (!size) process.exit(69);
        have += size;
      } catch (error) {
        if (error.code !== "EAGAIN") process.exit(69);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    return bytes;
  };
  fs.writeSync(${OUTPUT}, "~across1 node " + process.versions.node + "~");
  let size;
  do size = Number(await read(Buffer.alloc(8))); while (!(size > 0));
  const payload = new Uint8Array(await read(Buffer.alloc(size)));
  const greeted = (end) => {
    close = end;
    line.write("!");
  };
  const kernel = require("node:zlib").inflateRawSync(payload).toString();
  Function("init", kernel)({ payload, input: ${INPUT}, output: ${OUTPUT}, greeted });
})()`;

/**
 * Serves a client with a child that has nothing but an interpreter.
 *
 * @param socket The client's, of which nothing but the superblock was read.
 * @param timeout Milliseconds that the client has for its handshake, and the child for its end.
 * @returns what is to be known of the child
 */
export function serveWithBios(socket: GivenSocket, timeout: number): Served {
  const { fd } = socket;
  const child = spawnWith(["sh", "-c", MORTAL, "sh", execPath()!, "-e", BOOT], [
    "ignore",
    2,
    "inherit",
    fd,
    fd,
    "pipe",
  ]);
  // Absent where the system had no descriptor left.
  const line = child.stdio?.[LINE] as Line | undefined;
  const kill = () => void child.kill("SIGKILL");
  const ended = deferred<void>();
  child.on("exit", ended.resolve);
  // It could not be started, or a signal could not be sent.
  child.on("error", () => child.pid || ended.resolve());
  const timer = timeout < Infinity ? setTimeout(kill, timeout) : undefined;
  line?.on("error", ignore);
  line?.on("data", () => clearTimeout(timer));
  const closed = ended.promise.then(() => {
    clearTimeout(timer);
    line?.destroy();
  });
  return served(socket, { timeout, closed, ask: () => void line?.write("!"), kill });
}
