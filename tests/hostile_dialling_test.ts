/**
 * A hostile server against an end that dialled, whose `acceptCalls` is false: it gets to start nothing, to load nothing and to look nothing up,
 * and reads no more than what was exported to it.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { packModules } from "../modules/source.ts";
import { ACTION, DEFINITION, MESSAGE, REFERENCE } from "../protocol/messages.ts";
import * as tag from "../protocol/tags.ts";
import { base, reference, writeValue } from "./support/raw_messages.ts";
import type { RawPeer } from "./support/raw_peer.ts";
import { DIALLING, withPeer } from "./support/raw_peer.ts";

const REFUSAL = "Cannot run this as the peer does not accept calls";
const CLASS_REFUSAL = "where calls are not accepted, as only those of exported modules";
const fixture = (path: string): string => new URL(`fixtures/hostile/${path}`, import.meta.url).href;
const EVIL = "data:text/javascript,globalThis.ran = true; export class Evil {}";

/** Checks that a definition cannot be called, passed as code, or be the class of an object. */
async function useless(peer: RawPeer, number: number, message: string): Promise<void> {
  const ping = { base: base.root, path: ["ping"] };
  const uses = [
    { base: base.defined(number), action: ACTION.INVOKE },
    { base: base.defined(number), action: ACTION.GET, path: ["length"] },
    { ...ping, args: [reference.code(number)] },
    ...[tag.INSTANCE, tag.CUSTOM, tag.DERIVED].map((kind) => ({
      ...ping,
      args: (w: Parameters<typeof writeValue>[0]) => {
        w.u8(tag.SHORT_ARRAY + 1);
        w.tagged(kind, number);
        if (kind === tag.DERIVED) w.tagged(tag.BUILTIN, 0);
        writeValue(w, { sides: 3 });
      },
    })),
  ];
  for (const use of uses) {
    const error = await peer.failure(use);
    assert(error.message.includes(message) || error.message.includes(REFUSAL), error.message);
  }
}

const onDialled = (name: string, body: (peer: RawPeer) => Promise<void>, options: object = {}): void =>
  Deno.test(
    name,
    withPeer({ ...DIALLING, ...options }, async (peer) => {
      await body(peer);
      assertEquals((globalThis as { ran?: unknown }).ran, undefined);
      await peer.lives();
    }),
  );

onDialled("functions by name are refused where calls are not accepted, and not looked up", async (peer) => {
  let looked = 0;
  Object.defineProperty(globalThis, "trap", { get: () => looked++, configurable: true });
  try {
    const names = ["trap", "trap.inner", "Math.max", "Function", "eval", "node:fs#readFileSync", "Deno.exit"];
    for (const [i, name] of names.entries()) {
      await peer.define(2 * i + 1, DEFINITION.PUBLIC, name);
      await useless(peer, 2 * i + 1, REFUSAL);
      await peer.define(2 * i + 2, DEFINITION.PUBLIC_CLASS, name);
      await useless(peer, 2 * i + 2, CLASS_REFUSAL);
    }
  } finally {
    delete (globalThis as { trap?: unknown }).trap;
  }
  assertEquals(looked, 0);
});

onDialled("functions by source are refused where calls are not accepted, and not compiled", async (peer) => {
  const sources = ["() => { globalThis.ran = true }", "(globalThis.ran = true, class {})", "syntax error"];
  for (const [i, source] of sources.entries()) {
    await peer.define(i + 1, DEFINITION.SOURCE, source);
    await useless(peer, i + 1, REFUSAL);
  }
});

onDialled("functions of modules are refused where calls are not accepted, and nothing is imported", async (peer) => {
  const modules = [EVIL, fixture("outside.js"), "node:fs", "https://127.0.0.1:1/x.js", "./x.js", "x", "", "@x/across"];
  for (const [i, module] of modules.entries()) {
    for (const [j, kind] of [DEFINITION.EXPORTED, DEFINITION.CLASS].entries()) {
      await peer.define(2 * i + j + 1, kind, `${module}#Evil`);
      await useless(peer, 2 * i + j + 1, "which was not exported");
    }
  }
});

