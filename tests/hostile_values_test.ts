/**
 * Values that a hostile peer puts together by hand, as arguments of its calls and as results of ours: each fails the one call, breaks the
 * connection with a `ProtocolError`, or is what it claims to be. What the decoder does with them by itself is in `codec_hostile_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OperationError } from "../mod.ts";
import { BASE, MESSAGE, REFERENCE } from "../protocol/messages.ts";
import * as tag from "../protocol/tags.ts";
import type { Writer } from "../protocol/writer.ts";
import type { RawCall, Write } from "./support/raw_messages.ts";
import { base, parts, reference, writeCall, writeValue, written } from "./support/raw_messages.ts";
import type { Message, RawPeer } from "./support/raw_peer.ts";
import { DIALLING, SERVING, withPeer } from "./support/raw_peer.ts";

const MEBI = 1 << 20;

/** Arguments that are an array with this one value. */
const only = (value: Write): Write => (w) => {
  w.u8(tag.SHORT_ARRAY + 1);
  value(w);
};
const bytes = (...list: number[]): Write => (w) => w.raw(Uint8Array.from(list));
const ping = { base: base.root, path: ["ping"] };

/** Sends a message, in parts where it is large. */
async function send(peer: RawPeer, kind: number, body: Write): Promise<void> {
  const message = written((w) => {
    w.u8(kind);
    body(w);
  });
  if (message.length < 65_000) return await peer.message(kind, body);
  for (const part of parts(1, message)) await peer.send(part);
}

/** Sends a CALL and gives the answer. */
async function call(peer: RawPeer, what: RawCall): Promise<Message> {
  const id = peer.nextId();
  await send(peer, MESSAGE.CALL, (w) => writeCall(w, { ...what, id }));
  return await peer.answer(id);
}

/** What must become of a value in both directions: refused with that message. */
function refused(name: string, value: Write, message: string): void {
  Deno.test(
    `${name} fails the one call that it is an argument of`,
    withPeer(SERVING, async (peer) => {
      const answer = await call(peer, { ...ping, args: only(value) });
      assertEquals(answer.kind, MESSAGE.FAILURE);
      assertStringIncludes((answer.value as Error).message, message);
      await peer.lives();
    }),
  );
  Deno.test(
    `${name} fails the one call that it is the result of`,
    withPeer(DIALLING, async (peer) => {
      const reply = (id: number) =>
        send(peer, MESSAGE.RESULT, (w) => {
          w.varint(id);
          value(w);
        });
      await assertRejects(() => peer.answered(reply), OperationError, message);
      await peer.lives();
    }),
  );
}

/** What must become of a value in both directions: the end of the connection. */
function broken(name: string, value: Write, message: string): void {
  Deno.test(
    `${name} in an argument is a ProtocolError`,
    withPeer(
      SERVING,
      (peer) =>
        peer.breaks(
          () => send(peer, MESSAGE.CALL, (w) => writeCall(w, { ...ping, id: 1, args: only(value) })),
          message,
        ),
    ),
  );
  Deno.test(
    `${name} in a result is a ProtocolError`,
    withPeer(DIALLING, (peer) =>
      peer.breaks(async () => {
        const { number } = await peer.called(0);
        await send(peer, MESSAGE.RESULT, (w) => {
          w.varint(number);
          value(w);
        });
      }, message)),
  );
}

/** What must become of a value in both directions: it arrives, and looks like this. */
function harmless(name: string, value: Write, look: (value: unknown) => void): void {
  Deno.test(
    `${name} arrives as a result`,
    withPeer(DIALLING, async (peer) => {
      look(
        await peer.answered((id) =>
          send(peer, MESSAGE.RESULT, (w) => {
            w.varint(id);
            value(w);
          })
        ),
      );
      await peer.lives();
    }),
  );
  Deno.test(
    `${name} arrives as an argument`,
    withPeer({ ...SERVING, expose: { look: (value: unknown) => void look(value) } }, async (peer) => {
      const { kind, value: error } = await call(peer, { base: base.root, path: ["look"], args: only(value) });
      if (kind !== MESSAGE.RESULT) throw error;
      await peer.lives();
    }),
  );
}

const fn = reference.mine(REFERENCE.FUNCTION, 1, "then");
const dictionary = (...pairs: (readonly [string, Write])[]): Write => (w) => {
  w.tagged(tag.DICTIONARY, pairs.length);
  for (const [key, value] of pairs) {
    w.string(key);
    value(w);
  }
};
const THENABLE = "Cannot receive an object with a function named then";

