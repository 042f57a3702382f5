// Each kind of value that travels by value, on its own: docs/values.md, row by row.

import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { Codec, trip } from "./support/codec.ts";

function check(...values: unknown[]): void {
  for (const value of values) assertEquals(trip(value), value);
}

Deno.test("Encoder carries undefined, null and booleans", () => check(undefined, null, true, false));

Deno.test("Encoder carries every number, NaN, -0 and the infinities included", () => {
  const numbers = [0, 1, 63, 127, 128, 255, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 1e300, 5e-324, 0.1, Infinity, NaN];
  for (const number of numbers) {
    for (const value of [number, -number, number + 1]) assert(Object.is(trip(value), value));
  }
});

Deno.test("Encoder carries integers of any size", () => {
  const sizes = [0n, 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n, 2n ** 70n, 2n ** 4000n];
  check(...sizes, ...sizes.map((value) => -value), -(2n ** 63n) - 1n);
});

Deno.test("Encoder carries strings of any length and content", () => {
  check("", "a", "x".repeat(31), "x".repeat(32), "é", "日本語", "😀", "\ud800", "a\udfffb", "\ufeff", "\0");
  check("y".repeat(20_000), "é".repeat(20_000), "\ud800".repeat(20_000), "日".repeat(100_000));
});

Deno.test("Encoder carries many strings, which share blocks of text", () => {
  const strings = Array.from(
    { length: 5000 },
    (_, i) => ["", `plain ${i}`, `é${i}`, "\ud800", "\udc00x", "z".repeat(i % 1500)][i % 6],
  );
  check(strings, new Map(strings.map((text, i) => [text, { [`k${i % 9}`]: text }])));
});

Deno.test("Encoder carries well-known and registered symbols", () => {
  for (
    const symbol of [
      Symbol.iterator,
      Symbol.asyncIterator,
      Symbol.for("a"),
      Symbol.for(""),
      Symbol.for("Symbol.iterator"),
    ]
  ) {
    assertStrictEquals(trip(symbol), symbol);
  }
});

Deno.test("Encoder carries plain objects with their own enumerable string keys, in order", () => {
  const value = Object.create({}, {});
  assertEquals(trip({ b: 1, a: { c: [] }, "": 0, "x y": 2, 3: 4, "日": 5 }), {
    b: 1,
    a: { c: [] },
    "": 0,
    "x y": 2,
    3: 4,
    "日": 5,
  });
  assertEquals(Object.keys(trip({ z: 1, y: 1, 2: 1, 1: 1 })), ["1", "2", "z", "y"]);
  void value;
  const hidden = Object.defineProperty({ seen: 1, [Symbol.for("s")]: 2 }, "hidden", { value: 3 });
  assertEquals(Object.getOwnPropertyDescriptors(trip(hidden)), {
    seen: { value: 1, writable: true, enumerable: true, configurable: true },
  } as never);
});

Deno.test("Encoder reads getters once, and what they change meanwhile does no harm", () => {
  let reads = 0;
  const value = {
    get a() {
      reads++;
      return 1;
    },
    b: 2,
  };
  assertEquals(trip(value), { a: 1, b: 2 });
  assertEquals(reads, 1);
  const shrinking = () => ({
    get a() {
      delete (this as { b?: number }).b;
      return 1;
    },
    b: 2 as number | undefined,
  });
  assertEquals(trip(shrinking()), { a: 1, b: undefined });
});

Deno.test("Encoder carries objects with more keys than a shape may have", () => {
  for (const size of [63, 64, 65, 1000]) {
    check(Object.fromEntries(Array.from({ length: size }, (_, i) => [`key${i}`, i])));
  }
});

Deno.test("Encoder carries objects without prototype", () => {
  const value = Object.assign(Object.create(null), { a: 1, b: Object.create(null) });
  const result = trip(value);
  assertEquals(Object.getPrototypeOf(result), null);
  assertEquals(Object.getPrototypeOf(result.b), null);
  assertEquals({ ...result, b: 0 }, { a: 1, b: 0 });
});

Deno.test("Encoder takes __proto__ for a key like any other", () => {
  for (const text of ['{"__proto__":{"polluted":1}}', '{"a":1,"__proto__":2,"constructor":3,"toString":4}']) {
    const result = trip(JSON.parse(text));
    assertEquals(Object.getPrototypeOf(result), Object.prototype);
    assertEquals(JSON.stringify(result), text);
  }
  const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i]));
  Object.defineProperty(many, "__proto__", { value: 1, enumerable: true });
  assertEquals(Object.keys(trip(many)).at(-1), "__proto__");
  const bare = Object.create(null);
  Object.defineProperty(bare, "__proto__", { value: 1, enumerable: true });
  assertEquals(Object.keys(trip(bare)), ["__proto__"]);
  assertEquals(({} as { polluted?: number }).polluted, undefined);
});

Deno.test("Encoder carries arrays, with their holes", () => {
  check([], [1], [[]], Array(15).fill(0), Array(16).fill("x"), Array.from({ length: 3000 }, (_, i) => i));
  const holes = [, 1, , undefined, , ,];
  const result = trip(holes);
  assertEquals(result.length, 6);
  assertEquals(Object.keys(result), ["1", "3"]);
});