onDialled("execute, import and replicate are refused where calls are not accepted, and run nothing", async (peer) => {
  const bases = [
    base.source("globalThis.ran = true"),
    base.source("await 1; globalThis.ran = true", { a: 1 }),
    base.module(EVIL),
    base.module(fixture("outside.js")),
    base.module("node:fs"),
    base.module("@x/across"),
    base.value({ a: 1 }),
  ];
  for (const base of bases) {
    for (const action of [ACTION.GET, ACTION.INVOKE]) {
      assertStringIncludes((await peer.failure({ base, action })).message, REFUSAL);
    }
  }
});

onDialled("modules that nobody wants are neither kept nor run where they are not accepted", async (peer) => {
  const id = "file:///evil.js";
  const packed = await packModules([{
    id,
    kind: "js",
    source: "globalThis.ran = true; export class Evil {}",
    imports: {},
    at: [],
  }]);
  await peer.message(MESSAGE.ROOTS, (w) => {
    w.u8(1);
    w.varint(1);
    w.string(id);
  });
  await peer.message(MESSAGE.MODULES, (w) => {
    w.varint(0);
    writeValue(w, packed);
  });
  await peer.define(1, DEFINITION.CLASS, `${id}#Evil`);
  await useless(peer, 1, "which was not exported");
  assertEquals(peer.received.filter(({ kind }) => kind === MESSAGE.FETCH), []);
});

onDialled("a refused call gives back what its arguments refer to", async (peer) => {
  await peer.failure({ base: base.module("node:fs"), args: [reference.mine(REFERENCE.MINE, 77)] });
  assertEquals(peer.connection.status().referencesHeld, 1); // until it is collected
});

onDialled("FETCH serves what was exported and nothing else, however the URL is written", async (peer) => {
  const exported = fixture("exported/");
  await peer.connection.export([exported, fixture("exported/main.js")]);
  const plain = new URL(exported).pathname;
  const refused = [
    fixture("outside.js"),
    `${exported}../outside.js`,
    `${exported}inner/../../outside.js`,
    `${exported}%2e%2e/outside.js`,
    `${exported}..%2foutside.js`,
    `${exported}%2e%2e%2foutside.js`,
    `${exported}..%5coutside.js`,
    `${exported}..\\outside.js`,
    `${exported}.secret.js`,
    `${exported}%2esecret.js`,
    `${exported}.hidden/secret.js`,
    `${exported}inner/../.secret.js`,
    `${exported}./inner/inner.js`,
    `${exported}inner//..//..//outside.js`,
    `${exported}main.js%00.js`,
    `${exported}missing.js`,
    exported,
    exported.slice(0, -1),
    plain,
    `FILE://${plain}main.js`,
    `file://localhost${plain}main.js`,
    `file:${plain}../outside.js`,
    "file:///etc/passwd",
    "file:///etc/passwd#text",
    `${exported}../../../../../../../../etc/passwd#text`,
    "data:text/javascript,1",
    "blob:null/1",
    "https://127.0.0.1:1/x.js",
    "node:fs",
    "",
    "#",
    "x".repeat(100_000),
    "@x/across/../../outside",
    "@x/across/__proto__",
    "@x/across/constructor",
    "@x/acrossother",
  ];
  let request = 0;
  for (const url of refused) {
    const answer = await peer.fetched(++request, url);
    assertInstanceOf(answer, Error, url.slice(0, 100));
  }
  for (const url of [`${exported}main.js`, `${exported}inner/inner.js`]) {
    assertInstanceOf(await peer.fetched(++request, url), Uint8Array, url);
  }
});

onDialled("an exported function does not get into a value under the name of a class", async (peer) => {
  const id = fixture("exported/main.js");
  await peer.connection.export(id);
  await peer.define(1, DEFINITION.CLASS, `${id}#wipe`);
  await useless(peer, 1, "Cannot find the class of an object");
  // A class that was exported may be named.
  await peer.define(2, DEFINITION.CLASS, `${id}#Shape`);
  const shape = await peer.answered((call) =>
    peer.reply(call, (w: Parameters<typeof writeValue>[0]) => {
      w.tagged(tag.INSTANCE, 2);
      writeValue(w, { sides: 3 });
    })
  ) as { sides: number };
  assertEquals([shape.constructor.name, shape.sides], ["Shape", 3]);
});
