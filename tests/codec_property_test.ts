// Whatever values fast-check makes up: what arrives is what was sent.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Codec } from "./support/codec.ts";

const leaf = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    true,
    false,
    NaN,
    -0,
    Infinity,
    Symbol.iterator,
    Symbol.for("x"),
    new Date(NaN),
    /a+/gi,
  ),
  fc.integer(),
  fc.double(),
  fc.bigInt(),
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.date(),
  fc.uint8Array({ maxLength: 40 }),
  fc.float64Array({ maxLength: 6 }),
  fc.bigInt64Array({ maxLength: 6 }),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", maxDepth: 4 },
    leaf,
    fc.array(tie("value"), { maxLength: 6 }),
    fc.sparseArray(tie("value"), { maxLength: 20, maxNumElements: 4 }),
    fc.dictionary(fc.string({ unit: "binary", maxLength: 6 }), tie("value"), { maxKeys: 6 }),
    fc.dictionary(fc.constantFrom("a", "b", "__proto__", "constructor", "toString"), tie("value"), {
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(tie("value"), tie("value")), { maxLength: 5 }).map((entries) => new Map(entries)),
    fc.array(tie("value"), { maxLength: 5 }).map((items) => new Set(items)),
    tie("value").map((cause) => new RangeError("made up", { cause })),
  ),
}));

Deno.test("Encoder and Decoder carry any value", () => {
  const codec = new Codec();
  fc.assert(fc.property(value, (sent) => assertEquals(codec.trip(sent), sent)), { seed: 2, numRuns: 1000 });
});

Deno.test("Encoder and Decoder carry several values in one message", () => {
  const codec = new Codec();
  fc.assert(
    fc.property(
      fc.array(value, { maxLength: 5 }),
      (sent) => assertEquals(codec.decodeAll(codec.encode(...sent)), sent),
    ),
    { seed: 3, numRuns: 300 },
  );
});

Deno.test("Encoder and Decoder carry rows of the same shape", () => {
  const codec = new Codec();
  const rows = fc.uniqueArray(fc.string({ maxLength: 8 }), { minLength: 1, maxLength: 8 })
    .chain((keys) =>
      fc.array(fc.record(Object.fromEntries(keys.map((key) => [key, leaf])), { noNullPrototype: true }), {
        maxLength: 60,
      })
    );
  fc.assert(fc.property(rows, (sent) => assertEquals(codec.trip(sent), sent)), { seed: 4, numRuns: 300 });
});

Deno.test("Encoder and Decoder carry any views on any buffers", () => {
  const codec = new Codec();
  const kinds = [Uint8Array, Int16Array, Float32Array, Float64Array] as const;
  const views = fc.array(fc.record({
    buffer: fc.nat(1),
    kind: fc.nat(kinds.length - 1),
    start: fc.nat(200),
    length: fc.nat(30),
    large: fc.boolean(),
  }));
  fc.assert(
    fc.property(views, (list) => {
      const buffers = [0, 1].map((n) => Uint8Array.from({ length: 100_000 }, (_, i) => i * 31 + n & 63).buffer);
      const sent = list.map(({ buffer, kind, start, length, large }) => {
        const View = kinds[kind]!;
        const size = View.BYTES_PER_ELEMENT;
        return new View(buffers[buffer]!, start * size, large ? Math.floor(50_000 / size) : length);
      });
      const got = codec.trip(sent) as typeof sent;
      assertEquals(got, sent);
      // What overlapped there overlaps here.
      for (const [i, a] of sent.entries()) {
        for (const [j, b] of sent.entries()) {
          const overlap = a.buffer === b.buffer && a.byteLength > 0 && b.byteLength > 0 &&
            a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
          if (overlap) {
            assertEquals(
              got[i]!.buffer === got[j]!.buffer && got[i]!.byteOffset - got[j]!.byteOffset,
              a.byteOffset - b.byteOffset,
            );
          }
        }
      }
    }),
    { seed: 5, numRuns: 100 },
  );
});
