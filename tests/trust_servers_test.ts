// Servers from an attacker's side, over TCP and Unix sockets: nobody who does not know the secret gets anything to run, whatever the handler.

import { assert, assertEquals } from "@std/assert";
import { Connection, ProtocolError } from "../mod.ts";
import { kernelSource } from "../bios/embedded.ts";
import { bootBytes } from "../protocol/superblock.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, descendants, noLeaks } from "./support/leaks.ts";
import { answer, bytes, challenge, DIALS, LISTENS, RawEnd, SUPERBLOCK } from "./support/prover.ts";
import type { Running } from "./support/servers.ts";
import { HANDLERS, tcpServer, unixServer } from "./support/servers.ts";

const SECRET = "a secret of these tests";

/** A stranger at the door of a server. */
async function knock({ address }: Running): Promise<RawEnd> {
  const { hostname, port } = address;
  const conn = address.transport === "tcp"
    ? await Deno.connect({ hostname, port })
    : await Deno.connect({ transport: "unix", path: hostname });
  return new RawEnd(conn.readable, conn.writable);
}

/** Runs a test for every handler, over TCP and a Unix socket, with the secret; checks that no child was ever started. */
function forAll(name: string, body: (server: Running) => Promise<void>, options: { timeout?: number } = {}): void {
  for (const [kind, make] of HANDLERS) {
    for (const transport of ["TCP", "Unix"]) {
      Deno.test(
        `${name} (${kind}, ${transport})`,
        noLeaks(async () => {
          const folder = await Deno.makeTempDir();
          const handler = make({ ...options, secret: SECRET });
          const server = transport === "TCP"
            ? await tcpServer({ handler })
            : await unixServer(`${folder}/socket`, { handler });
          const children = descendants().length;
          try {
            await body(server);
            assertEquals(descendants().length, children);
            await condition(() => handler.connections === 0, "everybody was turned away");
          } finally {
            await server.stop();
            await handler.close();
            await Deno.remove(folder, { recursive: true });
          }
        }),
      );
    }
  }
}

/** What the side that boots a BIOS would send, where the kernel leaves a trace. */
function bootingBytes(mark: string): Uint8Array<ArrayBuffer> {
  const kernel = bootBytes(kernelSource()); // a real one, and then a short one that does harm
  const script = `Deno.writeTextFileSync(${JSON.stringify(mark)}, "run")`;
  return bytes(SUPERBLOCK, kernel, String(script.length).padStart(8, "0"), script);
}

forAll("a client without the secret gets no code run and no child started", async (server) => {
  const mark = await Deno.makeTempFile();
  const sent = bootingBytes(mark);
  for (const before of [bytes(), challenge(DIALS), challenge(LISTENS), bytes(challenge(DIALS), new Uint8Array(32))]) {
    const raw = await knock(server);
    await raw.write(before, sent);
    await raw.rest();
    await raw.close();
  }
  const conn = server.port
    ? Connection.fromTcp("127.0.0.1", server.port)
    : Connection.fromUnix(server.address.hostname);
  await assertRejects(
    () => conn.execute(`Deno.writeTextFileSync(${JSON.stringify(mark)}, "run")`),
    Error,
    "Connection was aborted",
  );
  await conn.close().catch(() => {});
  assertEquals(await Deno.readTextFile(mark), "");
  await Deno.remove(mark);
});

forAll("a client with a wrong secret is turned away, and errors name neither", async ({ address, port }) => {
  const options = { secret: "wrong, but long enough to be found" };
  const conn = port ? Connection.fromTcp("127.0.0.1", port, options) : Connection.fromUnix(address.hostname, options);
  const error = await assertRejects(() => conn.ready(), ProtocolError, "Cannot authenticate the peer");
  for (const secret of [SECRET, options.secret]) assert(!`${error.message}${error.stack}`.includes(secret));
  await conn.close();
});

forAll("a stranger learns the version and a nonce, and nothing else", async (server) => {
  const seen = new Set<string>();
  for (
    const sent of [bytes(), SUPERBLOCK, bytes("GET / HTTP/1.1\r\n\r\n"), bytes(challenge(DIALS), new Uint8Array(32))]
  ) {
    const raw = await knock(server);
    const first = await raw.read(48);
    assertEquals(first.subarray(0, 16), challenge(LISTENS).subarray(0, 16));
    seen.add(first.subarray(16).join());
    await raw.write(sent);
    await raw.end();
    assertEquals(await raw.rest(), bytes());
    await raw.close();
  }
  assertEquals(seen.size, 4);
});

