// Messages made to hurt, one by one: what they claim is not believed, what they ask for stays bounded by what they are.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { OperationError, ProtocolError } from "../protocol/errors.ts";
import * as tag from "../protocol/tags.ts";
import { Writer } from "../protocol/writer.ts";
import { Codec, type Encoded, message } from "./support/codec.ts";

const MEBI = 1 << 20;

function written(write: (writer: Writer) => void): Encoded {
  const writer = new Writer(64);
  write(writer);
  return { bytes: writer.bytes.slice(0, writer.position), segments: [] };
}

/** Repeats what `write` writes until there is a MiB of it, behind the head of an array that is long enough. */
function mebibyteOf(write: (writer: Writer, index: number) => void): Encoded {
  return written((writer) => {
    writer.tagged(tag.ARRAY, MEBI);
    for (let index = 0; writer.position < MEBI; index++) write(writer, index);
  });
}

/** Decodes what must fail or not, within some seconds (a quadratic decoder would take minutes) and some memory. */
function bounded(encoded: Encoded, codec = new Codec()): void {
  const before = Deno.memoryUsage();
  const start = performance.now();
  let values: unknown[] = [];
  try {
    values = codec.decodeAll(encoded);
  } catch (error) {
    assert(error instanceof ProtocolError || error instanceof OperationError, String(error));
  }
  const after = Deno.memoryUsage();
  const taken = after.heapUsed + after.external - before.heapUsed - before.external;
  const seconds = (performance.now() - start) / 1000;
  assert(seconds < 30, `${seconds} s`);
  assert(taken < 600 * MEBI, `${Math.round(taken / MEBI)} MiB for ${encoded.bytes.length} bytes`);
  void values;
}

Deno.test("Decoder believes no count: arrays, maps, shapes, texts and tables of 2^50 items allocate nothing", () => {
  const huge = 2 ** 50;
  const claims: ((writer: Writer) => void)[] = [
    (writer) => writer.tagged(tag.ARRAY, huge),
    (writer) => writer.tagged(tag.DICTIONARY, huge),
    (writer) => writer.tagged(tag.STRING, huge),
    (writer) => writer.tagged(tag.STRING, huge + 1),
    (writer) => writer.tagged(tag.TEXT, huge),
    (writer) => writer.tagged(tag.TEXT_STRING, huge),
    (writer) => writer.tagged(tag.SEGMENT_STRING, huge),
    (writer) => writer.tagged(tag.BACK, huge),
    (writer) => writer.tagged(tag.RECORD, huge),
    (writer) => writer.tagged(tag.SHORT_RECORD, huge),
    (writer) => {
      writer.tagged(tag.SHORT_RECORD, 8);
      writer.varint(huge);
    },
    (writer) => writer.tagged(tag.BUILTIN, huge),
    (writer) => writer.tagged(tag.BUILTIN + 1, huge),
    (writer) => writer.tagged(tag.BUILTIN + 5, huge),
    (writer) => writer.tagged(tag.BINARY_TABLE, huge),
    (writer) => {
      writer.tagged(tag.BINARY_TABLE, 1);
      writer.varint(huge);
    },
    (writer) => {
      writer.tagged(tag.BINARY_TABLE, 0);
      writer.varint(huge);
    },
    (writer) => writer.tagged(tag.BIGINT, huge),
    (writer) => writer.tagged(tag.REGISTERED_SYMBOL, huge),
  ];
  for (const claim of claims) {
    const encoded = written(claim);
    const before = Deno.memoryUsage();
    assertThrows(() => new Codec().decode(encoded), ProtocolError);
    const after = Deno.memoryUsage();
    assert(after.heapTotal + after.external - before.heapTotal - before.external < 64 * MEBI);
  }
});

Deno.test("Decoder refuses depth 100,000 with an OperationError, whatever nests", () => {
  const nests: ((writer: Writer) => void)[] = [
    (writer) => writer.u8(tag.SHORT_ARRAY + 1),
    (writer) => writer.tagged(tag.ARRAY, 1),
    (writer) => writer.tagged(tag.BUILTIN, 1),
    (writer) => writer.tagged(tag.BUILTIN + 1, 1),
    (writer) => writer.tagged(tag.CUSTOM, 0),
    (writer) => {
      writer.tagged(tag.DICTIONARY, 1);
      writer.string("k");
    },
    (writer) => {
      writer.tagged(tag.SPARSE_ARRAY, 1);
      writer.tagged(tag.DICTIONARY, 1);
      writer.string("0");
    },
  ];
  for (const nest of nests) {
    const encoded = written((writer) => {
      for (let i = 0; i < 100_000; i++) nest(writer);
      writer.u8(tag.NULL);
    });
    assertThrows(() => new Codec(Object as never).decode(encoded), OperationError, "nested deeper than 1000 levels");
  }
});

