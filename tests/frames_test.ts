/**
 * Frames put together again: whole, cut anywhere, interleaved, and such as lie.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../protocol/errors.ts";
import { FRAME, Inbox, OWN_BYTES } from "../protocol/frames.ts";
import { LIMITS } from "../protocol/limits.ts";
import { Outbox } from "../protocol/outbox.ts";

interface Message {
  readonly body: Uint8Array;
  readonly segments: readonly Uint8Array[];
}

const LIMIT = 1 << 24;

/** Bytes that differ from those of any other seed. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i * 31 + seed + (i >> 8);
  return bytes;
}

/** What an outbox makes of messages, write after write. */
function written(messages: readonly Message[]): Uint8Array[] {
  const outbox = new Outbox(LIMIT);
  for (const { body, segments } of messages) {
    const start = outbox.begin();
    outbox.writer.raw(body);
    outbox.commit(start, segments);
  }
  const writes: Uint8Array[] = [];
  for (let bytes = outbox.take(); bytes; bytes = outbox.take()) {
    writes.push(bytes.slice());
    outbox.recycle(bytes, Infinity);
  }
  return writes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Hands bytes to an inbox in pieces of the given sizes, over and over, always in the same buffer as transports do. */
function received(bytes: Uint8Array, sizes: readonly number[], limit = LIMIT): Message[] {
  const messages: Message[] = [];
  const inbox = new Inbox(
    (bytes, start, end, segments) =>
      messages.push({ body: bytes.slice(start, end), segments: segments.map((segment) => new Uint8Array(segment)) }),
    limit,
  );
  const buffer = new Uint8Array(Math.max(...sizes));
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.min(sizes[i % sizes.length]!, bytes.length - at);
    buffer.set(bytes.subarray(at, at + size));
    inbox.push(buffer.subarray(0, size));
    buffer.fill(0xee);
    at += size;
  }
  return messages;
}

const key = ({ body, segments }: Message): string =>
  [body, ...segments].map((bytes) => `${bytes.length}:${bytes.subarray(0, 9)}:${bytes.subarray(-9)}`).join("|");

const someMessages = fc.array(
  fc.record({
    size: fc.oneof(fc.nat(40), fc.integer({ min: 65_500, max: 65_560 }), fc.nat(300_000)),
    segments: fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 200_000 })), {
      maxLength: 3,
    }),
  }),
  { maxLength: 8 },
);

Deno.test("messages arrive whole, however the stream is cut", () =>
  fc.assert(
    fc.property(
      someMessages,
      fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 200_000 })), {
        minLength: 1,
        maxLength: 5,
      }),
      (shapes, sizes) => {
        const messages = shapes.map(({ size, segments }, i) => ({
          body: pattern(size, i),
          segments: segments.map((length, j) => pattern(length, 100 * i + j)),
        }));
        // With many small pieces a large stream takes its time.
        const total = shapes.reduce((sum, it) => it.segments.reduce((a, b) => a + b, sum + it.size), 0);
        const pieces = total > 100_000 ? sizes.map((size) => Math.max(size, 999)) : sizes;
        const got = received(joined(written(messages)), pieces);
        assertEquals(got.map(key).sort(), messages.map(key).sort());
        const small = (it: Message): boolean => it.segments.length === 0 && it.body.length <= LIMITS.fragmentSize;
        assertEquals(got.filter(small).map(key), messages.filter(small).map(key));
      },
    ),
    { numRuns: 60 },
  ));

Deno.test("every byte of a large message arrives in its place, also one by one", () => {
  const message = { body: pattern(70_000, 1), segments: [pattern(1, 2), pattern(66_000, 3)] };
  const bytes = joined(written([message]));
  for (const sizes of [[1], [7], [65_536], [bytes.length], [8, 65_528], [9, 3]]) {
    const [got] = received(bytes, sizes);
    assertEquals(got!.body, message.body);
    assertEquals(got!.segments, message.segments);
  }
});

