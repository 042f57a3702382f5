// Instances of classes, errors, what goes by reference, and what is refused where it is encoded.

import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { OperationError } from "../protocol/errors.ts";
import { Codec, External, trip } from "./support/codec.ts";

class Point {
  x: number;
  y: number;
  constructor(x: number, y: number) {
    this.x = x;
    this.y = y;
  }
  get length() {
    return Math.hypot(this.x, this.y);
  }
  set length(_value: number) {
    throw new Error("A setter ran");
  }
}

class Registry extends Map<string, unknown> {
  owner = "me";
}

class Stack extends Array<number> {
  label = "stack";
}

class Celsius {
  #degrees: number;
  constructor(degrees: number) {
    this.#degrees = degrees;
  }
  get degrees() {
    return this.#degrees;
  }
  static acrossEncode(instance: Celsius) {
    return { degrees: instance.#degrees };
  }
  static acrossDecode(fields: { degrees: number }) {
    return new this(fields.degrees);
  }
}

class NotFound extends RangeError {
  code = "E_NOT_FOUND";
  override name = "NotFound";
}

/** Fails to encode `value`, and returns the message. */
function refusal(value: unknown, codec = new Codec()): string {
  return assertThrows(() => codec.encode(value), OperationError).message;
}

Deno.test("Encoder carries an instance of a known class: its class and its own fields", () => {
  const value = [new Point(3, 4), new Point(5, 12)];
  const result = trip(value, Point);
  assertInstanceOf(result[0], Point);
  assertEquals(result, value);
  assertEquals(result[1].length, 13);
});

Deno.test("Decoder never runs a setter of a class", () => {
  const value = new Point(1, 2);
  Object.defineProperty(value, "length", { value: 7, enumerable: true });
  assertEquals(trip(value, Point).length, 7);
});

Deno.test("Encoder carries instances of classes that extend Map, Set, Array and Date", () => {
  const registry = new Registry([["a", 1]]);
  registry.set("self", registry);
  const result = trip(registry, Registry);
  assertInstanceOf(result, Registry);
  assertEquals([result.get("a"), result.owner], [1, "me"]);
  assertStrictEquals(result.get("self"), result);
  for (const count of [3, 30]) {
    const stack = trip(Stack.from(Array.from({ length: count }, (_, i) => i)), Stack);
    assertInstanceOf(stack, Stack);
    assertEquals([stack.length, stack[2], stack.label], [count, 2, "stack"]);
  }
  const Day = class Day extends Date {};
  assertEquals(trip(new Day(5), Day).getTime(), 5);
});

Deno.test("Encoder lets a class say itself how its instances travel", () => {
  const warm = new Celsius(30);
  const result = trip({ a: warm, b: [warm] }, Celsius);
  assertInstanceOf(result.a, Celsius);
  assertEquals(result.a.degrees, 30);
  assertStrictEquals(result.b[0], result.a);
});

Deno.test("Decoder fails one value where acrossDecode() throws or is missing, or needs what it makes", () => {
  class Broken {
    self = this;
    static acrossEncode(instance: Broken) {
      return instance.self;
    }
    static acrossDecode(): never {
      throw new TypeError("No");
    }
  }
  const codec = new Codec(Broken);
  const encoded = codec.encode(new Broken(), "next");
  const error = assertThrows(() => codec.decodeAll(encoded), OperationError, "contain itself");
  assert(error);
  Object.assign(Broken, { acrossEncode: () => 1 });
  assertThrows(
    () => codec.trip(new Broken()),
    OperationError,
    "Cannot receive an instance of Broken: its acrossDecode() failed",
  );
  Object.assign(Broken, { acrossDecode: undefined });
  assertThrows(() => codec.trip(new Broken()), OperationError, "or is missing");
});

Deno.test("Encoder carries every built-in class of errors with name, message, stack and cause", () => {
  const classes = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
  for (const Class of classes) {
    const error = new Class("What happened", { cause: { deep: [1] } });
    const codec = new Codec();
    const result = codec.trip(error);
    assertStrictEquals(Object.getPrototypeOf(result), Class.prototype);
    assertEquals([result.name, result.message, result.stack], [Class.name, error.message, error.stack]);
    assertEquals(result.cause, { deep: [1] });
    assertEquals(Object.keys(result), []);
    assertEquals(codec.errors, [result]);
  }
  assertEquals(Object.hasOwn(trip(new Error()), "message"), false);
  assertEquals(Object.hasOwn(trip(new Error("x")), "cause"), false);
});

Deno.test("Encoder carries trees of errors and their own fields", () => {
  const leaf = Object.assign(new Error("leaf"), { code: "ENOENT", errno: -2, path: "/x" });
  const tree = new AggregateError([leaf, "text", new TypeError("other", { cause: leaf })], "tree");
  const result = trip(tree);
  assertInstanceOf(result, AggregateError);
  assertEquals(result.message, "tree");
  assertEquals(result.errors.length, 3);
  assertEquals([result.errors[0].code, result.errors[0].errno, result.errors[0].path], ["ENOENT", -2, "/x"]);
  assertStrictEquals(result.errors[2].cause, result.errors[0]);
});

Deno.test("Encoder carries DOMException", () => {
  const result = trip(new DOMException("Too late", "TimeoutError"));
  assertInstanceOf(result, DOMException);
  assertEquals([result.name, result.message, result.code], ["TimeoutError", "Too late", 23]);
});

Deno.test("Encoder carries an error of a known class as that, of an unknown one as the nearest known", () => {
  const error = new NotFound("gone");
  const known = trip(error, NotFound);
  assertInstanceOf(known, NotFound);
  assertEquals([known.name, known.message, known.code], ["NotFound", "gone", "E_NOT_FOUND"]);
  const unknown = trip(error);
  assertStrictEquals(Object.getPrototypeOf(unknown), RangeError.prototype);
  assertEquals([unknown.name, unknown.message, unknown.code], ["NotFound", "gone", "E_NOT_FOUND"]);
  const codec = new Codec(NotFound);
  const encoded = codec.encode(error);
  codec.classes.length = 0;
  const result = codec.decode(encoded) as Error;
  assertStrictEquals(Object.getPrototypeOf(result), RangeError.prototype);
  assertEquals(result.name, "NotFound");
});

Deno.test("Encoder leaves functions and what the session knows to it, once for each object", () => {
  const codec = new Codec();
  const callback = () => 1;
  const external = new External("x");
  const iterable = { async *[Symbol.asyncIterator]() {} };
  const result = codec.trip({ callback, list: [callback, external, external, iterable], again: iterable, C: External });
  assertEquals(codec.externals, [callback, external, iterable, External]);
  assertStrictEquals(result.list[0], callback);
  assertStrictEquals(result.list[2], external);
  assertStrictEquals(result.again, iterable);
});

Deno.test("Encoder refuses an instance of an unknown class and names its path", () => {
  class Socket {}
  const value = [{ user: { socket: new Socket() } }];
  assertEquals(
    refusal(value),
    "Cannot send args[0][0].user.socket, an instance of Socket, which the peer does not know: pass ref() of it, or export() the module of its class",
  );
  assert(
    refusal({ "a key": [0, new Map([[1, new Set([new Socket()])]])] }).startsWith(
      'Cannot send args[0]["a key"][1]<entry 0><entry 0>,',
    ),
  );
  assert(
    refusal(new Error("x", { cause: new Socket() })).startsWith("Cannot send args[0].cause, an instance of Socket"),
  );
  assert(refusal(new (class {})()).includes("an instance of an unnamed class"));
  assert(refusal(Object.create({ inherited: 1 })).startsWith("Cannot send args[0], an instance of "));
});

Deno.test("Encoder refuses what belongs to its process, even if its class has a name on both sides", () => {
  class Weak extends WeakMap {}
  const values = [
    new WeakMap(),
    new WeakRef({}),
    Promise.resolve(),
    new Response(),
    new EventTarget(),
    new Intl.NumberFormat(),
    new Weak(),
  ];
  for (const value of values) {
    const { name } = value.constructor;
    const message = refusal({ value }, new Codec(value.constructor as never));
    assertEquals(
      message,
      `Cannot send args[0].value, an instance of ${name}, which belongs to its process: pass ref() of it`,
    );
  }
});

Deno.test("Encoder refuses local symbols, shared memory, huge integers and thenables", () => {
  assertEquals(
    refusal([Symbol("secret")]),
    "Cannot send args[0][0], a symbol that no other process has: use Symbol.for()",
  );
  assertEquals(
    refusal(Symbol("Symbol.nothing")),
    "Cannot send args[0], a symbol that no other process has: use Symbol.for()",
  );
  assert(refusal({ a: new Uint8Array(new SharedArrayBuffer(8)) }).startsWith("Cannot send args[0].a, shared memory"));
  assert(refusal(new SharedArrayBuffer(8)).startsWith("Cannot send args[0], an instance of SharedArrayBuffer"));
  assert(refusal([2n ** 4_200_000n]).startsWith("Cannot send args[0][0], a bigint that is too large"));
  for (let i = 0; i < 2; i++) {
    assert(refusal([{ a: 1 }, { then() {} }]).startsWith("Cannot send args[0][1].then, a function"));
  }
  assertEquals(trip({ then: 1 }), { then: 1 });
});

Deno.test("Encoder refuses what is nested too deep, with the stack that is left or the limit", () => {
  let list: unknown = null;
  for (let i = 0; i < 10_000; i++) list = [list];
  assert(
    /^Cannot send args\[0\](\[0\])+\[?…, which is nested deeper than 1000 levels: pass ref\(\) of it$/.test(
      refusal(list),
    ),
  );
  let chain: unknown = null;
  for (let i = 0; i < 1000; i++) chain = { next: chain };
  assertEquals(trip(chain), chain);
  const deep = (): string => {
    try {
      return deep();
    } catch {
      return refusal(chain);
    }
  };
  const message = deep();
  assert(/nested (too deep for what is left of the stack|deeper)/.test(message), message);
});

Deno.test("Encoder reports the error that a getter threw, and works on", () => {
  const codec = new Codec();
  const error = new TypeError("From the getter");
  const value = {
    inner: {
      get bad() {
        throw error;
      },
    },
  };
  assertStrictEquals(assertThrows(() => codec.encode([value])), error);
  assertEquals(codec.trip({ fine: [1] }), { fine: [1] });
});

Deno.test("Encoder works on after a refusal, as if nothing had been written", () => {
  const codec = new Codec();
  const strings = Array.from({ length: 50 }, (_, i) => `text ${i}`);
  for (let i = 0; i < 3; i++) {
    refusal([{ a: 1, b: 2 }, strings, new Uint8Array(100_000), "x".repeat(100_000), new WeakMap()], codec);
    assertEquals(codec.trip([{ a: 1, b: 2 }, strings]), [{ a: 1, b: 2 }, strings]);
    assertEquals(codec.encoder.segments, []);
  }
});

Deno.test("Encoder shows no payload in its messages", () => {
  const long = "k".repeat(500);
  const message = refusal({ secretValue: "hunter2", [long]: [new Map([["hunter2", new WeakMap()]])] });
  assert(!message.includes("hunter2"));
  assert(message.length < 350, message);
});

Deno.test("Decoder refuses an object with a callable then of its own, whatever it is made of", () => {
  // The honest encoder refuses these: rename the key in what it wrote.
  const codec = new Codec(Point);
  const many = Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i]));
  const point = Object.assign(new Point(1, 2), { thex: () => 1 });
  for (
    const value of [
      { thex: () => 1 },
      [{ a: 1, thex: () => 1 }],
      point,
      { ...many, thex: () => 1 },
      Object.assign(new Error("x"), { thex: () => 1 }),
    ]
  ) {
    const encoded = codec.encode(value, "next");
    const { bytes } = encoded;
    const at = bytes.findIndex((_, i) => String.fromCharCode(...bytes.subarray(i, i + 4)) === "thex");
    bytes[at + 3] = "n".charCodeAt(0);
    assertThrows(() => codec.decodeAll(encoded), OperationError, "Cannot receive an object with a function named then");
  }
});

Deno.test("Decoder reads all of a value that it must refuse, so that no reference in it is forgotten", () => {
  class Unknown {
    callback = () => 1;
    rest = [() => 2];
  }
  const codec = new Codec(Unknown);
  const encoded = codec.encode([new Unknown(), { more: () => 3 }, new URL("https://example.org")]);
  codec.classes.length = 0;
  assertThrows(() => codec.decode(encoded), OperationError, "Cannot find class 0");
  assertEquals(codec.received, 3);
});
