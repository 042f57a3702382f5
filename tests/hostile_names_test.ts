/**
 * Names that a hostile peer asks for, or sends: path parts, keys, names of errors and classes. They reach nothing that the object's owner did
 * not put there.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { OptionsInit } from "../mod.ts";
import { ref } from "../mod.ts";
import { ACTION, BASE, DEFINITION, MESSAGE, REFERENCE, WANT } from "../protocol/messages.ts";
import * as tag from "../protocol/tags.ts";
import { base, reference, writeValue } from "./support/raw_messages.ts";
import type { RawPeer } from "./support/raw_peer.ts";
import { DIALLING, SERVING, withPeer } from "./support/raw_peer.ts";

/** Something with a function, a class instance and plain values in it. */
function attacked() {
  class Account {
    balance = 1;
    static all: Account[] = [];
    pay(n: number): number {
      return this.balance += n;
    }
  }
  return {
    plain: { a: 1, list: [1, 2, 3], text: "abc", nothing: null },
    call: (...args: unknown[]) => args.length,
    Account,
    account: ref(new Account()),
    map: ref(new Map([["a", 1]])),
    promise: Promise.resolve({ a: 1 }),
  };
}

/** The same test with an end that serves and with one that dialled. */
function onBothEnds(name: string, body: (peer: RawPeer) => Promise<void>): void {
  for (const [kind, options] of [["serving", SERVING], ["dialling", DIALLING]] as [string, OptionsInit][]) {
    Deno.test(`${name} (${kind} end)`, () => withPeer({ ...options, expose: attacked() }, body)());
  }
}

/** What leads to something, to be followed by a name. */
const WAYS: readonly (readonly string[])[] = [
  [],
  ["plain"],
  ["plain", "list"],
  ["plain", "text"],
  ["call"],
  ["Account"],
  ["account"],
  ["account", "pay"],
  ["map"],
  ["promise"],
];

const ALL_ACTIONS = [ACTION.GET, ACTION.CALL, ACTION.NEW, ACTION.INVOKE, ACTION.SET, ACTION.HAS];

/** Checks that a name is refused wherever it stands in a path, whatever is to be done with it. */
async function refused(peer: RawPeer, name: string, actions: readonly number[] = ALL_ACTIONS): Promise<void> {
  for (const way of WAYS) {
    for (const action of actions) {
      const { message } = await peer.failure({ base: base.root, path: [...way, name], action, args: [1] });
      const nothing = way.includes("text") && (action === ACTION.SET || action === ACTION.HAS);
      const reason = nothing ? "Only properties of objects" : `Cannot reach "${name}": the name is not public`;
      assertStringIncludes(message, reason, [...way, action].join());
    }
    const { message } = await peer.failure({ base: base.root, path: [...way, name, "call"], args: [1] });
    assertStringIncludes(message, `Cannot reach "${name}"`);
    const argument = reference.pending(base.root, [...way, name]);
    const inside = await peer.failure({ base: base.root, path: ["ping"], args: [[argument]] });
    assertStringIncludes(inside.message, `Cannot reach "${name}"`);
  }
  await peer.lives();
}

for (const name of ["__proto__", "constructor", "prototype", "__defineGetter__", "then"]) {
  onBothEnds(`path part ${name} is refused on every object and by every action`, (peer) => refused(peer, name));
}

onBothEnds(
  "path part hasOwnProperty is refused on every object and by every action",
  (peer) => refused(peer, "hasOwnProperty"),
);

for (const name of ["call", "apply", "bind"]) {
  onBothEnds(`path part ${name} is refused on functions, and nothing else where it is no property`, async (peer) => {
    for (const way of [["call"], ["Account"], ["account", "pay"]]) {
      for (const action of ALL_ACTIONS) {
        const { message } = await peer.failure({ base: base.root, path: [...way, name], action, args: [1] });
        assertStringIncludes(message, `Cannot reach "${name}": the name is not public`);
      }
    }
    assertEquals(await peer.result({ base: base.root, path: ["plain", name], action: ACTION.GET }), undefined);
    // A property of that name is one like any other.
    assertEquals(await peer.result({ base: base.root, path: ["call"], args: [1, 2] }), 2);
    await peer.lives();
  });
}

