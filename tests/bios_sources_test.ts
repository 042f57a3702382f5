import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { coreSource, entryImports, entrySource } from "../bios/embedded.ts";
import { Sources } from "../bios/sources.ts";
import config from "../deno.json" with { type: "json" };
import { OperationError } from "../protocol/errors.ts";
import { assertRejects } from "./support/assert_rejects.ts";

const base64 = (text: string): string => deflateRawSync(text).toBase64().replace(/.{5}/g, "$&\n");

Deno.test("the embedded core is plain strict JavaScript from nowhere in particular", () => {
  const text = inflateRawSync(coreSource()).toString();
  assertMatch(text, /^"use strict";[\0-\x7f]*\n\/\/# sourceURL=across:core$/);
  new Function("init", text); // parses
  assert(!text.includes(new URL("../", import.meta.url).pathname), "names no folder of this machine");
  assertEquals(text.match(/\bawait using\b|\bimport\.meta\b/g), null);
});

Deno.test("every entry point is embedded, and imports nothing but across and built-in modules", async () => {
  for (const key of Object.keys(config.exports)) {
    if (key === ".") continue;
    const name = key.slice(2);
    const text = await entrySource(name);
    const found = [...text.matchAll(/\b(?:from|import)\s*"([^"]+)"/g)].map(([, specifier]) => specifier!);
    const ours = found.filter((specifier) => !specifier.startsWith("node:"));
    assertEquals([...new Set(ours)].sort(), [...entryImports(name)]);
    assert(ours.every((specifier) => specifier === config.name || specifier.startsWith(`${config.name}/`)), `${ours}`);
  }
});

Deno.test("sources come from constants, until an end adopts those that it was given", async () => {
  const entry = { imports: ["@x/across"], packed: base64("export const a = 'é'") };
  const sources = new Sources(btoa("core"), { entry, absent: { imports: [], packed: "" } });
  assertEquals(new TextDecoder().decode(sources.core()), "core");
  assertStrictEquals(sources.core(), sources.core());
  assertEquals(await sources.entry("entry"), "export const a = 'é'");
  assertEquals(sources.imports("entry"), ["@x/across"]);
  assertThrows(() => sources.imports("other"), OperationError, 'Cannot find "@x/across/other": there is no such entry');
  await assertRejects(() => sources.entry("toString"), OperationError, 'Cannot find "@x/across/toString"');
  await assertRejects(() => sources.entry("absent"), OperationError, 'Cannot pass on "@x/across/absent"');

  const core = new Uint8Array([1, 2, 3]);
  let calls = 0;
  sources.adopt(core, (name) => {
    if (!calls++) throw new Error("Not yet");
    return `// ${name}`;
  });
  assertStrictEquals(sources.core(), core);
  await assertRejects(() => sources.entry("absent"), Error, "Not yet");
  assertEquals(await Promise.all([sources.entry("absent"), sources.entry("absent")]), ["// absent", "// absent"]);
  assertEquals(calls, 2);
});