Deno.test("Encoder carries an array of length 2^32-1 with a few elements in no time", () => {
  for (const length of [2000, 1e6, 2 ** 32 - 2, 2 ** 32 - 1]) {
    const value: unknown[] = [];
    value.length = length;
    value[7] = "seven";
    value[length - 2] = "last";
    const result = trip(value);
    assertEquals(result.length, length);
    assertEquals(Object.entries(result), [["7", "seven"], [String(length - 2), "last"]]);
  }
});

Deno.test("Encoder carries maps and sets, in order, with keys of any kind", () => {
  const key = { k: 1 };
  const map = new Map<unknown, unknown>([[key, "object"], [NaN, "nan"], ["__proto__", new Map()], [
    1n,
    new Set([key]),
  ]]);
  const result = trip({ map, key });
  assertEquals([...result.map.keys()], [...map.keys()]);
  assertStrictEquals([...result.map.keys()][0], result.key);
  assertStrictEquals([...result.map.get(1n)][0], result.key);
  check(new Set([3, 1, 2, "x", undefined]), new Map(), new Set());
});

Deno.test("Encoder carries dates, invalid ones too", () => {
  check(new Date(0), new Date(-1), new Date(8.64e15));
  assert(Number.isNaN(trip(new Date(NaN)).getTime()));
});

Deno.test("Encoder carries regular expressions with their flags", () => {
  for (const value of [/a/, /[/]\n/gimsuy, new RegExp(""), /(?<y>\d)/d]) {
    const result = trip(value);
    assertInstanceOf(result, RegExp);
    assertEquals([result.source, result.flags, result.lastIndex], [value.source, value.flags, 0]);
  }
});

Deno.test("Encoder carries URLs and headers", () => {
  const url = trip(new URL("https://user@example.org:81/ä?q#h"));
  assertInstanceOf(url, URL);
  assertEquals(url.href, "https://user@example.org:81/%C3%A4?q#h");
  const headers = new Headers([["a", "1"], ["set-cookie", "x"], ["set-cookie", "y"]]);
  const result = trip(headers);
  assertInstanceOf(result, Headers);
  assertEquals([...result], [...headers]);
});

Deno.test("Encoder carries boxed primitives", () => {
  for (const value of [1, NaN, "text", "", true, false, 5n, Symbol.iterator]) {
    const result = trip(Object(value));
    assertEquals(typeof result, "object");
    assertEquals(Object.getPrototypeOf(result), Object.getPrototypeOf(Object(value)));
    assert(Object.is(result.valueOf(), value));
  }
});

Deno.test({
  name: "Encoder carries Temporal types",
  ignore: !("Temporal" in globalThis),
  fn() {
    // deno-lint-ignore no-explicit-any
    const { Temporal } = globalThis as any;
    const texts: Record<string, string> = {
      Instant: "2020-01-02T03:04:05.000000006Z",
      PlainDate: "2020-01-02[u-ca=hebrew]",
      PlainTime: "03:04:05.006",
      PlainDateTime: "2020-01-02T03:04:05",
      PlainYearMonth: "2020-01",
      PlainMonthDay: "12-24",
      ZonedDateTime: "2020-01-02T03:04:05+01:00[Europe/Zurich]",
      Duration: "P1Y2M3DT4H5M6.007S",
    };
    for (const [name, text] of Object.entries(texts)) {
      const value = Temporal[name].from(text);
      const result = trip(value);
      assertInstanceOf(result, Temporal[name]);
      assertEquals(String(result), String(value));
    }
  },
});

Deno.test("Encoder keeps cycles and shared identity, through every kind of container", () => {
  const shared = { shared: true };
  const value: Record<string, unknown> = {
    shared,
    again: shared,
    map: new Map(),
    set: new Set(),
    error: new Error("x"),
  };
  value.self = value;
  (value.map as Map<unknown, unknown>).set(value.map, value.set);
  (value.set as Set<unknown>).add(value.map);
  (value.error as Error).cause = value.error;
  value.bare = Object.assign(Object.create(null), { up: value });
  value.list = [value, shared, Array.from({ length: 50 }, () => shared)];
  const result = trip(value);
  assertStrictEquals(result.self, result);
  assertStrictEquals(result.again, result.shared);
  assertStrictEquals(result.map.get(result.map), result.set);
  assert(result.set.has(result.map));
  assertStrictEquals(result.error.cause, result.error);
  assertStrictEquals(result.bare.up, result);
  assertStrictEquals(result.list[0], result);
  assert(result.list[2].every((item: unknown) => item === result.shared));
});

Deno.test("Encoder keeps identity between the values of one message, not beyond", () => {
  const codec = new Codec();
  const date = new Date(1);
  const [one, two] = codec.decodeAll(codec.encode({ date }, [date])) as [{ date: Date }, [Date]];
  assertStrictEquals(one.date, two[0]);
  const next = codec.trip([date]);
  assert(next[0] !== one.date);
});

Deno.test("Encoder sends keys once in a message, and decodes shapes that it knows from earlier ones", () => {
  const codec = new Codec();
  const row = (i: number) => ({ identifier: i, description: i + 1 });
  const one = codec.encode([row(1)]).bytes.length;
  const hundred = codec.encode(Array.from({ length: 100 }, (_, i) => row(i))).bytes.length;
  assert(hundred < one + 99 * 4, `${hundred} bytes`);
  for (let round = 0; round < 3; round++) {
    const rows = Array.from({ length: 300 }, (_, i) => ({ [`key ${i}`]: i, same: { a: i, b: [row(i)] } }));
    assertEquals(codec.trip(rows), rows);
  }
});