refused("a thenable", (w) => writeValue(w, { then: fn }), THENABLE);
refused("a thenable that is a dictionary", dictionary(["then", (w) => writeValue(w, fn)]), THENABLE);
refused("a thenable without prototype", (w) => {
  w.u8(tag.NULL_OBJECT);
  dictionary(["then", (w) => writeValue(w, fn)])(w);
}, THENABLE);
refused("a thenable deep inside", (w) => writeValue(w, [new Map([["a", { b: [{ then: fn }] }]])]), THENABLE);
harmless("an object whose then is no function", (w) => writeValue(w, { then: 1 }), (value) => {
  assertEquals(value, { then: 1 });
});

for (const number of [0xdc, 0xdd, 0xde, 0xdf, 0xff]) {
  broken(`unknown tag ${number.toString(16)}`, bytes(number), "malformed value of kind");
}
broken("a hole outside of an array", bytes(tag.BUILTIN + 1, 1, tag.HOLE), "malformed value of kind");
broken("an unknown kind of reference", bytes(tag.EXTERNAL, 99), "Cannot read a reference of kind 99");

const nests: readonly (readonly [string, Write])[] = [
  ["arrays", (w) => w.u8(tag.SHORT_ARRAY + 1)],
  ["objects", (w) => {
    w.tagged(tag.DICTIONARY, 1);
    w.string("k");
  }],
  ["maps", (w) => w.tagged(tag.BUILTIN, 1)],
  ["errors", (w) => {
    w.tagged(tag.ERROR, 0);
    w.varint(0);
    w.tagged(tag.DICTIONARY, 1);
    w.string("cause");
  }],
];
for (const [name, nest] of nests) {
  refused(`depth 100,000 of ${name}`, (w) => {
    for (let i = 0; i < 100_000; i++) nest(w);
    w.u8(tag.NULL);
  }, "nested deeper than 1000 levels");
}
Deno.test(
  "depth 100,000 of variables of a script fails the one call",
  withPeer(SERVING, async (peer) => {
    const { value } = await call(peer, {
      base: (w) => {
        w.u8(BASE.SOURCE);
        w.string("1");
        for (let i = 0; i < 100_000; i++) w.u8(tag.SHORT_ARRAY + 1);
        w.u8(tag.NULL);
      },
    });
    assertStringIncludes((value as Error).message, "nested deeper than 1000 levels");
    await peer.lives();
  }),
);

broken("a reference to an object that was not there", bytes(tag.BACK, 9), "malformed reference");
broken(
  "a reference to an object that comes later",
  bytes(tag.SHORT_ARRAY + 2, tag.BACK, 5, tag.SHORT_ARRAY),
  "malformed",
);
harmless("an array that contains itself", (w) => {
  w.u8(tag.SHORT_ARRAY + 2);
  // As an argument it is the second object of the message.
  w.tagged(tag.BACK, 0);
  w.u8(1);
}, (value) => {
  assert(Array.isArray(value) && value.length === 2 && Array.isArray(value[0]));
});

const huge = 2 ** 50;
const lies: readonly (readonly [string, Write])[] = [
  ["an array", (w) => w.tagged(tag.ARRAY, huge)],
  ["a dictionary", (w) => w.tagged(tag.DICTIONARY, huge)],
  ["a string", (w) => w.tagged(tag.STRING, huge)],
  ["a string of UTF-16", (w) => w.tagged(tag.STRING, huge + 1)],
  ["a block of text", (w) => w.tagged(tag.TEXT, huge)],
  ["a map", (w) => w.tagged(tag.BUILTIN, huge)],
  ["a set", (w) => w.tagged(tag.BUILTIN + 1, huge)],
  ["headers", (w) => w.tagged(tag.BUILTIN + 5, huge)],
  ["a table of bytes", (w) => w.tagged(tag.BINARY_TABLE, huge)],
  ["bytes", (w) => {
    w.tagged(tag.BINARY_TABLE, 1);
    w.varint(huge);
  }],
  ["a segment that did not come", (w) => {
    w.tagged(tag.BINARY_TABLE, 1);
    w.varint(2 * 100 + 1);
    w.varint(0);
  }],
  ["a record", (w) => {
    w.tagged(tag.SHORT_RECORD, 8);
    w.varint(huge);
  }],
];
for (const [name, lie] of lies) broken(`${name} that lies about its length`, lie, "Received a malformed ");

const sparse = (length: number, key: string): Write => (w) => {
  w.tagged(tag.SPARSE_ARRAY, length);
  dictionary([key, bytes(7)])(w);
};
harmless("a sparse array of 2^32 - 2 elements", sparse(2 ** 32 - 2, "4294967290"), (value) => {
  assert(Array.isArray(value));
  assertEquals([value.length, value[4294967290], Object.keys(value).length], [2 ** 32 - 2, 7, 1]);
});
broken("a sparse array of 2^32 elements", sparse(2 ** 32, "1"), "malformed array");
broken("a sparse array of 2^53 - 1 elements", sparse(2 ** 53 - 1, "1"), "malformed array");

