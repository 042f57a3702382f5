// Random, truncated and bit-flipped messages: each ends in a value, a ProtocolError or one refused value, soon, and harms nothing.
// The random numbers are the same in every run.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { Codec, type Encoded, External } from "./support/codec.ts";

class Known {
  a = 1;
  static acrossDecode(fields: unknown) {
    return { fields };
  }
}

class KnownMap extends Map<unknown, unknown> {}

/** Numbers from 0 to below 2^32, the same for the same seed. */
function randomNumbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Decodes what may be anything. */
function attempt(codec: Codec, encoded: Encoded): "value" | "refused" | "malformed" {
  try {
    codec.decodeAll(encoded);
    return "value";
  } catch (error) {
    if (error instanceof ProtocolError) return "malformed";
    if (error instanceof OperationError) return "refused";
    throw error;
  }
}

/** Messages with something of everything in them. */
function samples(codec: Codec): Encoded[] {
  const cycle: Record<string, unknown> = { name: "cycle", list: [1, , -5, 3.5, 2n ** 80n, "é", "\ud800"] };
  cycle.self = cycle;
  const buffer = new ArrayBuffer(64);
  const sparse: unknown[] = [];
  sparse.length = 1e9;
  sparse[5] = cycle;
  const values: unknown[] = [
    [1, 2],
    ["/home", { recursive: true }],
    cycle,
    Array.from(
      { length: 30 },
      (_, i) => ({ id: i, name: `row ${i}`, tags: ["x", null, undefined], [`k${i % 3}`]: i / 3 }),
    ),
    new Map<unknown, unknown>([[1, new Set(["a", 5n])], [new Date(0), /a/g], [
      new URL("https://x.example"),
      new Headers([["a", "b"]]),
    ]]),
    [new Uint8Array(buffer, 3, 9), new Float64Array(buffer, 8), new DataView(buffer), new Uint8Array(20_000), buffer],
    new AggregateError([new TypeError("t", { cause: cycle }), new DOMException("d", "AbortError")], "all"),
    [new Known(), new KnownMap([[1, 2]]), () => 1, new External("e"), sparse, Object(1n), Object.create(null)],
    Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`key${i}`, i])),
    [Symbol.iterator, Symbol.for("x"), -0, NaN, true, false, null, undefined, "x".repeat(100), "y".repeat(20_000)],
  ];
  return values.map((value) => codec.encode(value));
}

const pristine = () => Object.getOwnPropertyNames(Object.prototype).length;

Deno.test("Decoder takes random bytes for a value, a malformed message or a refused value", () => {
  const random = randomNumbers(1);
  const codec = new Codec(Known, KnownMap);
  const before = pristine();
  const outcomes = { value: 0, refused: 0, malformed: 0 };
  for (let round = 0; round < 40_000; round++) {
    // Tags are more likely than chance has them, small numbers too.
    const bytes = Uint8Array.from(
      { length: 1 + random(round % 400 + 1) },
      () => [random(256), 0xb0 + random(64), random(5)][random(3)]!,
    );
    outcomes[attempt(codec, { bytes, segments: round % 7 ? [] : [new ArrayBuffer(random(100))] })]++;
  }
  assert(outcomes.value > 100 && outcomes.refused > 100 && outcomes.malformed > 100, JSON.stringify(outcomes));
  assertEquals(pristine(), before);
});

Deno.test("Decoder finds every truncated message malformed", () => {
  const codec = new Codec(Known, KnownMap);
  for (const { bytes, segments } of samples(codec)) {
    const step = Math.max(1, Math.floor(bytes.length / 2000));
    for (let end = 1; end < bytes.length; end += step) {
      assertThrows(() => codec.decode({ bytes: bytes.slice(0, end), segments }), ProtocolError);
    }
    codec.decode({ bytes, segments });
  }
});

Deno.test("Decoder survives flipped bits and overwritten, inserted and deleted bytes", () => {
  const random = randomNumbers(2);
  const codec = new Codec(Known, KnownMap);
  const before = pristine();
  const outcomes = { value: 0, refused: 0, malformed: 0 };
  const originals = samples(codec);
  for (let round = 0; round < 20_000; round++) {
    const { bytes, segments } = originals[round % originals.length]!;
    let changed = [...bytes.subarray(0, 3000)];
    for (let count = 1 + random(4); count > 0; count--) {
      const at = random(changed.length);
      const kind = random(4);
      if (kind === 0) changed[at]! ^= 1 << random(8);
      else if (kind === 1) changed[at] = random(256);
      else if (kind === 2) changed.splice(at, 0, random(256));
      else changed = changed.toSpliced(at, 1 + random(4));
    }
    outcomes[attempt(codec, { bytes: Uint8Array.from(changed), segments })]++;
  }
  assert(outcomes.value > 100 && outcomes.refused > 10 && outcomes.malformed > 100, JSON.stringify(outcomes));
  assertEquals(pristine(), before);
});

Deno.test("Decoder goes on after whatever it met", () => {
  const random = randomNumbers(3);
  const codec = new Codec(Known, KnownMap);
  for (let round = 0; round < 2000; round++) {
    attempt(codec, { bytes: Uint8Array.from({ length: 60 }, () => 0xa0 + random(96)), segments: [] });
    const value = { round, list: ["a", new Map([[1, { round }]])], bytes: new Uint8Array([round & 255]) };
    assertEquals(codec.trip(value), value);
  }
});
