/**
 * What a peer may say about streams that no end of across would: more than it was asked for, of streams that there are not, twice. It ends the connection, or
 * does no harm.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { MESSAGE, REFERENCE, STREAM } from "../protocol/messages.ts";
import * as tag from "../protocol/tags.ts";
import type { Writer } from "../protocol/writer.ts";
import { LIMITS } from "../protocol/limits.ts";
import { condition } from "./support/leaks.ts";
import type { RawPeer } from "./support/raw_peer.ts";
import { DIALLING, withPeer } from "./support/raw_peer.ts";

/** Numbers of streams for the receiver of a message about one: of the sender's choice, and of its own. */
const mine = (number: number): number => number * 2;
const yours = (number: number): number => number * 2 + 1;

/** Says something about a stream. */
const say = (peer: RawPeer, what: number, key: number, write: (writer: Writer) => void = () => {}): Promise<void> =>
  peer.message(MESSAGE.STREAM, (w) => {
    w.u8(what);
    w.varint(key);
    write(w);
  });

const unasked = STREAM.BYTES | STREAM.UNASKED;
const undefinedValue = (w: Writer) => w.u8(tag.UNDEFINED);

/** Hands over a stream of that kind and number. */
const give = (peer: RawPeer, kind: number, number: number): Promise<unknown> =>
  peer.answered((id) =>
    peer.reply(id, (w: Writer) => {
      w.u8(tag.EXTERNAL);
      w.u8(kind);
      w.varint(number);
      if (kind === REFERENCE.READABLE) w.u8(0);
    })
  );

/** Has the other side hand over a stream, the first of its own. */
async function take(peer: RawPeer, stream: ReadableStream | WritableStream): Promise<void> {
  const before = peer.calls;
  const done = (peer.connection.root<{ ping(value: unknown): unknown }>().ping(stream) as Promise<unknown>).catch(
    () => {},
  );
  const { number } = await peer.called(before);
  await peer.reply(number, undefined);
  await done;
}

const credits = (peer: RawPeer): number =>
  peer.received.filter(({ kind, bytes }) => kind === MESSAGE.STREAM && bytes[1] === STREAM.CREDIT).length;

Deno.test(
  "items without credit beyond the advance of a stream break the connection",
  withPeer(DIALLING, async (peer) => {
    await give(peer, REFERENCE.READABLE, 1);
    const bytes = new Uint8Array(LIMITS.streamAdvance);
    await say(peer, unasked, mine(1), (w) => w.raw(bytes));
    await peer.lives();
    await peer.breaks(() => say(peer, unasked, mine(1), (w) => w.raw(bytes)), "more of a stream than was asked for");
  }),
);

Deno.test(
  "empty items cost credit, too",
  withPeer(DIALLING, async (peer) => {
    await give(peer, REFERENCE.ITERABLE, 1);
    const most = Math.ceil(LIMITS.streamAdvance / LIMITS.itemCost);
    await peer.breaks(async () => {
      for (let i = 0; i <= most; i++) await say(peer, STREAM.ITEM | STREAM.UNASKED, mine(1), undefinedValue);
    }, "more of a stream than was asked for");
  }),
);

Deno.test(
  "the advances of many streams are limited together",
  withPeer(DIALLING, async (peer) => {
    const streams: unknown[] = [];
    const bytes = new Uint8Array(LIMITS.streamAdvance);
    const many = LIMITS.streamAdvances / LIMITS.streamAdvance;
    for (let n = 1; n <= many + 1; n++) streams.push(await give(peer, REFERENCE.READABLE, n));
    for (let n = 1; n < many; n++) await say(peer, unasked, mine(n), (w) => w.raw(bytes));
    await peer.lives();
    await peer.breaks(async () => {
      for (let n = many; n <= many + 1; n++) await say(peer, unasked, mine(n), (w) => w.raw(bytes));
    }, "more of streams than was asked for");
    assertEquals(streams.length, many + 1);
  }),
);

Deno.test(
  "items on credit that was not given, or is used up, break the connection",
  withPeer(DIALLING, async (peer) => {
    await give(peer, REFERENCE.READABLE, 1);
    await peer.breaks(() => say(peer, STREAM.BYTES, mine(1)), "more of a stream than was asked for");
  }),
);

Deno.test(
  "items beyond what a reader that stalled has asked for break the connection",
  withPeer(DIALLING, async (peer) => {
    const stream = await give(peer, REFERENCE.READABLE, 1) as ReadableStream<Uint8Array>;
    const reader = stream.getReader();
    const read = reader.read();
    await condition(() => credits(peer) === 1, "it asked for more");
    await say(peer, STREAM.BYTES, mine(1), (w) => w.u8(7));
    assertEquals((await read).value, new Uint8Array([7]));
    let sent = 0;
    const bytes = new Uint8Array(100_000);
    const failed = reader.closed.then(() => false, () => true);
    await peer.breaks(async () => {
      for (; peer.connection.isConnected(); sent++) await say(peer, STREAM.BYTES, mine(1), (w) => w.raw(bytes));
    }, "more of a stream than was asked for");
    assert(sent * bytes.length < 8 << 20, `${sent} chunks were sent`);
    assert(await failed);
  }),
);