forAll("replayed, reflected and truncated proofs are turned away", async (server) => {
  const good = await knock(server);
  const mine = challenge(DIALS);
  const theirs = await good.read(48);
  const proof = bytes(mine, answer(SECRET, DIALS, mine, theirs));
  await good.write(proof);
  assertEquals(await good.read(32), answer(SECRET, LISTENS, mine, theirs));
  await good.close();
  for (const size of [80, 79, 49, 48, 12, 1, 0]) {
    const raw = await knock(server);
    await raw.read(48);
    await raw.write(proof.subarray(0, size));
    await raw.end();
    assertEquals(await raw.rest(), bytes(), `replayed ${size} bytes`);
    await raw.close();
  }
  const raw = await knock(server);
  await raw.write(await raw.read(48));
  assertEquals(await raw.rest(), bytes());
  await raw.close();
});

forAll("two connections of a stranger cannot be made to answer each other", async (server) => {
  const [one, other] = await Promise.all([knock(server), knock(server)]);
  // A wire between the two, which also tries to change the parts that they play.
  const [first, second] = await Promise.all([one.read(48), other.read(48)]);
  first[12] = DIALS;
  await Promise.all([one.write(second), other.write(first)]);
  await Promise.all([one.end(), other.end()]);
  assertEquals(await Promise.all([one.rest(), other.rest()]), [bytes(), bytes()]);
  await Promise.all([one.close(), other.close()]);
});

forAll("who says nothing, or trickles, is dropped after the timeout", async (server) => {
  const [silent, trickling] = await Promise.all([knock(server), knock(server)]);
  const dropped = Promise.all([silent.rest(), trickling.rest()]);
  let over = false;
  dropped.then(() => over = true);
  const mine = challenge(DIALS);
  let sent = 0;
  await condition(async () => {
    if (sent < 47) await trickling.write(mine.subarray(sent, ++sent));
    return over;
  }, "both are dropped");
  assertEquals((await dropped).map(({ length }) => length), [48, 48]);
  await Promise.all([silent.close(), trickling.close()]);
}, { timeout: 300 });

for (const [kind, make] of HANDLERS) {
  Deno.test(
    `where no secret is wanted, who says nothing, or trickles, is dropped after the timeout, and costs no child (${kind})`,
    noLeaks(async () => {
      await using handler = make({ timeout: 300 });
      const server = await tcpServer({ handler });
      const children = descendants().length;
      for (const sent of [bytes(), SUPERBLOCK.subarray(0, 15), bytes("GET / HTTP/1.1\r\n\r\n")]) {
        const raw = await knock(server);
        for (const byte of sent) await raw.write(byte);
        await raw.rest();
        await raw.close();
      }
      assertEquals(descendants().length, children);
      // One that goes on to trickle has a child for as long.
      const raw = await knock(server);
      await raw.write(SUPERBLOCK, "000");
      await raw.rest();
      await raw.close();
      await condition(() => handler.connections === 0 && descendants().length === children, "all is gone");
      await server.stop();
    }),
  );

  Deno.test(
    `a client that knows the secret is served over TCP and Unix sockets, as text or as bytes (${kind})`,
    noLeaks(async () => {
      await using handler = make({ secret: new TextEncoder().encode(SECRET) });
      const folder = await Deno.makeTempDir();
      const servers = [await tcpServer({ handler }), await unixServer(`${folder}/socket`, { handler })];
      const options = { secret: SECRET };
      for (
        const conn of [
          Connection.fromTcp("127.0.0.1", servers[0]!.port, options),
          Connection.fromUnix(`${folder}/socket`, options),
        ]
      ) {
        assertEquals(await conn.call((list: Uint8Array) => list.length, new Uint8Array(100_000)), 100_000);
        await conn.close();
      }
      for (const server of servers) await server.stop();
      await Deno.remove(folder, { recursive: true });
    }),
  );
}

Deno.test(
  "the server's secret counts instead of the handler's",
  noLeaks(async () => {
    const [, make] = HANDLERS[0]!;
    await using handler = make({ secret: "the handler's" });
    const server = await tcpServer({ handler, secret: SECRET });
    const wrong = Connection.fromTcp("127.0.0.1", server.port, { secret: "the handler's" });
    await assertRejects(() => wrong.ready(), ProtocolError);
    await wrong.close();
    const conn = Connection.fromTcp("127.0.0.1", server.port, { secret: SECRET });
    assertEquals(await conn.call(() => 1), 1);
    await conn.close();
    await server.stop();
  }),
);