Deno.test("Decoder reads a MiB of the worst of each kind in linear time and memory", () => {
  const worst: [name: string, write: (writer: Writer, index: number) => void][] = [
    ["holes", (writer) => writer.u8(tag.HOLE)],
    ["empty arrays", (writer) => writer.u8(tag.SHORT_ARRAY)],
    ["arrays that claim", (writer) => writer.tagged(tag.ARRAY, 100_000)],
    ["empty objects", (writer) => writer.tagged(tag.DICTIONARY, 0)],
    ["empty maps", (writer) => writer.tagged(tag.BUILTIN, 0)],
    ["empty sets", (writer) => writer.tagged(tag.BUILTIN + 1, 0)],
    ["back references", (writer, i) => writer.tagged(tag.BACK, i % 1 ? i : 0)],
    ["blocks of text", (writer) => {
      writer.u8(tag.TEXT);
      writer.string("ab");
      writer.tagged(tag.TEXT_STRING, 2);
    }],
    ["new shapes", (writer, i) => {
      writer.tagged(tag.RECORD, i);
      writer.varint(String(i).length + 2);
      writer.varint(1);
      writer.string(String(i));
      writer.u8(tag.NULL);
    }],
    ["sparse arrays", (writer) => {
      writer.tagged(tag.SPARSE_ARRAY, 2 ** 32 - 1);
      writer.tagged(tag.DICTIONARY, 2);
      for (const index of ["1000", "2147483648"]) {
        writer.string(index);
        writer.u8(0);
      }
    }],
    ["errors", (writer) => {
      writer.tagged(tag.ERROR, 0);
      writer.varint(0);
      writer.tagged(tag.DICTIONARY, 0);
    }],
    ["regular expressions", (writer) => {
      writer.u8(tag.BUILTIN + 3);
      writer.string("(a+)+$");
      writer.string("");
    }],
  ];
  for (const [name, write] of worst) {
    try {
      bounded(mebibyteOf(write));
    } catch (error) {
      throw new Error(name, { cause: error });
    }
  }
});

Deno.test("Decoder reads objects and shapes of very many keys in linear time", () => {
  bounded(written((writer) => {
    writer.tagged(tag.DICTIONARY, 150_000);
    for (let i = 0; i < 150_000; i++) {
      writer.string(`key ${i}`);
      writer.u8(0);
    }
  }));
  const keys = written((writer) => {
    writer.varint(100_000);
    for (let i = 0; i < 100_000; i++) writer.string(`key ${i}`);
  }).bytes;
  bounded(written((writer) => {
    writer.u8(tag.SHORT_RECORD);
    writer.varint(keys.length);
    writer.raw(keys);
    for (let i = 0; i < 100_000; i++) writer.u8(0);
  }));
});

Deno.test("Decoder reads very many views of one buffer in linear time", () => {
  const bytes = new Uint8Array(2000);
  bounded(new Codec().encode(Array.from({ length: 2000 }, (_, i) => bytes.subarray(i % 7, i + 1))));
});

Deno.test("Decoder gives sparse arrays no more memory than elements", () => {
  const sparse = (length: number, key: string) =>
    written((writer) => {
      writer.tagged(tag.SPARSE_ARRAY, length);
      writer.tagged(tag.DICTIONARY, 1);
      writer.string(key);
      writer.u8(7);
    });
  const array = new Codec().decode(sparse(2 ** 32 - 1, "4294967293")) as unknown[];
  assertEquals([array.length, array[2 ** 32 - 3]], [2 ** 32 - 1, 7]);
  for (const length of [0, 5]) assertEquals((new Codec().decode(sparse(length, "5")) as unknown[]).length, length);
  for (const length of [2 ** 32, 2 ** 53 - 1]) {
    assertThrows(() => new Codec().decode(sparse(length, "0")), ProtocolError, "malformed array");
  }
  assertThrows(() => new Codec().decode(sparse(9, "length")), OperationError, "Cannot receive a value");
});

