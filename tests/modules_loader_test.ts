/**
 * Modules that travel, in every runtime: what works at home works there. The far ends have no permissions where the runtime has such.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ModuleGraph } from "../modules/graph.ts";
import type { Outcome } from "./support/module_child.ts";
import { farEnd, folder, packed, serving } from "./support/module_fixtures.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const oldDeno = ({ name, version }: { name: string; version: string }): boolean =>
  name === "deno" && Number(version.split(".")[1]) < 8 && version.startsWith("2.");

/** The value of an outcome; what went wrong fails the test. */
function value(outcome: Outcome | undefined): unknown {
  assert(outcome && !outcome.error, outcome?.stack ?? "no outcome");
  return outcome.value;
}

const TREE = {
  "main.ts": `import type { Shape } from "./types.ts";
import { type Point, area, type Missing } from "./lib/area.ts";
import { Erased } from "./types.ts";
import data from "./data.json" with { type: "json" };
import text from "./lib/text.txt" with { type: "text" };
export * from "./lib/more.ts";
export { deep as renamed } from "./lib/deep/deep.js";
export * as space from "./lib/deep/deep.js";
import os from "node:os";
import "./lib/effect.ts";
export { default } from "./lib/area.ts";

export interface Result extends Shape { n: number }
export const results = (p: Point): unknown => [area(p, 2), data.list, text, (globalThis as any).effect, typeof os.EOL];
export const meta = (): unknown => [import.meta.url, !!import.meta.main, import.meta.filename, import.meta.dirname, import.meta.resolve("./x.ts")];
export class Counter<T> { #n: number = 1; next(): number { return this.#n++ } }
export const count = () => { const c = new Counter<Erased>(); return c.next() + c.next() };
export const dynamic = async () => {
  const { lazy } = await import("./lib/lazy.ts");
  const other = await import("./data.json", { with: { type: "json" } });
  return [lazy(), other.default.list[0]];
};
export const computed = async (name: string) => (await import(\`./lib/\${name}.ts\`)).lazy();
export const builtin = async () => typeof (await import("node:path")).join;
export const fail = (): never => {
  throw new Error("on purpose");
};
export const undefinedName = () => [1].map((n) => n + nowhere);
export const tla: number = await Promise.resolve(7);
export const literal = () => "import('./no.ts') import.meta // " + \`import.meta \${"import(x)"}\` + /import.meta"/.source;
`,
  "types.ts": "export interface Shape { a: number }\nexport type Erased = string;\n",
  "lib/area.ts": `import { factor } from "./deep/deep.js";
export interface Point { x: number; y: number }
export type Missing = never;
export function area(p: Point, n: number): number { return p.x * p.y * n * factor; }
export default "the default";
`,
  "lib/more.ts": "export const more = 'more' as const;\n",
  "lib/deep/deep.js": "export const deep = 'deep'; export let factor = 10;\n",
  "lib/effect.ts": "(globalThis as any).effect = 'happened';\n",
  "lib/lazy.ts": "import { more } from './more.ts';\nexport const lazy = () => `lazy ${more}`;\n",
  "data.json": '{ "list": [1, "two"], "__proto__": { "own": true } }',
  "lib/text.txt": 'some "text"\n\u2028end',
};

