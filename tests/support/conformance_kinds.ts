/**
 * Transports for `conformance.ts` whose dialled ends are made with `node:` modules, so that they run in any runtime.
 *
 * @module
 */

import type { Server, Socket } from "node:net";
import { createServer } from "node:net";
import { rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { tmpdir } from "node:os";
import process from "node:process";
import { createServer as createTlsServer } from "node:tls";
import type { Duplex } from "node:stream";
import { MessageChannel } from "node:worker_threads";
import type { SocketLike, TlsInit, WebSocketLike } from "../../mod.ts";
import { Connection } from "../../mod.ts";
import { commandWire } from "../../transports/command.ts";
import { portWire } from "../../transports/port.ts";
import { socketWire, tcpWire, unixWire } from "../../transports/socket.ts";
import { tlsWire } from "../../transports/tls.ts";
import { pipesWire } from "../../transports/web_streams.ts";
import { webSocketWire } from "../../transports/websocket.ts";
import type { Accepted, End, Kind, Listening } from "./conformance.ts";

/** What arrives before somebody asks for it, and the other way round. */
export class Queue<T> {
  readonly #waiting: ((item: T) => void)[] = [];
  readonly #items: T[] = [];

  /** Adds one. */
  put(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }

  /** Takes the next one. */
  take(): Promise<T> {
    const item = this.#items.shift();
    return item === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(item);
  }
}

/** An end over a socket that is there. */
export function socketEnd(socket: SocketLike, vanish: () => void): Accepted {
  return {
    wire: () => socketWire(socket),
    connection: (options) => Connection.fromSocket(socket, options),
    vanish,
  };
}

/** Ends a server, and what was never accepted. */
async function closeServer(server: Server, sockets: Iterable<{ destroy(): unknown }>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Lets a server listen. */
async function start(server: Server, path?: string): Promise<number> {
  await new Promise<void>((resolve) => path ? server.listen(path, resolve) : server.listen(0, "127.0.0.1", resolve));
  return path ? 0 : (server.address() as { port: number }).port;
}

/** A server that takes connections and says nothing. */
async function mute(path?: string): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  const port = await start(server, path);
  return { port, close: () => closeServer(server, sockets) };
}

/** Something that listens over sockets of Node's, which may be secured. */
async function socketListening(
  make: (accept: (socket: Socket) => void) => Server,
  dial: (port: number) => End,
  path?: string,
  vanish = (socket: Socket): void => void socket.destroy(),
): Promise<Listening> {
  const queue = new Queue<Socket>();
  const sockets = new Set<Socket>();
  const server = make((socket) => {
    sockets.add(socket);
    queue.put(socket);
  });
  const port = await start(server, path);
  const silent = await mute(path && `${path}.silent`);
  return {
    dial: () => dial(port),
    async accept(): Promise<Accepted> {
      const socket = await queue.take();
      return socketEnd(socket, () => vanish(socket));
    },
    silent: () => path ? unixEnd(`${path}.silent`) : dial(silent.port),
    async close(): Promise<void> {
      await silent.close();
      await closeServer(server, sockets);
      if (path) { for (const it of [path, `${path}.silent`]) rmSync(it, { force: true }); }
    },
  };
}

/** Dials over TCP. */
export const tcpEnd = (port: number): End => ({
  wire: () => tcpWire("127.0.0.1", port),
  connection: (options) => Connection.fromTcp("127.0.0.1", port, options),
});

/** Dials a Unix socket. */
export const unixEnd = (path: string): End => ({
  wire: () => unixWire(path),
  connection: (options) => Connection.fromUnix(path, options),
});

/** Dials with TLS. */
export const tlsEnd = (port: number, init: TlsInit): End => ({
  wire: () => tlsWire("localhost", port, init),
  connection: (options) => Connection.fromTls("localhost", port, { ...init, ...options }),
});

/** A port on which nobody listens: it was in use a moment ago. */
export const UNUSED_PORT: number = await (async () => {
  const { port, close } = await mute();
  await close();
  return port;
})();

/** What systems say of it. */
export const REFUSED: RegExp = /Cannot connect to \S+: .*(?:ECONNREFUSED|Connection refused|Failed to connect)/;

let count = 0;

/** A path for a socket. */
export const freshPath = (): string => `${tmpdir()}/across-${process.pid}-${++count}.sock`;

export const tcp: Kind = {
  name: "TCP",
  listen: () => socketListening((accept) => createServer({ noDelay: true }, accept), tcpEnd),
  missing: { dial: () => tcpEnd(UNUSED_PORT), reason: REFUSED },
};

export const unix: Kind = {
  name: "a Unix socket",
  listen() {
    const path = freshPath();
    return socketListening((accept) => createServer(accept), () => unixEnd(path), path);
  },
  missing: {
    dial: () => unixEnd("/nowhere/at-all"),
    reason: /Cannot connect to \/nowhere\/at-all: .*(?:ENOENT|No such file|Failed to connect)/,
  },
};

/** TLS, with a certificate for `localhost`. */
export function tls({ ca, cert, key }: { ca: string; cert: string; key: string }): Kind {
  const init = { caCerts: [ca] };
  return {
    name: "TLS",
    listen: () => socketListening((accept) => createTlsServer({ cert, key }, accept), (port) => tlsEnd(port, init)),
    missing: { dial: () => tlsEnd(UNUSED_PORT, init), reason: REFUSED },
  };
}

/** What is used of the package `ws`. */
export interface WsPackage {
  WebSocket: new (address: string) => WebSocketLike & { terminate(): void };
  WebSocketServer: new (options: { noServer: true }) => {
    handleUpgrade(request: object, socket: object, head: object, then: (socket: WebSocketLike) => void): void;
    close(): void;
  };
}

/** Dials a WebSocket, with the platform's client if it has one. */
export function webSocketEnd(port: number, ws?: WsPackage): End {
  const address = `ws://127.0.0.1:${port}/`;
  const socket = () => ws ? new ws.WebSocket(address) : address;
  return {
    wire: () => webSocketWire(socket()),
    connection: (options) => Connection.fromWebSocket(socket(), options),
  };
}

/** WebSockets of the package `ws` on the side of the server, and of the platform or the package on the other. */
export function webSocket(ws: WsPackage, client: "platform" | "ws"): Kind {
  const dial = (port: number): End => webSocketEnd(port, client === "ws" ? ws : undefined);
  return {
    name: client === "ws" ? "WebSockets of the package ws" : "the platform's WebSocket and one of the package ws",
    async listen(): Promise<Listening> {
      const queue = new Queue<Accepted>();
      const sockets = new Set<Duplex>();
      const sessions = new ws.WebSocketServer({ noServer: true });
      const server = createHttpServer();
      server.on("upgrade", (request, stream: Duplex, head) => {
        sockets.add(stream);
        sessions.handleUpgrade(request, stream, head, (socket) =>
          queue.put({
            wire: () => webSocketWire(socket),
            connection: (options) => Connection.fromWebSocket(socket, options),
            vanish: () => void stream.destroy(),
          }));
      });
      const port = await start(server);
      const silent = await mute();
      return {
        dial: () => dial(port),
        accept: () => queue.take(),
        silent: () => dial(silent.port),
        async close(): Promise<void> {
          await silent.close();
          sessions.close();
          await closeServer(server, sockets);
        },
      };
    },
    missing: { dial: () => dial(UNUSED_PORT), reason: REFUSED },
  };
}

/** What is the same for transports of which both ends are there at once. */
export function pairs<T>(
  make: () => [near: End, far: Accepted, T],
  free: (what: T) => unknown,
): () => Promise<Listening> {
  return () => {
    const queue = new Queue<Accepted>();
    const made: T[] = [];
    const dial = () => {
      const [near, far, what] = make();
      made.push(what);
      return [near, far] as const;
    };
    return Promise.resolve({
      dial(): End {
        const [near, far] = dial();
        queue.put(far);
        return near;
      },
      accept: () => queue.take(),
      silent: () => dial()[0],
      async close(): Promise<void> {
        await Promise.all(made.map(free));
      },
    });
  };
}

/** How much at once, where we decide it. */
const PIECE = 1 << 19;

/** Two ports of a channel, of the web's kind or Node's. */
export function ports(name: string, Channel: new () => { port1: MessagePort; port2: MessagePort }): Kind {
  const end = (port: MessagePort): End => ({
    wire: () => portWire(port),
    connection: (options) => Connection.fromPort(port, options),
  });
  return {
    name,
    listen: pairs(() => {
      const { port1, port2 } = new Channel();
      return [end(port1), { ...end(port2), vanish: () => port2.close() }, [port1, port2]];
    }, (both) => both.forEach((port) => port.close())),
  };
}

export const nodePorts: Kind = ports(
  "ports of node:worker_threads",
  MessageChannel as unknown as new () => { port1: MessagePort; port2: MessagePort },
);

export const pipes: Kind = {
  name: "web streams",
  listen: pairs(() => {
    // Without a pause everything would happen at once. One that has begun goes on when the stream was cancelled.
    const pauses = new Set<Promise<void>>();
    const pause = async (): Promise<void> => {
      const over = new Promise<void>((resolve) => setTimeout(resolve, 1));
      pauses.add(over);
      await over;
      pauses.delete(over);
    };
    const make = () =>
      new TransformStream<Uint8Array, Uint8Array>({
        async transform(chunk, controller): Promise<void> {
          for (let at = 0; at < chunk.length; at += PIECE) {
            if (chunk.length > 1000) await pause();
            controller.enqueue(chunk.subarray(at, at + PIECE));
          }
        },
      });
    const [there, back] = [make(), make()];
    const end = (readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): End => ({
      wire: () => pipesWire(readable, writable),
      connection: (options) => Connection.fromPipes(readable, writable, options),
    });
    let far: Connection | undefined;
    const farEnd = end(there.readable, back.writable);
    return [end(back.readable, there.writable), {
      wire: farEnd.wire,
      connection: (options) => far = farEnd.connection(options),
      vanish: () => far?.cancel(),
    }, pauses];
  }, (pauses) => Promise.all(pauses)),
};

/**
 * A child process that passes on what it reads and writes to a socket, from which the other end is taken.
 *
 * @param command Starts a program that connects its stdin and stdout with a port of this machine: `fixtures/stdio_relay.ts`.
 */
export function command(command: (port: number) => readonly string[]): Kind {
  const end = (args: readonly string[]): End => ({
    wire: () => commandWire(args, { stderr: "inherit" }),
    connection: (options) => Connection.fromCommand(args, { stderr: "inherit", ...options }),
  });
  return {
    name: "a command",
    timeout: 5_000,
    async listen(): Promise<Listening> {
      const listening = await socketListening(
        (accept) => createServer({ noDelay: true, allowHalfOpen: true }, accept),
        (port) => end(command(port)),
        undefined,
        // So that the program ends at once.
        (socket) => void socket.resetAndDestroy(),
      );
      return { ...listening, silent: () => end(["sh", "-c", "exec cat >/dev/null"]) };
    },
    missing: {
      dial: () => end(["/nowhere/at-all"]),
      reason: /Cannot start "\/nowhere\/at-all": .*(?:ENOENT|No such file|not found)/,
    },
  };
}