for (
  const [what, name] of [[STREAM.BYTES, "items"], [STREAM.END, "the end"], [STREAM.CREDIT, "credit"], [
    STREAM.CANCEL,
    "cancel",
  ], [STREAM.DONE, "done"]] as const
) {
  for (const key of [mine(9), yours(9)]) {
    Deno.test(
      `${name} of a stream that never was, number ${key}, breaks the connection`,
      withPeer(DIALLING, async (peer) => {
        await peer.breaks(() => say(peer, what, key, (w) => w.u8(5)), "Cannot find a stream");
      }),
    );
  }
}

Deno.test(
  "items and ends after the end break the connection",
  withPeer(DIALLING, async (peer) => {
    const stream = await give(peer, REFERENCE.ITERABLE, 1) as AsyncIterable<unknown>;
    await say(peer, STREAM.END, mine(1), undefinedValue);
    for await (const _ of stream) throw new Error("There are no items");
    await peer.breaks(() => say(peer, STREAM.END, mine(1), undefinedValue), "Cannot find a stream");
  }),
);

Deno.test(
  "credit for and cancel of a stream that has ended already do no harm",
  withPeer(DIALLING, async (peer) => {
    await take(peer, ReadableStream.from([]));
    await condition(() => peer.connection.status().streamsOpen === 0, "it has ended");
    await say(peer, STREAM.CREDIT, yours(1), (w) => w.varint(5));
    await say(peer, STREAM.CANCEL, yours(1), undefinedValue);
    await peer.lives();
  }),
);

Deno.test(
  "boundless credit is taken, and cancelled twice is cancelled once",
  withPeer(DIALLING, async (peer) => {
    let cancelled = 0;
    await take(peer, new ReadableStream({ cancel: () => void cancelled++ }));
    for (let i = 0; i < 3; i++) await say(peer, STREAM.CREDIT, yours(1), (w) => w.varint(Number.MAX_SAFE_INTEGER));
    await say(peer, STREAM.CREDIT, 0, (w) => w.varint(Number.MAX_SAFE_INTEGER));
    for (let i = 0; i < 3; i++) await say(peer, STREAM.CANCEL, yours(1), undefinedValue);
    await peer.lives();
    assertEquals([cancelled, peer.connection.status().streamsOpen], [1, 0]);
  }),
);

Deno.test(
  "a number that is in use, none and far too large ones break the connection",
  async (t) => {
    for (const number of [1, 0, 2 ** 53 - 1]) {
      await t.step(
        `${number}`,
        withPeer(DIALLING, async (peer) => {
          const first = await give(peer, REFERENCE.WRITABLE, 1);
          await peer.breaks(() => give(peer, REFERENCE.READABLE, number), "Cannot take stream");
          assert(first instanceof WritableStream);
        }),
      );
    }
  },
);

Deno.test(
  "what nobody knows to say about a stream breaks the connection",
  withPeer(DIALLING, async (peer) => {
    await give(peer, REFERENCE.READABLE, 1);
    await peer.breaks(() => say(peer, 99, mine(1)), "Cannot take a message of kind 99 about a stream");
  }),
);

Deno.test(
  "an item that cannot be had fails its stream, and the connection lives",
  withPeer(DIALLING, async (peer) => {
    const stream = await give(peer, REFERENCE.ITERABLE, 1) as AsyncIterable<unknown>;
    await say(peer, STREAM.ITEM | STREAM.UNASKED, mine(1), (w) => w.u8(5));
    await say(peer, STREAM.ITEM | STREAM.UNASKED, mine(1), (w) => {
      w.u8(tag.SYMBOL);
      w.string("nobodyHasThis");
    });
    await say(peer, STREAM.ITEM | STREAM.UNASKED, mine(1), (w) => w.u8(6));
    const got: unknown[] = [];
    let error: unknown;
    try {
      for await (const item of stream) got.push(item);
    } catch (it) {
      error = it;
    }
    assertEquals([got, (error as Error).name], [[5], "OperationError"]);
    await peer.got(({ kind, bytes }) => kind === MESSAGE.STREAM && bytes[1] === STREAM.CANCEL, "it is told to stop");
    await say(peer, STREAM.END, mine(1), undefinedValue);
    await peer.lives();
    assertEquals(peer.connection.status().streamsOpen, 0);
  }),
);
