/**
 * What is embedded for ends that have nothing but an interpreter: that it can run there, and where else sources come from.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { entryImports, entrySource, extensionSource, kernelSource, pieceSource } from "../bios/embedded.ts";
import { Sources } from "../bios/sources.ts";
import config from "../deno.json" with { type: "json" };
import { OperationError } from "../protocol/errors.ts";
import { inlineConstants } from "../scripts/constants.ts";
import { assertRejects } from "./support/assert_rejects.ts";

const base64 = (text: string): string => deflateRawSync(text).toBase64().replace(/.{5}/g, "$&\n");

Deno.test("the embedded kernel and its extension are plain strict JavaScript from nowhere in particular", () => {
  const kernel = inflateRawSync(kernelSource()).toString(), extension = inflateRawSync(extensionSource()).toString();
  assertMatch(kernel, /^"use strict";/);
  for (const text of [kernel, extension]) {
    assertMatch(text, /^[\0-\x7f]*\n\/\/# sourceURL=across:core$/);
    new Function("init", `"use strict";${text}`); // parses, without import.meta and static imports
    assert(!text.includes(new URL("../", import.meta.url).pathname), "names no folder of this machine");
  }
});

Deno.test("a piece is a strict script from nowhere in particular, and there is none of what is none", () => {
  const text = inflateRawSync(pieceSource("channels")!).toString();
  assertMatch(text, /^\(\(\)=>\{"use strict";[\0-\x7f]*\}\)\(\);\n\/\/# sourceURL=across:core$/);
  new Function(text); // parses, without import.meta and static imports
  assert(!text.includes(new URL("../", import.meta.url).pathname), "names no folder of this machine");
  assertStrictEquals(pieceSource("channels"), pieceSource("channels"));
  for (const name of ["servers", "other", "toString"]) assertEquals(pieceSource(name), undefined);
});

Deno.test("the kernel has numbers in place of the names of constants", () => {
  assert(!/\bGOODBYE\b/.test(inflateRawSync(kernelSource()).toString()));
  const text =
    "const KIND = { A: 1, B: 1 << 4 }, other = { A: 2 };\nf(`${KIND.A} ${x.KIND.B}`, KIND.B, other.A, KIND.C);";
  assertEquals(
    inlineConstants(text).split("\n")[1],
    "f(`${(1)} ${x.KIND.B}`, (1 << 4), other.A, KIND.C);",
  );
});

Deno.test("every entry point is embedded, and imports nothing but across and built-in modules", async () => {
  for (const key of Object.keys(config.exports)) {
    const name = key === "." ? "mod" : key.slice(2);
    const text = await entrySource(name);
    const found = [...text.matchAll(/\b(?:from|import)\s*"([\w@][\w@:./-]+)"/g)].map(([, specifier]) => specifier!);
    const ours = found.filter((specifier) => !specifier.startsWith("node:"));
    assertEquals([...new Set(ours)].sort(), [...entryImports(name)]);
    assert(ours.every((specifier) => specifier === config.name || specifier.startsWith(`${config.name}/`)), `${ours}`);
  }
});

Deno.test("sources are unpacked from constants", async () => {
  const entry = { imports: ["@x/across"], packed: base64("export const a = 'é'") };
  const sources = new Sources(btoa("kernel"), btoa("extension"), { entry, absent: { imports: [], packed: "" } });
  assertEquals(new TextDecoder().decode(sources.kernel()), "kernel");
  assertStrictEquals(sources.kernel(), sources.kernel());
  assertEquals(new TextDecoder().decode(sources.extension()), "extension");
  assertEquals(await sources.entry("entry"), "export const a = 'é'");
  assertEquals(sources.imports("entry"), ["@x/across"]);
  assertThrows(() => sources.imports("other"), OperationError, 'Cannot find "@x/across/other": there is no such entry');
  await assertRejects(() => sources.entry("toString"), OperationError, 'Cannot find "@x/across/toString"');
  await assertRejects(() => sources.entry("absent"), OperationError, 'Cannot pass on "@x/across/absent"');
});