Deno.test("small messages pass between the fragments of large ones", () => {
  const outbox = new Outbox(LIMIT);
  const commit = (body: Uint8Array, segments: readonly Uint8Array[] = []) => {
    const start = outbox.begin();
    outbox.writer.raw(body);
    outbox.commit(start, segments);
  };
  commit(pattern(10, 0), [pattern(2_000_000, 1)]);
  const messages: number[] = [];
  const inbox = new Inbox((_, start, end) => messages.push(end - start), LIMIT);
  const first = outbox.take()!;
  assert(first.length <= 1 << 17);
  inbox.push(first);
  commit(pattern(11, 2));
  for (let bytes = outbox.take(); bytes; bytes = outbox.take()) inbox.push(bytes);
  assertEquals(messages, [11, 10]);
});

Deno.test("fragments fill the pipes of the system without a rest", () => {
  const [first] = written([{ body: new Uint8Array(0), segments: [new Uint8Array(1 << 20)] }]);
  assertEquals(first!.length % 65_536, 0);
});

/** A frame with these bytes in it. */
const frame = (kind: number, ...payload: number[]): number[] => [
  kind,
  payload.length & 255,
  payload.length >> 8 & 255,
  payload.length >> 16,
  ...payload,
];
const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => value >>> shift & 255);
const f64 = (value: number): number[] => [...new Uint8Array(new Float64Array([value]).buffer)];

Deno.test("where more comes at once, what does not fill a pipe waits for the next write, and nothing is lost", () => {
  const outbox = new Outbox(LIMIT);
  const bodies = [65_536, 65_536, 30, 65_536, 65_536, 7].map(pattern);
  const writes: Uint8Array[] = [];
  const take = (more: boolean) => {
    const bytes = outbox.take(more)!;
    writes.push(bytes.slice());
    outbox.recycle(bytes, Infinity);
  };
  bodies.forEach((body, index) => {
    const start = outbox.begin();
    outbox.writer.raw(body);
    outbox.commit(start, [], { whole: true });
    if (index === 1 || index === 4) take(true);
  });
  take(true); // less than a pipe holds
  assertEquals(writes.map(({ length }) => length), [131_072, 131_072, 4 * 6 + 30 + 7]);
  assertEquals(outbox.empty, true);
  assertEquals(received(joined(writes), [65_536]).map(({ body }) => body), bodies);
});

Deno.test("bytes of a large frame that was cut off belong to who gets them", () => {
  const bodies = [60_000, 60_000, 20_000, 100].map(pattern);
  const bytes = joined(written(bodies.map((body) => ({ body, segments: [] }))));
  for (const size of [65_536, 30_001, 60_005]) {
    const got: Uint8Array[] = [];
    let own = 0;
    const inbox = new Inbox((bytes, start, end, segments) => {
      if (segments === OWN_BYTES) own++;
      got.push(segments === OWN_BYTES ? bytes.subarray(start, end) : bytes.slice(start, end));
    }, LIMIT);
    const buffer = new Uint8Array(size);
    for (let at = 0; at < bytes.length; at += size) {
      buffer.fill(0xee);
      buffer.set(bytes.subarray(at, at + size));
      inbox.push(buffer.subarray(0, Math.min(size, bytes.length - at)));
    }
    assert(own > 0);
    assertEquals(got, bodies);
  }
});

Deno.test("what is no frame, or not as long as it said, is a ProtocolError, however the stream is cut", () => {
  const cases: readonly (readonly [name: string, bytes: readonly number[]])[] = [
    ["an unknown kind", frame(9)],
    ["an idle frame that is not empty", frame(FRAME.IDLE, 1)],
    ["a frame that is too long", [FRAME.MESSAGE, 255, 255, 255]],
    ["a part that is too long", [FRAME.PART, 255, 255, 255]],
    ["a part without a number", frame(FRAME.PART, 1, 2, 3)],
    ["a last part that is the only one and empty", frame(FRAME.LAST, ...u32(1))],
    ["fewer bytes than said", frame(FRAME.LAST, ...u32(1), ...u32(5), ...u32(0), 1, 2)],
    ["more bytes than said", frame(FRAME.PART, ...u32(1), ...u32(1), ...u32(0), 1, 2)],
    ["too large a message", frame(FRAME.PART, ...u32(1), ...u32(0xffff_ffff), ...u32(0))],
    ["too many segments", frame(FRAME.PART, ...u32(1), ...u32(0), ...u32(0xffff_ffff))],
    ["a segment of 2^50 bytes", frame(FRAME.PART, ...u32(1), ...u32(0), ...u32(1), ...f64(2 ** 50))],
    ["a segment of half a byte", frame(FRAME.PART, ...u32(1), ...u32(0), ...u32(1), ...f64(0.5))],
    ["an empty segment", frame(FRAME.PART, ...u32(1), ...u32(0), ...u32(1), ...f64(0))],
    ["too many at a time", Array.from({ length: 65 }, (_, i) => frame(FRAME.PART, ...u32(i))).flat()],
  ];
  for (const [name, bytes] of cases) {
    for (const sizes of [[1], [3], [bytes.length]]) {
      assertThrows(() => received(Uint8Array.from(bytes), sizes), ProtocolError, undefined, name);
    }
  }
});