onBothEnds("path part toJSON is a name like others: it finds what the object has", async (peer) => {
  assertEquals(await peer.result({ base: base.root, path: ["plain", "toJSON"], action: ACTION.GET }), undefined);
  assertStringIncludes((await peer.failure({ base: base.root, path: ["plain", "toJSON"] })).message, "not a function");
  await peer.lives();
});

onBothEnds("symbols by name lead nowhere", async (peer) => {
  for (
    const name of ["Symbol.iterator", "@@iterator", "Symbol(Symbol.iterator)", "Symbol.toPrimitive", "@@toStringTag"]
  ) {
    for (const way of WAYS) {
      const call = { base: base.root, path: [...way, name] };
      assertEquals(await peer.result({ ...call, action: ACTION.GET }), undefined);
      assertStringIncludes((await peer.failure(call)).message, "is not a function");
    }
  }
  await peer.lives();
});

onBothEnds("empty and numeric path parts find elements and nothing else", async (peer) => {
  const get = (...path: string[]) => peer.result({ base: base.root, path, action: ACTION.GET });
  assertEquals(await get(""), undefined);
  assertEquals(await get("plain", ""), undefined);
  assertEquals(await get("plain", "list", "1"), 2);
  assertEquals(await get("plain", "list", "9007199254740993"), undefined);
  assertEquals(await get("plain", "list", "-1"), undefined);
  assertEquals(await get("plain", "list", "1.5"), undefined);
  assertEquals(await get("plain", "text", "1"), "b");
  assertEquals(await get("plain", "list", "length"), 3);
  await peer.lives();
});

onBothEnds("a path of 100,000 parts is a ProtocolError", async (peer) => {
  const path = new Array(100_000).fill("a");
  await peer.breaks(() => peer.issue({ base: base.root, path }), "A path has 100000 parts, 1000 are allowed");
});

onBothEnds("a path of 100,000 parts in an argument is a ProtocolError", async (peer) => {
  const args = [reference.pending(base.root, new Array(100_000).fill("a"))];
  await peer.breaks(
    () => peer.issue({ base: base.root, path: ["ping"], args }),
    "A path has 100000 parts, 1000 are allowed",
  );
});

onBothEnds("a path that claims 2^50 parts is a ProtocolError", async (peer) => {
  await peer.breaks(
    () => peer.issue({ base: base.root, path: (w) => w.varint(2 ** 50) }),
    "A path has 1125899906842624",
  );
});

onBothEnds("the longest path that is allowed is followed", async (peer) => {
  const { message } = await peer.failure({ base: base.root, path: new Array(1000).fill("a"), action: ACTION.GET });
  assertStringIncludes(message, "Cannot read properties of undefined");
  await peer.lives();
});

const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "__defineGetter__",
  "hasOwnProperty",
  "call",
  "apply",
  "bind",
  "toJSON",
  "toString",
  "valueOf",
  "",
  "0",
];

onBothEnds("such names as keys are own properties and nothing more", async (peer) => {
  for (const name of NAMES) {
    const value = Object.defineProperty({}, name, { value: { polluted: 1 }, enumerable: true });
    const back = await peer.result({ base: base.root, path: ["ping"], args: [value] }) as Record<string, unknown>;
    assertEquals(Object.getOwnPropertyDescriptor(back, name)?.value, { polluted: 1 });
    assertEquals(Object.getPrototypeOf(back), Object.prototype);
    const got = await peer.answered((id) => peer.reply(id, value)) as Record<string, unknown>;
    assertEquals(Object.getOwnPropertyDescriptor(got, name)?.value, { polluted: 1 });
    assertEquals((got as { polluted?: number }).polluted, undefined);
  }
  await peer.lives();
});

onBothEnds("such names as Map keys are keys and nothing more", async (peer) => {
  const map = new Map(NAMES.concat("then").map((name) => [name, { polluted: 1 }]));
  assertEquals(await peer.result({ base: base.root, path: ["ping"], args: [map] }), map);
  assertEquals(await peer.answered((id) => peer.reply(id, map)), map);
  await peer.lives();
});