const digits = (count: number): Write => (w) => {
  w.u8(tag.BIGINT);
  w.string("f".repeat(count));
};
harmless("an integer of a million digits", digits(MEBI), (value) => {
  assertEquals((value as bigint).toString(16).length, MEBI);
});
broken("an integer of more digits than allowed", digits(MEBI + 2), "malformed bigint");
broken("an integer of no digits", digits(0), "malformed bigint");
broken("a varint that never ends", bytes(tag.INTEGER, ...new Array(12).fill(255)), "malformed integer");
broken("a varint beyond 2^53", bytes(tag.INTEGER, ...new Array(7).fill(255), 127), "malformed integer");

const expression = (source: string, flags: string): Write => (w) => {
  w.u8(tag.BUILTIN + 3);
  w.string(source);
  w.string(flags);
};
harmless("a regular expression that blows up", expression("^(a+)+(b+)+(x+x+)+y$", ""), (value) => {
  assert(value instanceof RegExp && value.source === "^(a+)+(b+)+(x+x+)+y$"); // it is not run by anybody
});
refused("a regular expression that is none", expression("(", ""), "Cannot make the RegExp");
refused("a regular expression with unknown flags", expression("a", "gg?"), "Cannot make the RegExp");

const overlong: readonly (readonly [string, readonly number[]])[] = [
  ["an overlong slash", [0xc0, 0xaf]],
  ["an overlong NUL", [0xe0, 0x80, 0x80]],
  ["a surrogate", [0xed, 0xa0, 0x80]],
  ["a code point beyond the last", [0xf4, 0x90, 0x80, 0x80]],
  ["half a character", [0x61, 0xe2, 0x82]],
];
for (const [name, text] of overlong) {
  broken(`UTF-8 with ${name}`, bytes(tag.STRING, 2 * text.length, ...text), "malformed string");
  broken(`a key of UTF-8 with ${name}`, bytes(tag.DICTIONARY, 1, 2 * text.length, ...text, 1), "malformed string");
}

Deno.test(
  "an object whose then becomes a function only when what was on its way is there is refused",
  withPeer({ ...DIALLING, expose: { late: Promise.resolve(() => {}) } }, async (peer) => {
    const late = { then: reference.pending(base.root, ["late"]) };
    await assertRejects(() => peer.answered((id) => peer.reply(id, late)), OperationError, THENABLE);
    await peer.lives();
  }),
);

Deno.test(
  "what was handed out and comes back beside something that is on its way is not looked into",
  withPeer({
    ...DIALLING,
    expose: {
      late: Promise.resolve(1),
      mine: new Proxy({ a: { b: 1 }, hasA: () => true }, { ownKeys: () => unexpected() }),
    },
  }, async (peer) => {
    const handle = await peer.handle("mine");
    const value = [reference.yours(handle), reference.pending(base.root, ["late"])];
    const got = await peer.answered((id) => peer.reply(id, value)) as [{ a: object }, number];
    assertEquals([got[0].a, got[1]], [{ b: 1 }, 1]);
    // Nor is what an operation starts from.
    const call = { base: base.handle(handle), path: ["hasA"], args: [reference.pending(base.root, ["late"])] };
    assertEquals(await peer.result(call), true);
    await peer.lives();
  }),
);

function unexpected(): never {
  throw new Error("It was looked into");
}

Deno.test(
  "objects that are linked deeper than the stack, beside something that is on its way, fail the one call",
  withPeer({ ...SERVING, expose: { late: Promise.resolve(1) } }, async (peer) => {
    // Keys in descending order: the first to be visited is the one that leads through all others.
    const count = 100_000;
    const chain = (w: Writer) => {
      w.u8(tag.SHORT_ARRAY + 2);
      writeValueAt(w);
      w.tagged(tag.DICTIONARY, count);
      for (let i = count; i > 0; i--) {
        w.string(String(i));
        w.u8(tag.SHORT_ARRAY + (i === count ? 0 : 1));
        // The objects before: the arguments, the reference, the dictionary.
        if (i < count) w.tagged(tag.BACK, 3 + count - i - 1);
      }
    };
    const writeValueAt = (w: Writer) => {
      w.u8(tag.EXTERNAL);
      reference.pending(base.root, ["late"]).write(w);
    };
    const { kind } = await call(peer, { ...ping, args: chain });
    assert(kind === MESSAGE.RESULT || kind === MESSAGE.FAILURE);
    await peer.lives();
  }),
);