await testEachRuntime("ModuleLoader imports a tree of modules", async (runtime) => {
  await using place = await folder(TREE);
  const main = place.at("main.ts");
  const { outcomes, stderr } = await farEnd(runtime, {
    packed: await packed(serving(main), main),
    steps: [
      { import: main },
      { import: main, call: "results", args: [{ x: 2, y: 3 }] },
      { import: main, call: "meta" },
      { import: main, call: "count" },
      { import: main, call: "dynamic" },
      { import: main, call: "computed", args: ["lazy"] },
      { import: main, call: "builtin" },
      { import: main, call: "literal" },
      { import: main, call: "fail" },
      { import: main, call: "undefinedName" },
      { import: place.at("lib/lazy.ts"), call: "lazy" },
    ],
  });
  assertEquals(
    value(outcomes[0]),
    "Counter builtin computed count default dynamic fail literal meta more renamed results space tla undefinedName"
      .split(" "),
  );
  assertEquals(value(outcomes[1]), [120, [1, "two"], TREE["lib/text.txt"], "happened", "string"]);
  const path = decodeURIComponent(new URL(main).pathname);
  assertEquals(value(outcomes[2]), [main, false, path, path.replace(/\/[^/]*$/, ""), place.at("x.ts")]);
  assertEquals(value(outcomes[3]), 3);
  assertEquals(value(outcomes[4]), ["lazy more", 1]);
  assertEquals(value(outcomes[5]), "lazy more");
  assertEquals(value(outcomes[6]), "function");
  assertEquals(value(outcomes[7]), "import('./no.ts') import.meta // import.meta import(x)import.meta\"");
  const lines = TREE["main.ts"].split("\n");
  for (const [index, text] of [[8, "new Error"], [9, "nowhere"]] as const) {
    const { stack = "" } = outcomes[index]!;
    const line = lines.findIndex((it) => it.includes(text));
    // Bun counts columns otherwise.
    const column = runtime.name === "bun" ? "" : `${lines[line]!.indexOf(text) + 1}`;
    const found = stack.split("\n").find((it) => it.includes(main)) ?? stack;
    assert(found.includes(`${main}:${line + 1}:${column}`), stack);
  }
  assertMatch(outcomes[9]!.error ?? "", /^ReferenceError: .*nowhere/);
  assertEquals(value(outcomes[10]), "lazy more");
  assertEquals(stderr, "");
});

await testEachRuntime("ModuleLoader has stack traces name the lines of what was compiled", async (runtime) => {
  const text = `interface Shape {
  a: number;
}
enum Color { Red = 1 }

namespace Tools { export const two = 2; }
export const fail = (shape: Shape): never => {
  throw new Error(\`\${Color.Red + Tools.two} \${shape}\`);
};
export const url = () => import.meta.url;
`;
  await using place = await folder({ "main.ts": text, "circle.ts": `import "./circle.ts";\n${text}` });
  for (const [name, line] of [["main.ts", 8], ["circle.ts", 9]] as const) {
    const id = place.at(name);
    if (name === "circle.ts" && oldDeno(runtime)) continue;
    const { outcomes } = await farEnd(runtime, {
      packed: await packed(serving(id), id),
      steps: [{ import: id, call: "fail", args: ["x"] }],
    });
    const { stack = "" } = outcomes[0]!;
    assertMatch(stack, /^Error: 3 x/);
    // Bun reads no source maps.
    assert(stack.includes(runtime.name === "bun" ? id : `${new URL(id).pathname}:${line}:9`), stack);
  }
});

const CIRCLE = {
  "a.ts": `import { b, later } from "./b.ts";
export let name: string = "a";
export function a(): string { return name + b(); }
export const run = (): unknown => [a(), later, import.meta.url.endsWith("/a.ts")];
`,
  "b.ts": `import { name } from "./a.ts";
import * as self from "./b.ts";
export const later: number = await Promise.resolve(5);
export const b = (): string => "b" + name + Object.keys(self).length;
`,
  "fine.ts": "export const fine = () => 1;\n",
};

await testEachRuntime("ModuleLoader imports modules that import each other in a circle", async (runtime) => {
  await using place = await folder(CIRCLE);
  const { outcomes } = await farEnd(runtime, {
    packed: await packed(serving(place.at("a.ts"), place.at("fine.ts")), place.at("fine.ts"), place.at("a.ts")),
    steps: [
      { import: place.at("fine.ts"), call: "fine" },
      { import: place.at("a.ts"), call: "run" },
      { import: place.at("fine.ts"), call: "fine" },
    ],
  });
  assertEquals([outcomes[0], outcomes[2]].map(value), [1, 1]);
  if (!oldDeno(runtime)) return assertEquals(value(outcomes[1]), ["aba2", 5, true]);
  assertMatch(
    outcomes[1]!.error ?? "",
    /^OperationError: Cannot import ".*a\.ts" in deno 2\..*which takes Deno 2\.8, Node or Bun$/,
  );
});