Deno.test("Decoder takes no malformed integers of many digits", () => {
  const digits = (text: string) =>
    written((writer) => {
      writer.u8(tag.BIGINT);
      writer.string(text);
    });
  for (const text of ["", "-", "0x10", "g", "1 ", "--1", "f".repeat(2 * MEBI)]) {
    assertThrows(() => new Codec().decode(digits(text)), ProtocolError, "malformed bigint");
  }
  assertEquals(new Codec().decode(digits("-ff")), -255n);
  bounded(digits("f".repeat(MEBI)));
});

Deno.test("Decoder compiles regular expressions, but never runs them; bad ones are refused", () => {
  const expression = (source: string, flags: string) =>
    written((writer) => {
      writer.u8(tag.BUILTIN + 3);
      writer.string(source);
      writer.string(flags);
    });
  const bomb = new Codec().decode(expression("(x+x+)+y", "")) as RegExp;
  assertEquals(bomb.source, "(x+x+)+y");
  for (const [source, flags] of [["(", ""], ["a", "gg"], ["a", "zz"], ["(?<n>", "u"]] as const) {
    assertThrows(
      () => new Codec().decode(expression(source, flags)),
      OperationError,
      "Cannot make the RegExp that was received",
    );
  }
});

Deno.test("Decoder refuses dangling, self-made and forward references", () => {
  for (const bytes of [[tag.BACK, 0], [tag.SHORT_ARRAY + 1, tag.BACK, 1], [tag.SHORT_ARRAY + 2, tag.BACK, 9, 0]]) {
    assertThrows(() => new Codec().decode(message(...bytes)), ProtocolError, "malformed reference");
  }
  const own = new Codec().decode(message(tag.SHORT_ARRAY + 1, tag.BACK, 0)) as unknown[];
  assert(own[0] === own);
});

Deno.test("Decoder finds unknown tags, kinds, shapes and boxes malformed or refuses them", () => {
  const malformed = [
    [tag.HOLE],
    [tag.BINARY, 3],
    [tag.BUILTIN + 31],
    [0xdd],
    [0xff],
    [tag.SHORT_RECORD + 1],
    [tag.NULL_OBJECT, tag.NULL],
    [tag.INSTANCE, 0, tag.SHORT_ARRAY],
    [tag.DERIVED, 0, tag.NULL, tag.DICTIONARY, 0],
    [tag.ERROR, 99, 0, tag.DICTIONARY, 0],
    [tag.SHORT_RECORD, 4, 1, 2, 97, 97, 0],
    [tag.SHORT_RECORD, 5, 2, 2, 97, 2, 97, 0, 0],
    [tag.TEXT, 2, 97, tag.TEXT, 2, 97, 0],
  ];
  for (const bytes of malformed) {
    assertThrows(() => new Codec(Map).decode(message(...bytes)), ProtocolError, "Received a malformed");
  }
  const refused = [[tag.BUILTIN + 4, tag.NULL], [tag.BUILTIN + 4, tag.SHORT_ARRAY], [tag.SYMBOL, 2, 120], [
    tag.BUILTIN + 6,
    2,
    120,
  ], [tag.INSTANCE, 9, tag.DICTIONARY, 0]];
  for (const bytes of refused) assertThrows(() => new Codec(Map).decode(message(...bytes)), OperationError, "Cannot ");
});

Deno.test("Decoder takes names of prototypes for keys, map keys, error names and classes like any others", () => {
  const names = [
    "__proto__",
    "constructor",
    "prototype",
    "__defineGetter__",
    "hasOwnProperty",
    "toJSON",
    "valueOf",
    "toString",
    "then",
  ];
  const value = names.map((name) => [
    Object.defineProperty({}, name, { value: { polluted: 1 }, enumerable: true }),
    new Map([[name, name]]),
    Object.defineProperty(new Error("x"), name, { value: "text", enumerable: true }),
    Object.assign(new Error(name), { name }),
  ]);
  const result = new Codec().trip(value) as typeof value;
  for (const [i, name] of names.entries()) {
    const [object, map, error, named] = result[i] as [Record<string, unknown>, Map<string, string>, Error, Error];
    assertEquals(Object.getOwnPropertyDescriptor(object, name)?.value, { polluted: 1 });
    assertEquals(Object.getPrototypeOf(object), Object.prototype);
    assertEquals([...map], [[name, name]]);
    assertEquals(Object.getOwnPropertyDescriptor(error, name)?.value, "text");
    assertEquals(Object.getPrototypeOf(error), Error.prototype);
    assertEquals([named.name, named.message], [name, name]);
  }
  assertEquals((Object.prototype as { polluted?: number }).polluted, undefined);
});