Deno.test("random frames deliver messages or are a ProtocolError, in linear time", () => {
  const start = performance.now();
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(5), fc.uint8Array({ maxLength: 40 }))),
      fc.integer({ min: 1, max: 50 }),
      (frames, size) => {
        const bytes = Uint8Array.from(frames.flatMap(([kind, payload]) => frame(kind, ...payload)));
        try {
          received(bytes, [size]);
        } catch (error) {
          assert(error instanceof ProtocolError, String(error));
        }
      },
    ),
    { numRuns: 2000 },
  );
  assert(performance.now() - start < 60_000);
});

/** The first part of a message, which announces segments of these sizes, and some bytes behind. */
const announcing = (number: number, body: number, sizes: readonly number[], ...bytes: number[]): Uint8Array =>
  Uint8Array.from(
    frame(FRAME.PART, ...u32(number), ...u32(body), ...u32(sizes.length), ...sizes.flatMap(f64), ...bytes),
  );

/** What `Uint8Array`s were made with a length, in bytes, and how many bytes `set()` copied, while something ran. */
function memoryWork(body: () => void): { readonly allocated: number; readonly copied: number } {
  let allocated = 0, copied = 0;
  const Native = globalThis.Uint8Array, { set } = Native.prototype;
  globalThis.Uint8Array = new Proxy(Native, {
    construct(target, args, newTarget) {
      if (typeof args[0] === "number") allocated += args[0];
      return Reflect.construct(target, args, newTarget);
    },
  });
  Native.prototype.set = function (source, offset) {
    copied += source.length;
    set.call(this, source, offset);
  };
  try {
    body();
  } finally {
    globalThis.Uint8Array = Native;
    Native.prototype.set = set;
  }
  return { allocated, copied };
}

const MEBI = 1 << 20;

Deno.test("a message that claims 2^50 bytes is a ProtocolError before any memory is taken for it", () => {
  for (const [limit, sizes] of [[LIMIT, [2 ** 50]], [LIMIT, new Array(4096).fill(2 ** 38)], [2 ** 40, [2 ** 50]]]) {
    const inbox = new Inbox(() => {}, limit as number);
    const bytes = announcing(1, 0, sizes as number[], 1);
    const { allocated } = memoryWork(() => assertThrows(() => inbox.push(bytes), ProtocolError, "maxMessageSize"));
    assert(allocated < MEBI, `${allocated} bytes`);
  }
});

Deno.test("a message that claims 2^50 bytes where that is allowed takes memory as its bytes arrive", () => {
  const inbox = new Inbox(() => {}, 2 ** 51);
  const { allocated } = memoryWork(() => inbox.push(announcing(1, 9, [2 ** 50], ...new Array(20).fill(1))));
  assert(allocated <= 5 * MEBI, `${allocated} bytes`);
});

Deno.test("many claimed segments take memory in turn, as their bytes arrive", () => {
  const inbox = new Inbox(() => {}, 2 ** 40);
  const sizes = new Array(4096).fill(MEBI);
  const { allocated } = memoryWork(() => inbox.push(announcing(1, 1, sizes, 1, 2)));
  assert(allocated <= 2 * MEBI, `${allocated} bytes`);
});

