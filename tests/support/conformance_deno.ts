/**
 * Transports for `conformance.ts` whose dialled ends are made with Deno's own means.
 *
 * @module
 */

import { connect } from "node:net";
import { Connection } from "../../mod.ts";
import { socketWire } from "../../transports/socket.ts";
import { webSocketWire } from "../../transports/websocket.ts";
import type { Accepted, End, Kind, Listening } from "./conformance.ts";
import type { Authority } from "./certificates.ts";
import {
  freshPath,
  ports,
  Queue,
  REFUSED,
  socketEnd,
  tcpEnd,
  tlsEnd,
  unixEnd,
  UNUSED_PORT,
  webSocketEnd,
} from "./conformance_kinds.ts";

/** Something that listens over sockets of Deno's. */
function listening<A extends Deno.Addr>(
  listen: () => Deno.Listener<Deno.Conn, Deno.Addr>,
  dial: (address: A) => End,
  mute: () => Deno.Listener<Deno.Conn, Deno.Addr>,
): Promise<Listening> {
  const listener = listen();
  // The system completes connections that nobody accepts.
  const silent = mute();
  const address = listener.addr as A;
  return Promise.resolve({
    dial: () => dial(address),
    async accept(): Promise<Accepted> {
      const conn = await listener.accept();
      return socketEnd(conn, () => conn.close());
    },
    silent: () => dial(silent.addr as A),
    close(): Promise<void> {
      silent.close();
      listener.close();
      return Promise.resolve();
    },
  });
}

const LOCAL = { hostname: "127.0.0.1", port: 0 } as const;

const tcpListener = (): Deno.TcpListener => Deno.listen(LOCAL);

export const denoTcp: Kind = {
  name: "TCP, with a Deno.Conn",
  listen: () => listening(tcpListener, ({ port }: Deno.NetAddr) => tcpEnd(port), tcpListener),
  missing: { dial: () => tcpEnd(UNUSED_PORT), reason: REFUSED },
};

export const denoUnix: Kind = {
  name: "a Unix socket, with a Deno.Conn",
  listen() {
    const listen = () => Deno.listen({ transport: "unix", path: freshPath() });
    return listening(listen, ({ path }: Deno.UnixAddr) => unixEnd(path), listen);
  },
};

/** TLS, with a `Deno.TlsConn` on the other side. */
export function denoTls({ ca, cert, key }: { ca: string; cert: string; key: string }): Kind {
  return {
    name: "TLS, with a Deno.TlsConn",
    listen: () =>
      listening(
        () => Deno.listenTls({ ...LOCAL, cert, key }),
        ({ port }: Deno.NetAddr) => tlsEnd(port, { caCerts: [ca] }),
        tcpListener,
      ),
  };
}

/** A socket of Node's kind on the side that dials. */
export const nodeSocket: Kind = {
  name: "a socket of node:net that connects, with a Deno.Conn",
  listen() {
    const end = (port: number): End => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      return {
        wire: () => socketWire(socket),
        connection: (options) => Connection.fromSocket(socket, { acceptCalls: false, ...options }),
      };
    };
    return listening(tcpListener, ({ port }: Deno.NetAddr) => end(port), tcpListener);
  },
};

export const denoWebSocket: Kind = {
  name: "the platform's WebSocket and that of Deno.upgradeWebSocket",
  async listen(): Promise<Listening> {
    const queue = new Queue<Accepted>();
    const server = Deno.serve({ ...LOCAL, onListen() {} }, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
      queue.put({
        wire: () => webSocketWire(socket),
        connection: (options) => Connection.fromWebSocket(socket, options),
        vanish: () => relay.cut(),
      });
      return response;
    });
    const relay = await tcpRelay(server.addr.port);
    const silent = tcpListener();
    return {
      dial: () => webSocketEnd(relay.port),
      accept: () => queue.take(),
      silent: () => webSocketEnd(silent.addr.port),
      async close(): Promise<void> {
        silent.close();
        relay.close();
        await server.shutdown();
      },
    };
  },
  missing: { dial: () => webSocketEnd(UNUSED_PORT), reason: REFUSED },
};

/** Passes on connections to a port, and can cut them. */
function tcpRelay(target: number): Promise<{ port: number; cut(): void; close(): void }> {
  const listener = tcpListener();
  const open = new Set<Deno.Conn>();
  const cut = () => {
    for (const conn of open) {
      try {
        conn.close();
      } catch {
        // It was closed when a stream of it ended.
      }
    }
    open.clear();
  };
  (async () => {
    for await (const near of listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
      open.add(near).add(far);
      near.readable.pipeTo(far.writable).catch(() => {});
      far.readable.pipeTo(near.writable).catch(() => {});
    }
  })();
  return Promise.resolve({
    port: listener.addr.port,
    cut,
    close(): void {
      listener.close();
      cut();
    },
  });
}

export const webPorts: Kind = ports("ports of a MessageChannel", MessageChannel);

/** All of them. */
export async function denoKinds({ ca, sign }: Authority): Promise<Kind[]> {
  const secured = { ca, ...await sign(["DNS:localhost"]) };
  return [denoTcp, denoUnix, denoTls(secured), nodeSocket, denoWebSocket, webPorts];
}