await testEachRuntime("ModuleLoader installs more modules later, beside circles and before them", async (runtime) => {
  await using place = await folder({
    ...CIRCLE,
    "first.ts": "export let n = 0; export const up = () => ++n;\n",
    "later.ts":
      `import { up } from "./first.ts"; import { fine } from "./fine.ts"; export const both = () => [up(), fine()];\n`,
    "last.ts":
      `import { both } from "./later.ts"; import { run } from "./a.ts"; export const all = () => [both(), run()];\n`,
    "start.ts": `import { up } from "./first.ts"; export const go = async (s: string) => [up(), await import(s)];
export const twice = async (s: string) => { const both = await Promise.all([import(s), import(s)]); return both[0] === both[1] };\n`,
  });
  const graph = serving(place.url);
  const { outcomes, fetches } = await farEnd(runtime, {
    packed: await packed(graph, place.at("start.ts")),
    later: {
      [place.at("later.ts")]: await packed(graph, place.at("later.ts")),
      [place.at("last.ts")]: await packed(graph, place.at("last.ts")),
    },
    steps: [
      { import: place.at("start.ts"), call: "twice", args: ["./later.ts"] },
      { import: place.at("later.ts"), call: "both" },
      { import: place.at("start.ts"), call: "go", args: ["./nowhere.ts"] },
      { import: place.at("last.ts"), call: "all" },
      { import: place.at("last.ts"), call: "all" },
      { import: place.at("start.ts"), call: "go", args: ["./later.ts"] },
    ],
  });
  assertEquals(value(outcomes[0]), true);
  assertEquals(value(outcomes[1]), [1, 1]);
  assertMatch(
    outcomes[2]!.error ?? "",
    /^OperationError: Cannot serve ".*nowhere\.ts": it is not part of what was exported; and here: /,
  );
  if (!oldDeno(runtime)) {
    assertEquals(value(outcomes[3]), [[3, 1], ["aba2", 5, true]]);
    assertEquals(value(outcomes[4]), [[4, 1], ["aba2", 5, true]]);
  }
  assert(Array.isArray(value(outcomes[5])));
  assertEquals(fetches, 4);
});

await testEachRuntime("ModuleLoader survives modules that fail, and says why", async (runtime) => {
  await using place = await folder({
    "missing.ts": `import { x } from "./gone.ts"; export const y = x;\n`,
    "optional.ts": `export const load = () => import("./gone.ts").then(() => 1, (e) => e.message);\n`,
    "syntax.js": "export const broken = ;\n",
    "throws.ts": `throw new TypeError("at the top");\n`,
    "no_export.ts": `import { nothing } from "./fine.ts"; export const y = nothing;\n`,
    "common.ts": `import x from "./common.cjs"; export const y = x;\n`,
    "common.cjs": "",
    "bad.json": "{",
    "json.ts": `import x from "./bad.json" with { type: "json" }; export const y = x;\n`,
    "fine.ts": "export const fine = () => 1;\n",
  });
  const names = [
    "missing.ts",
    "optional.ts",
    "syntax.js",
    "throws.ts",
    "no_export.ts",
    "common.ts",
    "json.ts",
    "fine.ts",
  ];
  const { outcomes } = await farEnd(runtime, {
    packed: await packed(serving(place.url), ...names.map(place.at)),
    steps: [
      ...names.filter((name) => !/fine|optional/.test(name)).map((name) => ({ import: place.at(name) })),
      { import: place.at("optional.ts"), call: "load" },
      { import: place.at("fine.ts"), call: "fine" },
      { import: "@x/across/nothing" },
    ],
  });
  const expected = [
    /^OperationError: Cannot import ".*missing\.ts": Cannot serve ".*gone\.ts": it cannot be read/,
    /Unexpected|expected/,
    /^TypeError: at the top$/,
    /nothing/,
    /^OperationError: Cannot import ".*common\.ts": Cannot serve ".*common\.cjs": CommonJS modules cannot be exported/,
    /JSON/,
  ];
  for (const [index, pattern] of expected.entries()) assertMatch(outcomes[index]!.error ?? "", pattern);
  assertMatch(String(value(outcomes[6])), /^Cannot import ".*gone\.ts": Cannot serve ".*gone\.ts": it cannot be read/);
  assertEquals(value(outcomes[7]), 1);
  assertMatch(outcomes[8]!.error ?? "", /^OperationError: Cannot import "@x\/across\/nothing": /);
});