Deno.test("open messages share what may be taken ahead of their bytes, and get it back when they end", () => {
  const messages: number[] = [];
  const inbox = new Inbox((_bytes, _start, _end, segments) => messages.push(segments.length), 2 ** 30);
  const open = (first: number, size: number) => {
    for (let i = 0; i < LIMITS.openFragments; i++) inbox.push(announcing(first + i, 0, [size], 1));
  };
  const { allocated } = memoryWork(() => open(0, 16 * MEBI));
  assert(allocated <= 40 * MEBI, `${allocated} bytes`);
  for (let i = 0; i < LIMITS.openFragments; i++) inbox.push(Uint8Array.from(frame(FRAME.ABANDON, ...u32(i))));
  // One that comes alone is allocated in one piece, as if nothing had been.
  const alone = memoryWork(() => inbox.push(announcing(100, 0, [4 * MEBI], 1)));
  assert(alone.allocated >= 4 * MEBI, `${alone.allocated} bytes`);
  assertEquals(messages, []);
});

Deno.test("1000 messages that are open at one time are a ProtocolError", () => {
  const inbox = new Inbox(() => {}, 2 ** 30);
  let open = 0;
  const { allocated } = memoryWork(() =>
    assertThrows(
      () => {
        for (; open < 1000; open++) inbox.push(announcing(open, 100, [MEBI, MEBI], 1));
      },
      ProtocolError,
      "Too many messages",
    )
  );
  assertEquals(open, LIMITS.openFragments);
  assert(allocated < MEBI, `${allocated} bytes`);
});

Deno.test("messages that are open at one time may announce no more than one message and the default limit together", () => {
  const limit = 2 ** 40;
  const inbox = new Inbox(() => {}, limit);
  inbox.push(announcing(1, 0, [limit], 1));
  inbox.push(announcing(2, 0, [LIMITS.messageSize], 1));
  inbox.push(Uint8Array.from(frame(FRAME.ABANDON, ...u32(2))));
  inbox.push(announcing(3, 0, [LIMITS.messageSize], 1));
  assertThrows(() => inbox.push(announcing(4, 1, [])), ProtocolError, "Too much arrives at one time");
});

Deno.test("what is sent at one time keeps to what the peer allows", () => {
  const outbox = new Outbox(2 ** 40);
  // Never touched, but for its beginning: it takes no memory of the machine.
  const large = new Uint8Array(LIMITS.messageSize);
  for (const segment of [large, large, large.subarray(0, 100_000), large]) outbox.commit(outbox.begin(), [segment]);
  const begun = new Set<number>();
  for (let writes = 0; writes < 5; writes++) {
    const bytes = outbox.take()!;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += 4 + (view.getUint32(at, true) >>> 8)) {
      begun.add(view.getUint32(at + 4, true));
    }
    outbox.recycle(bytes, Infinity);
  }
  assertEquals([...begun], [1, 2]);
});

Deno.test("a trickle of single bytes copies each byte a bounded number of times", () => {
  const message = { body: pattern(300_000, 1), segments: [pattern(200_000, 2), pattern(5_000_000, 3)] };
  const bytes = joined(written([message, { body: pattern(60_000, 4), segments: [] }]));
  let count = 0;
  const inbox = new Inbox(() => count++, LIMIT);
  const { allocated, copied } = memoryWork(() => {
    for (let i = 0; i < bytes.length; i++) inbox.push(bytes.subarray(i, i + 1));
  });
  assertEquals(count, 2);
  assert(copied < 3 * bytes.length, `${copied} bytes copied for ${bytes.length}`);
  assert(allocated < 3 * bytes.length, `${allocated} bytes allocated for ${bytes.length}`);
});

Deno.test("a message that is abandoned is forgotten", () => {
  const outbox = new Outbox(LIMIT);
  const large = outbox.commit(outbox.begin(), [new Uint8Array(1 << 20)])!;
  const first = outbox.take()!.slice();
  outbox.abandon(large);
  const rest = outbox.take()!;
  let delivered = 0;
  const inbox = new Inbox(() => delivered++, LIMIT);
  inbox.push(first);
  inbox.push(rest);
  assertEquals([delivered, inbox.frames, outbox.take()], [0, 3, undefined]);
});
