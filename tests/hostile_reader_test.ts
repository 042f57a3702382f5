/**
 * Peers that ask and do not read what they are answered: what waits for them is bounded, and nothing is lost for one that was merely slow.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Connection, DisconnectError, ProtocolError } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { pipes } from "./support/pair.ts";

const MEBI = 1 << 20;
/** What may wait beside a message as large as any: answers, and calls. See session/bounds.ts. */
const UNREAD = 16 * MEBI, KEPT = 64 * MEBI;

class Exposed {
  ran = 0;
  bytes(size: number): Uint8Array {
    this.ran++;
    return new Uint8Array(size);
  }
  size(bytes: Uint8Array): number {
    return bytes.length;
  }
}

/** A server that exposes something, and a restricted client that can cease to read. */
async function slowReader(maxMessageSize: number) {
  const exposed = new Exposed();
  const [there, back] = pipes();
  let reading = Promise.resolve();
  let goOn = () => {};
  const slow = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller): Promise<void> {
      await reading;
      controller.enqueue(chunk.slice());
    },
  });
  back.readable.pipeTo(slow.writable).catch(() => {});
  const server = Connection.fromPipes(there.readable, back.writable, {
    expose: exposed,
    acceptCalls: false,
    maxMessageSize,
  });
  const client = Connection.fromPipes(slow.readable, there.writable, { maxMessageSize });
  await Promise.all([server.ready(), client.ready()]);
  return {
    exposed,
    server,
    client,
    root: client.root<Exposed>(),
    stop: () => void (reading = new Promise((resolve) => goOn = resolve)),
    goOn: () => goOn(),
  };
}

Deno.test(
  "calls of a peer that does not read its answers wait when these are many, and are all carried out once it does",
  noLeaks(async () => {
    const size = 4 * MEBI;
    const { exposed, server, client, root, stop, goOn } = await slowReader(8 * MEBI);
    stop();
    const before = server.status().messagesReceived;
    const large = Array.from({ length: 40 }, () => root.bytes(size));
    // Many of them, as taking them up again must not take the square of their number.
    const small = Array.from({ length: 200_000 }, () => root.bytes(1));
    await condition(
      () => server.status().messagesReceived === before + large.length + small.length,
      "all calls have arrived",
      60_000,
    );
    const most = (8 * MEBI + UNREAD) / size + 2;
    assert(exposed.ran <= most, `${exposed.ran} calls ran, of which ${most} have answers that may wait`);
    goOn();
    for (const it of large) assertEquals((await it).length, size);
    for (const it of await Promise.all(small)) assertEquals(it.length, 1);
    assertEquals(exposed.ran, large.length + small.length);
    await Promise.all([client.close(), server.wait()]);
    await server.close();
  }, 120_000),
);

Deno.test(
  "a small call is answered while a message as large as any waits to be read",
  noLeaks(async () => {
    const { server, client, root } = await slowReader(64 * MEBI);
    const large = root.bytes(60 * MEBI);
    let over = false;
    const done = Promise.resolve(large).then((it) => {
      over = true;
      return it.length;
    });
    assertEquals((await root.bytes(1)).length, 1);
    assert(!over, "the small one came first");
    assertEquals(await done, 60 * MEBI);
    await Promise.all([client.close(), server.wait()]);
    await server.close();
  }),
);

Deno.test(
  "a peer that goes on to send while its calls wait is cut off",
  noLeaks(async () => {
    const size = MEBI >> 1;
    const { exposed, server, client, root, stop, goOn } = await slowReader(MEBI);
    stop();
    const calls: Promise<unknown>[] = [];
    const issue = (call: PromiseLike<unknown>) => calls.push(assertRejects(() => call, DisconnectError));
    for (let sent = 0; sent <= 2 * (MEBI + UNREAD); sent += size) issue(root.bytes(size));
    for (let sent = 0; sent <= 2 * (MEBI + KEPT); sent += size) issue(root.size(new Uint8Array(size)));
    await server.wait();
    await assertRejects(() => server.close(), ProtocolError, "sends too much");
    assert(exposed.ran < 2 * (MEBI + UNREAD) / size);
    goOn();
    client.cancel();
    await Promise.all(calls);
    await client.close().catch(() => {}); // with what broke it
  }),
);