onBothEnds("such names as error names are texts and nothing more", async (peer) => {
  for (const name of NAMES.concat("then")) {
    const error = Object.defineProperty(new Error("text"), "name", { value: name, configurable: true });
    const back = await peer.result({ base: base.root, path: ["ping"], args: [error] }) as Error;
    assertEquals([back.name, back.message, Object.getPrototypeOf(back)], [name, "text", Error.prototype]);
    const thrown = await peer.answered((id) => peer.reply(id, error, MESSAGE.FAILURE)).catch((it) => it) as Error;
    assertEquals([thrown.name, thrown.message, Object.getPrototypeOf(thrown)], [name, "text", Error.prototype]);
  }
  await peer.lives();
});

onBothEnds("such names as names of classes find none", async (peer) => {
  let number = 0;
  for (const name of NAMES.concat("then", "globalThis", "Object.prototype", "Object.__proto__")) {
    for (const text of [`across#${name}`, name, `#${name}`, `node:fs#${name}`]) {
      await peer.define(++number, DEFINITION.PUBLIC_CLASS, text);
      for (const kind of [tag.INSTANCE, tag.CUSTOM]) {
        const { message } = await peer.failure({
          base: base.root,
          path: ["ping"],
          args: (w) => {
            w.u8(tag.SHORT_ARRAY + 1);
            w.tagged(kind, number);
            writeValue(w, { polluted: 1 });
          },
        });
        assert(/^Cannot (?:run this|take class|find|receive)|is not available/.test(message), `${text}: ${message}`);
      }
    }
  }
  await peer.lives();
});

onBothEnds("names of references are texts and nothing more", async (peer) => {
  let handle = 0;
  for (const name of [...NAMES, "\u0000", "x".repeat(10_000)]) {
    const args = [[reference.mine(REFERENCE.MINE, ++handle, name), reference.mine(REFERENCE.FUNCTION, ++handle, name)]];
    const back = await peer.result({ base: base.root, path: ["ping"], args }) as unknown[];
    assertEquals(back, [{ kind: REFERENCE.YOURS, number: handle - 1 }, { kind: REFERENCE.YOURS, number: handle }]);
  }
  await peer.lives();
});

onBothEnds("assignment and deletion reach own properties of what was handed out only", async (peer) => {
  const handle = await peer.handle("account");
  const change = (action: number, path: readonly string[], args: readonly unknown[] = []) =>
    peer.result({ base: base.handle(handle), path, action, args });
  await change(ACTION.SET, ["balance"], [5]);
  assertEquals(await change(ACTION.CALL, ["pay"], [1]), 6);
  for (const name of ["toString", "hasOwnProperty", "valueOf"]) {
    const { message } = await peer.failure({ base: base.handle(handle), path: [name], action: ACTION.SET, args: [1] });
    assertStringIncludes(message, "the name is not public");
  }
  await change(ACTION.DELETE, ["pay"]);
  assertEquals(await change(ACTION.CALL, ["pay"], [1]), 7); // it is the class's
  assertEquals(await change(ACTION.HAS, ["balance"]), true);
  const { message } = await peer.failure({ base: base.handle(handle), action: ACTION.SET, args: [1] });
  assertStringIncludes(message, "Only properties");
  await peer.lives();
});

Deno.test("what starts from a base of an unknown kind is a ProtocolError", () =>
  withPeer(
    SERVING,
    (peer) =>
      peer.breaks(() => peer.issue({ base: (w) => w.u8(BASE.SOURCE + 1) }), "Cannot start from a base of kind 7"),
  )());

Deno.test("an unknown action is refused", () =>
  withPeer(SERVING, async (peer) => {
    for (const action of [9, 100, 255]) {
      const { message } = await peer.failure({ base: base.root, path: ["ping"], action, flags: WANT.VALUE });
      assertStringIncludes(message, `Cannot perform action ${action}`);
    }
    await peer.lives();
  })());
