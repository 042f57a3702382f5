/**
 * Streams of a hostile peer: written past their credit, made-up numbers, ends that come twice. What was not asked for is never kept.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { OptionsInit } from "../mod.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MESSAGE, REFERENCE, STREAM } from "../protocol/messages.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import type { Write } from "./support/raw_messages.ts";
import { base, Raw, reference, writeValue } from "./support/raw_messages.ts";
import type { RawPeer } from "./support/raw_peer.ts";
import { DIALLING, SERVING, withPeer } from "./support/raw_peer.ts";

const PAST = "Received more of a stream than was asked for";
const HUGE = Number.MAX_SAFE_INTEGER;

const onBothEnds = (name: string, body: (peer: RawPeer) => Promise<void>): void => {
  for (const [kind, options] of [["serving", SERVING], ["dialling", DIALLING]] as [string, OptionsInit][]) {
    Deno.test(`${name} (${kind} end)`, () => withPeer(options, body)());
  }
};

/** A stream of ours, as a value. */
const stream = (number: number, kind: number = REFERENCE.READABLE): Raw =>
  new Raw((w) => {
    w.u8(kind);
    w.varint(number);
    if (kind === REFERENCE.READABLE) w.u8(0);
  });

/** Sends traffic of a stream that we opened; of one that the other side opened with `theirs`. */
function traffic(peer: RawPeer, what: number, number: number, write: Write = () => {}, theirs = false): Promise<void> {
  return peer.message(MESSAGE.STREAM, (w) => {
    w.u8(what);
    w.varint(theirs ? 2 * number + 1 : 2 * number);
    write(w);
  });
}
const value = (it: unknown): Write => (w) => writeValue(w, it);
const bytes = (size: number): Write => (w) => w.raw(new Uint8Array(size));

/** Has the other side receive a stream as the result of a call. */
const open = (peer: RawPeer, number: number): Promise<ReadableStream<unknown>> =>
  peer.answered((id) => peer.reply(id, stream(number))) as Promise<ReadableStream<unknown>>;

/** How much of a stream the other side asked for so far. */
function credit(peer: RawPeer, number: number): number {
  let sum = 0;
  for (const { kind, bytes } of peer.received) {
    if (kind !== MESSAGE.STREAM || bytes[1] !== STREAM.CREDIT) continue;
    const numbers: number[] = [];
    for (let at = 2, scale = 1, number = 0; at < bytes.length; at++) {
      number += (bytes[at]! & 127) * scale;
      scale *= 128;
      if (bytes[at]! < 128) numbers.push(number), number = 0, scale = 1;
    }
    if (numbers[0] === 2 * number + 1) sum += numbers[1]!;
  }
  return sum;
}

onBothEnds("a stream that is written without credit is a ProtocolError", async (peer) => {
  const readable = await open(peer, 1);
  await peer.breaks(() => traffic(peer, STREAM.ITEM, 1, value("x")), PAST);
  await assertRejects(() => readable.getReader().read(), Error);
});

onBothEnds(
  "a stream that is written past what may come unasked is a ProtocolError, and takes no memory",
  async (peer) => {
    const readable = await open(peer, 1);
    collectGarbage();
    const before = Deno.memoryUsage().external;
    let sent = 0;
    await peer.breaks(async () => {
      for (; sent < 1000; sent++) {
        await traffic(peer, STREAM.BYTES | STREAM.UNASKED, 1, bytes(16_000));
        if (!peer.connection.isConnected()) break;
      }
    }, PAST);
    assert(sent < 50, `${sent} were taken`);
    collectGarbage();
    assert(Deno.memoryUsage().external - before < 8 << 20);
    await readable.cancel().catch(() => {});
  },
);

onBothEnds("a stream that is read and written past its credit is a ProtocolError", async (peer) => {
  const reader = (await open(peer, 1)).getReader();
  const first = reader.read();
  await traffic(peer, STREAM.ITEM | STREAM.UNASKED, 1, value("first"));
  assertEquals(await first, { done: false, value: "first" });
  const pending = reader.read().catch((error: unknown) => error); // who reads asks for more
  const granted = await condition(() => credit(peer, 1), "more is asked for");
  await peer.breaks(async () => {
    for (let sent = 0; sent < 4 * granted && peer.connection.isConnected(); sent += 16_000 + LIMITS.itemCost) {
      await traffic(peer, STREAM.BYTES, 1, bytes(16_000));
    }
  }, PAST);
  await pending;
});

