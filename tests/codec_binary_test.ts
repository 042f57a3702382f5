// Buffers and views: which bytes travel, what is shared over there, what goes as a segment.

import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { Codec, trip } from "./support/codec.ts";

const LARGE = LIMITS.inlineBytes + 1;

Deno.test("Encoder carries every kind of view, element for element", () => {
  const source = Uint8Array.from({ length: 64 }, (_, i) => i * 37 & 127);
  const names = [
    "Int8",
    "Uint8",
    "Uint8Clamped",
    "Int16",
    "Uint16",
    "Int32",
    "Uint32",
    "Float32",
    "Float64",
    "BigInt64",
    "BigUint64",
    "Float16",
  ];
  for (const name of names) {
    const View = (globalThis as unknown as Record<string, Uint8ArrayConstructor | undefined>)[`${name}Array`];
    if (!View) continue;
    for (const view of [new View(source.buffer), new View(source.buffer, 16, 3), new View(0)]) {
      const result = trip(view);
      assertInstanceOf(result, View);
      assertEquals(result, view);
    }
  }
  const view = trip(new DataView(source.buffer, 3, 10));
  assertInstanceOf(view, DataView);
  assertEquals([view.byteLength, view.getUint8(0), view.getUint8(9)], [10, source[3], source[12]]);
  assertEquals(new Uint8Array(trip(source.buffer)), source);
});

Deno.test("Encoder sends large binary values as segments that it did not copy", () => {
  const codec = new Codec();
  const bytes = new Uint8Array(1 << 20).fill(7);
  const encoded = codec.encode({ bytes, again: bytes, small: new Uint8Array(LIMITS.inlineBytes) });
  assertEquals(codec.encoder.segments.length, 1);
  assertStrictEquals(codec.encoder.segments[0]!.buffer, bytes.buffer);
  assert(encoded.bytes.length < LIMITS.inlineBytes + 100);
  const result = codec.decode(encoded) as Record<string, Uint8Array>;
  assertStrictEquals(result.bytes!.buffer, encoded.segments[0]);
  assertStrictEquals(result.again, result.bytes);
});

Deno.test("Encoder sends long strings as segments", () => {
  const codec = new Codec();
  const text = "ä".repeat(LARGE);
  const encoded = codec.encode([text, { text }]);
  assertEquals(encoded.segments.map((segment) => segment.byteLength), [LARGE * 2, LARGE * 2]);
  assertEquals(codec.decode(encoded), [text, { text }]);
});

Deno.test("Encoder keeps views on one buffer together", () => {
  for (const size of [64, 100_000]) {
    const buffer = new ArrayBuffer(size);
    const value = {
      part: new Float64Array(buffer, 8, 2),
      whole: new Uint8Array(buffer),
      buffer,
      view: new DataView(buffer, 3),
    };
    const result = trip(value);
    for (const name of ["part", "whole", "view"]) assertStrictEquals(result[name].buffer, result.buffer);
    assertEquals([result.part.byteOffset, result.view.byteOffset, result.buffer.byteLength], [8, 3, size]);
    result.whole[8] = 1;
    assert(result.part[0] !== 0);
  }
});

Deno.test("Encoder keeps views together that overlap or touch, at any alignment", () => {
  for (const size of [200, 100_000]) {
    const buffer = new ArrayBuffer(size);
    const value = [
      new Uint8Array(buffer, 11, size - 50),
      new Float64Array(buffer, 16, 4),
      new Uint8Array(buffer, 3, 8),
      new Int16Array(buffer, size - 38, 1),
    ];
    const result = trip(value);
    assert(result.slice(0, 3).every((view: Uint8Array) => view.buffer === result[0].buffer));
    result[0][5] = 255;
    assert(result[1][0] !== 0);
    assertEquals(result.map((view: Uint8Array) => view.length), value.map((view) => view.length));
    assertEquals(result[3].length, 1);
  }
});

Deno.test("Encoder sends no byte that no view covers", () => {
  const secret = new TextEncoder().encode("secret");
  const buffer = new ArrayBuffer(8192);
  for (let at = 0; at < 8190; at += 6) new Uint8Array(buffer).set(secret, at);
  const codec = new Codec();
  const parts = [new Uint8Array(buffer, 13, 1), new Uint8Array(buffer, 21, 1), new Float64Array(buffer, 4096, 1)];
  const encoded = codec.encode(parts);
  assert(encoded.bytes.length < 40, `${encoded.bytes.length} bytes`);
  const result = codec.decode(encoded) as Uint8Array[];
  assertEquals<unknown>(result, parts);
  assertEquals(result.map(({ buffer }) => buffer.byteLength), [1, 1, 8]);
});

