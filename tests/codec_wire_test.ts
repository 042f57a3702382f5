// The elementary forms: what Writer writes, Reader reads; what it cannot have written is a ProtocolError.

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ProtocolError } from "../protocol/errors.ts";
import { Reader } from "../protocol/reader.ts";
import { Writer } from "../protocol/writer.ts";

function written(write: (writer: Writer) => void, size = 1): Uint8Array {
  const writer = new Writer(size);
  write(writer);
  return writer.bytes.slice(0, writer.position);
}

function reading(bytes: Iterable<number>): Reader {
  const reader = new Reader();
  reader.reset(Uint8Array.from(bytes));
  return reader;
}

Deno.test("Writer and Reader agree on every varint from 0 to 2^53-1", () => {
  const check = (value: number) => assertEquals(reading(written((writer) => writer.varint(value))).varint(), value);
  for (let bit = 0; bit < 53; bit++) for (const step of [-1, 0, 1]) check(Math.max(0, 2 ** bit + step));
  check(Number.MAX_SAFE_INTEGER);
  fc.assert(fc.property(fc.maxSafeNat(), check), { seed: 1 });
});

Deno.test("Writer uses one byte for each seven bits of a varint", () => {
  for (const [value, size] of [[0, 1], [127, 1], [128, 2], [2 ** 28 - 1, 4], [2 ** 28, 5], [2 ** 53 - 1, 8]] as const) {
    assertEquals(written((writer) => writer.varint(value)).length, size);
  }
});

Deno.test("Reader refuses a varint beyond 2^53-1, and one that never ends", () => {
  for (const bytes of [[255, 255, 255, 255, 255, 255, 255, 31], Array(9).fill(255), Array(1000).fill(128)]) {
    assertThrows(() => reading(bytes).varint(), ProtocolError, "malformed integer");
  }
});

Deno.test("Writer and Reader agree on every string, lone surrogates included", () => {
  const check = (text: string) => {
    const reader = reading(written((writer) => writer.string(text)));
    assertEquals(reader.string(), text);
    assertEquals(reader.position, reader.end);
  };
  for (const text of ["", "a", "a".repeat(31), "a".repeat(32), "é".repeat(70), "\ufeffbom", "\ufffd", "日本", "😀"]) {
    check(text);
  }
  for (const text of ["\ud800", "a\udc00", "\udc00\ud800", "x".repeat(5000) + "\ud800", "é".repeat(40) + "\udfff"]) {
    check(text);
  }
  for (let n = 0; n < 200; n++) for (const unit of ["é", "日", "😀", "a"]) check("b".repeat(n % 7) + unit.repeat(n));
  for (const n of [5461, 8191, 8192, 30_000]) for (const unit of ["é", "日", "a"]) check(unit.repeat(n));
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), check), { seed: 1 });
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), check), { seed: 1 });
});

Deno.test("Reader refuses overlong, truncated and surrogate UTF-8, and half a UTF-16 unit", () => {
  const forms = [[0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xff], [0xf5, 0x80, 0x80, 0x80]];
  for (const form of forms) {
    assertThrows(() => reading([form.length * 2, ...form]).string(), ProtocolError, "malformed string");
    const long = [...Array(100).fill(97), ...form];
    assertThrows(() => reading([long.length * 2 & 127 | 128, long.length * 2 >> 7, ...long]).string(), ProtocolError);
  }
  assertThrows(() => reading([3, 97]).string(), ProtocolError, "malformed string");
});

Deno.test("Reader refuses to read beyond its end, however large the claim", () => {
  for (const read of ["u8", "u32", "f64", "varint", "string"] as const) {
    assertThrows(() => reading([])[read](), ProtocolError, "ends too early");
  }
  assertThrows(() => reading(written((writer) => writer.varint(2 ** 52))).string(), ProtocolError, "ends too early");
  assertThrows(() => reading([1, 2]).raw(3), ProtocolError, "ends too early");
});

Deno.test("Reader honours the window that it was given", () => {
  const reader = new Reader();
  const bytes = written((writer) => {
    writer.u32(1);
    writer.f64(0.5);
    writer.f64(-2);
    writer.u32(0xfffffffe);
  }, 64);
  reader.reset(bytes.subarray(4), 0, 16);
  assertEquals(reader.f64(), 0.5);
  assertEquals(reader.f64(), -2);
  assertThrows(() => reader.u8(), ProtocolError);
  reader.reset(bytes, 20, 24);
  assertEquals(reader.u32(), 0xfffffffe);
});

Deno.test("Writer grows, inserts and takes back", () => {
  const writer = new Writer(1);
  for (let i = 0; i < 1000; i++) writer.u8(i & 255);
  writer.raw(new Uint8Array(5000).fill(7));
  const other = new Writer(4);
  other.string("inserted");
  writer.insert(1, other);
  const reader = reading(writer.bytes.subarray(0, writer.position));
  assertEquals([reader.u8(), reader.string(), reader.u8()], [0, "inserted", 1]);
  writer.position = 1;
  writer.u8(9);
  assertEquals([...writer.bytes.subarray(0, writer.position)], [0, 9]);
});
