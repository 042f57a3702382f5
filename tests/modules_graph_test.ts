/**
 * What an exporting side serves, and what it refuses.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import * as esbuild from "esbuild";
import { ModuleGraph } from "../modules/graph.ts";
import { addOwner, dropOwner } from "../modules/installed.ts";
import { type ModuleSource, packModules, unpackModules } from "../modules/source.ts";
import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { type Folder, folder, serving } from "./support/module_fixtures.ts";

const NOTHING: ReadonlySet<string> = new Set();
const FILES = {
  "src/main.ts": `import { a } from "./a.ts"; import { up } from "../up.ts"; export { a, up };\n`,
  "src/a.ts": `import type { T } from "./types.ts"; import { type U, b } from "./b.ts"; export const a: T = b;\n`,
  "src/b.ts": `export const b = 1; export type U = 2; // from "./not.ts"\n`,
  "src/types.ts": "export type T = number;\n",
  "src/other.ts": "export const other = 1;\n",
  "src/.env.ts": "export const secret = 1;\n",
  "src/.git/config.js": "export const secret = 1;\n",
  "src/dotted.ts": `import "./.env.ts";\n`,
  "src/outside.ts": `import "../up.ts";\n`,
  "src/common.cjs": "module.exports = 1;\n",
  "src/page.tsx": "export const page = <p/>;\n",
  "src/notes.txt": "notes\n",
  "src/data.json": "{}",
  "src/enum.ts": "export enum Color { Red = 1 }\nexport const red: Color = Color.Red;\n",
  "src/broken.ts": "export const a: = ;\n",
  "up.ts": "export const up = 1;\n",
};

const names = (place: Folder, modules: readonly ModuleSource[]): string[] =>
  modules.map(({ id, kind }) => id.replace(place.url, "") + (kind === "js" ? "" : ` (${kind})`)).sort();

Deno.test("ModuleGraph serves a module and what it imports, and no more", async () => {
  await using place = await folder(FILES);
  const graph = serving(place.at("src/main.ts"));
  assert(graph.serves(place.at("src/main.ts")) && !graph.serves(place.at("src/a.ts")));
  const modules = await graph.collect([place.at("src/main.ts")], NOTHING);
  assertEquals(names(place, modules), ["src/a.ts", "src/b.ts", "src/main.ts", "up.ts"]);
  assert(graph.serves(place.at("src/a.ts")) && graph.serves(place.at("up.ts")));
  assertEquals(
    modules[0]!.imports,
    Object.assign(Object.create(null), { "./a.ts": place.at("src/a.ts"), "../up.ts": place.at("up.ts") }),
  );
  for (
    const id of [
      place.at("src/other.ts"),
      place.at("src/types.ts"),
      "file:///etc/passwd",
      "node:fs",
      "nonsense",
      place.url,
    ]
  ) {
    assert(!graph.serves(id));
    await assertRejects(
      () => graph.collect([id], NOTHING),
      OperationError,
      `Cannot serve "${id}": it is not part of what was exported`,
    );
  }
});

Deno.test("ModuleGraph leaves out what is known", async () => {
  await using place = await folder(FILES);
  const graph = serving(place.at("src/main.ts"));
  const known = new Set([place.at("src/a.ts"), place.at("src/b.ts")]);
  assertEquals(names(place, await graph.collect([place.at("src/main.ts")], known)), ["src/main.ts", "up.ts"]);
  assertEquals(await graph.collect([place.at("src/a.ts")], known), []);
});

Deno.test("ModuleGraph serves what is below a directory, but nothing hidden or outside", async () => {
  await using place = await folder({
    ...FILES,
    "src2/x.ts": "export {};\n",
    "elsewhere/real.ts": "export const real = 1;\n",
  });
  await Deno.symlink(fromFileUrl(place.at("elsewhere/real.ts")), fromFileUrl(place.at("src/link.ts")));
  await Deno.symlink(fromFileUrl(place.at("elsewhere")), fromFileUrl(place.at("src/linked")));
  await Deno.symlink(fromFileUrl(place.at("src/.env.ts")), fromFileUrl(place.at("src/visible.ts")));
  await Deno.symlink(fromFileUrl(place.at("src/b.ts")), fromFileUrl(place.at("src/inner.ts")));
  await Deno.symlink(fromFileUrl(place.at("src")), fromFileUrl(place.at("alias")));
  for (const top of ["src/", "alias/"]) {
    const graph = serving(place.at(top));
    for (const name of ["other.ts", "inner.ts", "data.json", "notes.txt#text", "notes.txt#bytes"]) {
      assertEquals((await graph.collect([place.at(top + name)], NOTHING)).length, 1, name);
    }
    const refused: [string, RegExp][] = [
      [".env.ts", /begin with a dot/],
      [".git/config.js", /begin with a dot/],
      ["%2eenv.ts", /begin with a dot/],
      ["..%2fup.ts", /begin with a dot/],
      ["visible.ts", /begin with a dot/],
      ["link.ts", /a link to something outside/],
      ["linked/real.ts", /a link to something outside/],
      ["gone.ts", /cannot be read/],
      ["../up.ts", /not part of what was exported/],
      ["../src2/x.ts", /not part of what was exported/],
      ["common.cjs", /CommonJS modules cannot be exported/],
      ["page.tsx", /JSX cannot be exported/],
      ["notes.txt", /".txt" is no JavaScript, TypeScript or JSON: import it with/],
    ];
    for (const [name, why] of refused) {
      const error = await assertRejects(() => graph.collect([place.at(top + name)], NOTHING), OperationError);
      assertMatch(error.message, why);
      assertMatch(error.message, /^Cannot serve "/);
    }
    const modules = await graph.collect([place.at(`${top}dotted.ts`), place.at(`${top}outside.ts`)], NOTHING);
    assertEquals(names(place, modules), [
      `${top}.env.ts (error)`,
      `${top}dotted.ts`,
      `${top}outside.ts`,
      "up.ts (error)",
    ]);
  }
});

Deno.test("ModuleGraph shares reads between requests, and tries again what failed", async () => {
  await using place = await folder({ "main.ts": `import "./late.ts"; export {};\n` });
  const graph = serving(place.at("main.ts"));
  const [one, two] = await Promise.all([1, 2].map(() => graph.collect([place.at("main.ts")], NOTHING)));
  assert(one![0] === two![0]);
  assertEquals(names(place, one!), ["late.ts (error)", "main.ts"]);
  await Deno.writeTextFile(fromFileUrl(place.at("late.ts")), "export {};\n");
  assertEquals(names(place, await graph.collect([place.at("main.ts")], NOTHING)), ["late.ts", "main.ts"]);
});

Deno.test("ModuleGraph compiles what cannot be stripped, and says what is no TypeScript", async () => {
  await using place = await folder(FILES);
  const graph = serving(place.at("src/"));
  const [compiled] = await graph.collect([place.at("src/enum.ts")], NOTHING);
  const map = JSON.parse(atob(/sourceMappingURL=data:application\/json;base64,(\S+)/.exec(compiled!.source)![1]!));
  assertEquals(map.sources, [place.at("src/enum.ts")]);
  assert(!("sourcesContent" in map));
  await assertRejects(
    () => graph.collect([place.at("src/broken.ts")], NOTHING),
    OperationError,
    "its types cannot be stripped",
  );
});

Deno.test("ModuleGraph resolves names as the program does", async () => {
  await using place = await folder({
    "main.ts":
      `import "npm:a@1/b"; import "jsr:@c/d"; import "https://e.f/g.ts"; import "node:fs"; import "fs"; import "bare";
import * as esbuild from "esbuild"; import "mapped"; import "@x/across"; import "jsr:@x/across@^0.1/servers"; import "npm:@x/across@1/objects"; import "./own.ts";
import data from "./data.json" with { type: "json" }; import text from "./main.ts" with { type: "text" };
export { esbuild, data, text };
`,
    "own.ts": "export {};\n",
    "mapped.ts": "export {};\n",
    "data.json": "{}",
  });
  const main = place.at("main.ts");
  const graph = new ModuleGraph({ selfUrls: new Map([[place.at("own.ts"), "@x/across/gateways"]]) });
  graph.allow(main, (name) => {
    if (name === "mapped") return place.at("mapped.ts");
    if (name === "bare") throw new TypeError("no such name");
    return import.meta.resolve(name);
  });
  const modules = await graph.collect([main], NOTHING);
  assertEquals(names(place, modules), ["data.json", "main.ts", "main.ts#text", "mapped.ts"]);
  assertEquals({ ...modules[0]!.imports }, {
    fs: "node:fs",
    esbuild: `npm:esbuild@${esbuild.version}`,
    mapped: place.at("mapped.ts"),
    "jsr:@x/across@^0.1/servers": "@x/across/servers",
    "npm:@x/across@1/objects": "@x/across/objects",
    "./own.ts": "@x/across/gateways",
    "./data.json": place.at("data.json"),
    "./main.ts": `${main}#text`,
  });
});

Deno.test("ModuleGraph sends along the entry points of across that a module imports", async () => {
  await using place = await folder({ "main.js": `import "@x/across/extra"; import "@x/across";\n` });
  const graph = new ModuleGraph({
    entry: (name) => name === "@x/across/extra" ? `import "@x/across"; import("node:fs")` : undefined,
  });
  graph.allow(place.url);
  const modules = await graph.collect([place.at("main.js")], NOTHING);
  assertEquals(modules.map(({ id, at }) => [id, at.length]), [[place.at("main.js"), 2], ["@x/across/extra", 1]]);
});

Deno.test("ModuleGraph passes on modules that came from a peer, from memory", async () => {
  const module = (id: string, imports: Record<string, string>): ModuleSource => ({
    id,
    kind: "js",
    source: "",
    imports,
    at: [],
  });
  const installed = new Map([
    module("file:///far/a.ts", { "./b.ts": "file:///far/b.ts", "@x/across": "@x/across" }),
    module("file:///far/b.ts", {}),
  ].map((it) => [it.id, it]));
  const owner = { source: (id: string) => installed.get(id), import: () => Promise.reject(new Error("not run")) };
  addOwner(owner);
  try {
    const modules = await serving("file:///far/a.ts").collect(["file:///far/a.ts"], NOTHING);
    assertEquals(modules, [...installed.values()]);
  } finally {
    dropOwner(owner);
  }
});

Deno.test("unpackModules() gives back what packModules() took", async () => {
  await using place = await folder({
    "main.js": `import "./b.js"; import x from "./c.bin" with { type: "bytes" }; export default x;\n`,
    "b.js": "//é\u{1f600}\n",
    "c.bin": "\0\xff",
  });
  const modules = await serving(place.at("main.js")).collect([place.at("main.js")], NOTHING);
  const many = [...modules, ...Array.from({ length: 50 }, (_, n) => ({ ...modules[1]!, id: `file:///${n}.js` }))];
  for (const some of [[], modules, many]) {
    const back = await unpackModules(await packModules(some), 1e5);
    assertEquals(
      back.map((it) => ({ ...it, imports: { ...it.imports } })),
      some.map((it) => ({ ...it, imports: { ...it.imports } })),
    );
  }
  assert((await packModules(many)).length < 1500);
});

Deno.test("unpackModules() refuses what is too large or malformed", async () => {
  const bomb = await packModules([{ id: "file:///a.js", kind: "js", source: " ".repeat(5e6), imports: {}, at: [] }]);
  assert(bomb.length < 10_000);
  await assertRejects(() => unpackModules(bomb, 1e6), ProtocolError, "Cannot read modules");
  const text = (json: string) => new TextEncoder().encode(`\0${json}`);
  const bad = [
    new Uint8Array(),
    new Uint8Array([2, 91, 93]),
    new Uint8Array([1, 1, 2, 3]),
    new Uint8Array([0, 255]),
    bomb.subarray(0, 100),
    ...[
      "{}",
      "null",
      "[1]",
      "[null]",
      "[[]]",
      `[["json","file:///a","",{},[]]]`,
      `[[null,"file:///a","",{},[]]]`,
      `[["js","node:fs","",{},[]]]`,
      `[["js",1,"",{},[]]]`,
      `[["js","file:///a",1,{},[]]]`,
      `[["js","file:///a","",{"a":1},[]]]`,
      `[["js","file:///a","",null,[]]]`,
      `[["js","file:///a","",{},{}]]`,
      `[["js","file:///a","",{},[0]]]`,
      `[["js","file:///a","'a'",{},[0,0]]]`,
      `[["js","file:///a","'a'",{},[-1]]]`,
      `[["js","file:///a","'a'",{},["0"]]]`,
      `[["js","file:///a","'a",{},[0]]]`,
      `[["js","file:///a","",{},[],0]]`,
    ].map(text),
  ];
  for (const [index, bytes] of bad.entries()) {
    await assertRejects(() => unpackModules(bytes, 1e6), ProtocolError, "", `${index}`);
  }
});