Deno.test("Encoder takes a small part of a huge buffer for what it is", () => {
  const huge = new ArrayBuffer(256 << 20);
  assert(new Codec().encode(new Uint8Array(huge, 1 << 27, 10)).bytes.length < 30);
});

Deno.test("Encoder carries a Buffer as the Uint8Array that it is", () => {
  const result = trip([Buffer.from("text"), Buffer.from("more")]);
  assertStrictEquals(Object.getPrototypeOf(result[0]), Uint8Array.prototype);
  assertEquals(new TextDecoder().decode(result[0]), "text");
  assertEquals(new TextDecoder().decode(result[1]), "more");
});

Deno.test("Encoder carries resizable and length-tracking views at the size that they have", () => {
  const buffer = new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(8, { maxByteLength: 100 });
  const result = trip([new Uint8Array(buffer, 2), buffer]);
  assertEquals([result[0].length, result[1].byteLength], [6, 8]);
});

Deno.test("Encoder puts binary values inside when there are too many for segments", () => {
  const codec = new Codec();
  const value = Array.from({ length: LIMITS.segments + 2 }, (_, i) => new Uint8Array(LARGE).fill(i));
  const encoded = codec.encode(value);
  assertEquals(encoded.segments.length, LIMITS.segments);
  const result = codec.decode(encoded) as Uint8Array[];
  assert(
    result.every((bytes, i) => bytes.length === LARGE && bytes[0] === (i & 255) && bytes[LARGE - 1] === (i & 255)),
  );
});

Deno.test("Encoder carries binary values in every value of a message", () => {
  const codec = new Codec();
  const first = new Uint8Array([1, 2, 3]);
  const result = codec.decodeAll(
    codec.encode(first, [first, new Uint8Array(LARGE)], "text", new Map([[first, new Uint16Array([9])]])),
  );
  const [one, two, , four] = result as [Uint8Array, Uint8Array[], string, Map<Uint8Array, Uint16Array>];
  assertStrictEquals(two[0], one);
  assertEquals([...four.entries()], [[one, new Uint16Array([9])]]);
});

Deno.test("Decoder refuses segments that are not there, used twice or of another size", () => {
  const codec = new Codec();
  const encoded = codec.encode(new Uint8Array(LARGE));
  const { bytes, segments } = encoded;
  assertThrows(() => codec.decode({ bytes, segments: [] }), ProtocolError, "malformed segment");
  assertThrows(
    () => codec.decode({ bytes, segments: [new ArrayBuffer(LARGE - 1)] }),
    ProtocolError,
    "malformed segment",
  );
  const twice = new Uint8Array(bytes.length * 2);
  twice.set(bytes);
  twice.set(bytes, bytes.length);
  assertThrows(() => codec.decodeAll({ bytes: twice, segments }), ProtocolError, "malformed segment");
});

Deno.test("Decoder refuses views beyond their buffer, unaligned ones and unknown kinds", () => {
  const codec = new Codec();
  const { bytes } = codec.encode(new Float64Array(2));
  // The table, one chunk of 16 bytes, one view (chunk, offset, length), the value and its kind.
  assertEquals(bytes.length, 2 + 1 + 16 + 1 + 3 + 2);
  const changes: [index: number, value: number][][] = [
    [[19, 0]],
    [[20, 1]],
    [[21, 8]],
    [[21, 4], [22, 8]],
    [[22, 7]],
    [[22, 8], [24, 0]],
    [[24, 14]],
    [[24, 99]],
  ];
  for (const change of changes) {
    const changed = bytes.slice();
    for (const [index, value] of change) changed[index] = value;
    assertThrows(() => codec.decode({ bytes: changed, segments: [] }), ProtocolError, "malformed");
  }
});

Deno.test("Decoder copies what it takes from a Buffer that is used again", () => {
  const codec = new Codec();
  const value = [new Uint8Array([1, 2, 3]), "\ud800", "text", { key: 2n ** 70n }];
  const { bytes } = codec.encode(value);
  const reused = Buffer.from(bytes);
  const result = codec.decode({ bytes: reused as Uint8Array<ArrayBuffer>, segments: [] });
  reused.fill(0);
  assertEquals(result, value);
  assertEquals(codec.trip({ key: 1 }), { key: 1 });
});