await testEachRuntime("ModuleLoader gives modules the across that runs there", async (runtime) => {
  await using place = await folder({
    "main.ts": `import { answer, marker } from "jsr:@x/across@^0.1";
import * as again from "@x/across";
import { extra } from "@x/across/extra";
export const all = async () => [answer(), marker === again.marker, (await import("@x/across")).marker === marker, extra(), import.meta.resolve("@x/across")];
`,
  });
  const main = place.at("main.ts");
  const extra = `import{answer as a}from"@x/across";const b="@x/across";export const extra=()=>a()+(b.length>0?1:0)`;
  const graph = new ModuleGraph({ entry: (name) => name === "@x/across/extra" ? extra : undefined });
  graph.allow(main);
  const { outcomes } = await farEnd(runtime, {
    packed: await packed(graph, main),
    steps: [{ import: main, call: "all" }, { import: "@x/across" }, { import: "@x/across/extra", call: "extra" }],
  });
  assertEquals(value(outcomes[0]), [42, true, true, 43, "@x/across"]);
  assertEquals(value(outcomes[1]), ["answer", "marker"]);
  assertEquals(value(outcomes[2]), 43);
});

await testEachRuntime("ModuleLoader keeps the modules of several peers apart by a prefix", async (runtime) => {
  await using place = await folder({
    ...CIRCLE,
    "main.ts": `import { fine } from "./fine.ts";
import { a } from "./a.ts";
export const url = () => [import.meta.url, fine(), typeof a];
export const fail = () => {
  throw new Error("on purpose"); };
`,
  });
  if (oldDeno(runtime)) return;
  const main = place.at("main.ts");
  const { outcomes } = await farEnd(runtime, {
    packed: await packed(serving(main), main),
    prefix: "across:/3/",
    steps: [{ import: main, call: "url" }, { import: main, call: "fail" }],
  });
  assertEquals(value(outcomes[0]), [main, 1, "function"]);
  assert(outcomes[1]!.stack?.includes(`${main}:5:`), outcomes[1]!.stack);
  assert(!outcomes[1]!.stack?.includes("across:"), outcomes[1]!.stack);
});

await testEachRuntime("ModuleLoader leaves to the runtime what was not exported", async (runtime) => {
  // A bare Deno knows no packages, and must not go and look for them.
  const expected = runtime.name === "deno" ? /some-package/ : undefined;
  await using place = await folder({
    "node_modules/some-package/package.json":
      `{ "name": "some-package", "version": "1.0.0", "type": "module", "exports": { "import": "./index.js" } }`,
    "node_modules/some-package/index.js": "export const where = () => 'package';\n",
    "main.js": `import { where } from "some-package";
export const go = async (s) => [where(), (await import("some-package")).where(), (await import(s)).where()];
export const own = async () => Object.keys(await import("npm:some-package@1")).length;
`,
    "own.mjs": "export const where = () => 'file';\n",
  });
  const main = place.at("main.js");
  const away = await packed(serving(main), main);
  const steps = [
    { import: "node:path" },
    { import: main, call: "go", args: ["some-package"] },
    { import: "some-package", call: "where" },
    ...expected ? [] : [{ import: "./own.mjs", call: "where" }, { import: main, call: "own" }],
  ];
  const { outcomes } = await farEnd(runtime, { packed: away, steps }, new URL(place.url).pathname);
  assert((value(outcomes[0]) as string[]).includes("join"));
  if (expected) {
    for (const index of [1, 2]) assertMatch(outcomes[index]!.error ?? "", expected);
    return;
  }
  assertEquals(value(outcomes[1]), ["package", "package", "package"]);
  assertEquals(value(outcomes[2]), "package");
  assertEquals(value(outcomes[3]), "file");
  assertEquals(value(outcomes[4]), 1);
});
