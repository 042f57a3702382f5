// options.secret over the transports that there are: children, TCP and Unix sockets. What attackers try is in trust_secret_test.ts.

import { assertEquals } from "@std/assert";
import { Connection, ProtocolError } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { noLeaks } from "./support/leaks.ts";
import { bytes, challenge, DIALS, LISTENS, SUPERBLOCK } from "./support/prover.ts";

const SECRET = "correct horse battery staple";

Deno.test(
  "a child that has across proves itself to who started it, and one with another secret does not get a call",
  noLeaks(async () => {
    const peer = new URL("./fixtures/trust/secret_peer.ts", import.meta.url).pathname;
    const command = (secret: string) => [Deno.execPath(), "run", "-A", peer, secret];
    const conn = Connection.fromCommand(command(SECRET), { secret: SECRET });
    assertEquals(await conn.call(() => 42), 42);
    await conn.close();
    const wrong = Connection.fromCommand(command("another"), { secret: SECRET, stderr: "null" });
    // Who is to answer first is the one that dialled, so it is the child that finds out.
    await assertRejects(() => wrong.ready(), Error, "before the handshake");
    await wrong.close();
  }),
);

/** Listens for one connection, the way that somebody does who needs no server of ours. */
async function accepting(
  listener: Deno.Listener,
  dial: (secret: string) => Connection,
): Promise<void> {
  for (const secret of [SECRET, "another"]) {
    const accepted = listener.accept().then((socket) => Connection.fromSocket(socket, { secret: SECRET }));
    const conn = dial(secret);
    const server = await accepted;
    if (secret === SECRET) assertEquals(await conn.call(() => 42), 42);
    else {
      await assertRejects(() => conn.ready(), ProtocolError, "it left before the proof was complete");
      await assertRejects(() => server.ready(), ProtocolError, "it does not know the secret");
    }
    await conn.close();
    await server.close().catch(() => {});
  }
  listener.close();
}

Deno.test(
  "a secret over TCP",
  noLeaks(() => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return accepting(listener, (secret) => Connection.fromTcp("127.0.0.1", listener.addr.port, { secret }));
  }),
);

Deno.test(
  "a secret over a Unix socket",
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/socket`;
    await accepting(Deno.listen({ transport: "unix", path }), (secret) => Connection.fromUnix(path, { secret }));
    await Deno.remove(folder, { recursive: true });
  }),
);

Deno.test(
  "a refused connection to a server with a secret has the system's reason",
  noLeaks(async () => {
    const conn = Connection.fromUnix("/nowhere/at-all", { secret: SECRET });
    await assertRejects(() => conn.ready(), Deno.errors.NotFound, "/nowhere/at-all");
    await conn.close();
  }),
);

/** A WebSocket server, and what it makes of each socket. */
function webSocketServer(accept: (socket: WebSocket) => void): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
    accept(socket);
    return response;
  });
}

Deno.test(
  "a secret over WebSockets, whether the client passes an address or a socket",
  noLeaks(async () => {
    const accepted: Connection[] = [];
    const server = webSocketServer((socket) =>
      accepted.push(Connection.fromWebSocket(socket, { secret: SECRET, expose: { answer: 42 } }))
    );
    const url = `ws://127.0.0.1:${server.addr.port}`;
    for (const dial of [() => url, () => new WebSocket(url)]) {
      const conn = Connection.fromWebSocket(dial(), { secret: SECRET });
      assertEquals(await conn.root<{ answer: number }>().answer, 42);
      await conn.close();
    }
    for (const options of [{}, { secret: "another" }]) {
      const conn = Connection.fromWebSocket(url, options);
      await assertRejects(() => conn.ready(), Error);
      await conn.close();
    }
    for (const conn of accepted.slice(0, 2)) await conn.close();
    for (const conn of accepted.slice(2)) {
      await assertRejects(() => conn.ready(), ProtocolError, "Cannot authenticate the peer");
      await conn.close();
    }
    await server.shutdown();
  }),
);

Deno.test(
  "before the proof a WebSocket carries nothing but the challenge",
  noLeaks(async () => {
    const accepted: Connection[] = [];
    const server = webSocketServer((socket) =>
      accepted.push(Connection.fromWebSocket(socket, { secret: SECRET, expose: { answer: 42 } }))
    );
    const socket = new WebSocket(`ws://127.0.0.1:${server.addr.port}`);
    socket.binaryType = "arraybuffer";
    const seen: number[] = [];
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.onmessage = ({ data }) => seen.push(...new Uint8Array(data));
    await new Promise((resolve) => socket.onopen = resolve);
    socket.send(bytes(challenge(DIALS), new Uint8Array(32), SUPERBLOCK));
    await closed;
    assertEquals(seen.length, 48);
    assertEquals(seen.slice(0, 16), [...challenge(LISTENS).subarray(0, 16)]);
    await assertRejects(() => accepted[0]!.ready(), ProtocolError, "Cannot authenticate the peer");
    await accepted[0]!.close();
    await server.shutdown();
  }),
);