onBothEnds("many streams that are written past what may come unasked of all are a ProtocolError", async (peer) => {
  const count = 2 * LIMITS.streamAdvances / LIMITS.streamAdvance;
  const list = await peer.answered((id) => peer.reply(id, Array.from({ length: count }, (_, i) => stream(i + 1))));
  await peer.breaks(async () => {
    for (let i = 1; i <= count && peer.connection.isConnected(); i++) {
      await traffic(peer, STREAM.BYTES | STREAM.UNASKED, i, bytes(LIMITS.streamAdvance - 2 * LIMITS.itemCost));
      await traffic(peer, STREAM.BYTES | STREAM.UNASKED, i, bytes(LIMITS.streamAdvance));
    }
  }, "Received more of ");
  assertEquals((list as unknown[]).length, count);
});

onBothEnds(
  "items and ends of a stream that was never opened are a ProtocolError",
  (peer) =>
    peer.breaks(() => traffic(peer, STREAM.ITEM, 77, value(1)), "Cannot find a stream of which something arrived"),
);

for (const [name, what] of [["CREDIT", STREAM.CREDIT], ["CANCEL", STREAM.CANCEL], ["DONE", STREAM.DONE]] as const) {
  onBothEnds(`${name} for a stream that was never opened is a ProtocolError`, (peer) =>
    peer.breaks(
      () => traffic(peer, what, 77, what === STREAM.CREDIT ? (w) => w.varint(1) : value(1), true),
      "Cannot find a stream of which more or less is wanted",
    ));
}

onBothEnds("a stream that ends twice is a ProtocolError, or ended once", async (peer) => {
  const reader = (await open(peer, 1)).getReader();
  await traffic(peer, STREAM.END, 1, value(undefined));
  assertEquals((await reader.read()).done, true);
  await peer.breaks(() => traffic(peer, STREAM.ITEM | STREAM.UNASKED, 1, value(1)), "");
});

onBothEnds("an unknown kind of traffic is a ProtocolError", async (peer) => {
  await open(peer, 1);
  await peer.breaks(() => traffic(peer, 99, 1), "Cannot take a message of kind 99 about a stream");
});

for (const number of [0, HUGE]) {
  onBothEnds(
    `a stream of number ${number} is a ProtocolError`,
    (peer) =>
      peer.breaks(() => peer.issue({ base: base.root, path: ["ping"], args: [stream(number)] }), "Cannot take stream"),
  );
}
onBothEnds(
  "two streams of one number are a ProtocolError",
  (peer) =>
    peer.breaks(
      () => peer.issue({ base: base.root, path: ["ping"], args: [[stream(1), stream(1)]] }),
      "Cannot take stream 1",
    ),
);

onBothEnds("streams that are open have a limit", (peer) =>
  peer.breaks(async () => {
    for (let i = 0; i < 70 && peer.connection.isConnected(); i++) {
      await peer.answered((id) => peer.reply(id, Array.from({ length: 1000 }, (_, j) => stream(1000 * i + j + 1))));
    }
  }, "Cannot have more than 65536 streams open"));

onBothEnds("a thenable as an item fails the one stream", async (peer) => {
  const reader = (await open(peer, 1)).getReader();
  const read = assertRejects(() => reader.read(), Error, "function named then");
  await traffic(peer, STREAM.ITEM | STREAM.UNASKED, 1, value({ then: reference.mine(REFERENCE.FUNCTION, 1) }));
  await read;
  await peer.lives();
});

Deno.test(
  "credit beyond all bounds makes nobody send more than there is",
  withPeer({
    ...DIALLING,
    expose: {
      numbers: () => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1 << 16)) }),
    },
  }, async (peer) => {
    const got = await peer.result({ base: base.root, path: ["numbers"] }) as { number: number };
    await traffic(peer, STREAM.CREDIT, got.number, (w) => w.varint(1 << 20), true);
    await peer.got(({ kind }) => kind === MESSAGE.STREAM, "something of the stream");
    await traffic(peer, STREAM.CANCEL, got.number, value(undefined), true);
    await peer.lives();
  }),
);
