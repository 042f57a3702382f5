/**
 * Names of functions: those of exported modules, and those that every runtime has.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { EventEmitter } from "node:events";
import * as fs from "node:fs";
import { readFile } from "node:fs/promises";
import os from "node:os";
import { ExportedNames, resolveExport, splitName } from "../modules/exported_names.ts";
import { publicName, resolvePublic } from "../modules/public_names.ts";
import { OperationError } from "../protocol/errors.ts";
import { folder } from "./support/module_fixtures.ts";
import { testEachRuntime } from "./support/runtimes.ts";

Deno.test("ExportedNames finds functions, classes, static methods and those in objects", () => {
  class Base {
    static make(): void {}
  }
  class Shape extends Base {
    static create(): void {}
    method(): void {}
    static get lazy(): unknown {
      throw new Error("not to be called");
    }
  }
  const plain = () => {};
  const namespace = {
    plain,
    again: plain,
    Shape,
    tools: { deep: { er: () => {}, most: { no: () => {} } }, ["with.dot"]: () => {} },
    instance: new Shape(),
    default: function () {},
    get broken(): unknown {
      throw new ReferenceError("dead zone");
    },
  };
  const names = new ExportedNames();
  names.add("file:///a.ts", namespace);
  const expected: [object, string | undefined][] = [
    [plain, "plain"],
    [Shape, "Shape"],
    [Shape.create, "Shape.create"],
    [Base.make, undefined],
    [Shape.prototype.method, undefined],
    [namespace.tools.deep.er, "tools.deep.er"],
    [namespace.tools.deep.most.no, undefined],
    [namespace.tools["with.dot"], undefined],
    [namespace.default, "default"],
    [() => {}, undefined],
  ];
  for (const [fn, name] of expected) {
    assertEquals(names.nameOf(fn), name && `file:///a.ts#${name}`);
    if (name) assert(resolveExport(namespace, splitName(names.nameOf(fn)!)[1], "it") === fn);
  }
  names.bind("file:///b.ts", { census: Base.make });
  assertEquals(names.nameOf(Base.make), "file:///b.ts#census");
});

Deno.test("resolveExport() finds own properties only", () => {
  const holder = { fn: () => {}, Class: class {}, nothing: null };
  for (
    const path of [
      "gone",
      "__proto__",
      "constructor",
      "fn.constructor",
      "Class.prototype",
      "fn.call",
      "toString",
      "",
      "fn.",
      ".fn",
      "nothing.x",
      "fn.name.length.x",
    ]
  ) {
    assertThrows(
      () => resolveExport(holder, path, `"file:///a.ts"`),
      OperationError,
      `Cannot find "${path}" in "file:///a.ts"`,
    );
  }
});

const MAIN = `import { ExportedNames } from "ROOT/modules/exported_names.ts";
import { ModuleGraph } from "ROOT/modules/graph.ts";

/** Counts, with (brackets) in a comment. */
export async function census(path: string, ...rest: readonly number[]): Promise<number> {
  const map = <T>(x: T): T => x; // why
  if (!path) return 1
  return rest.reduce((a, b) => a + b, (map(path) as string).length) satisfies number;
}
export const arrow = (x: number): string => \`\${x} \${[1, 2,].map((n) => { return n * x })}\`;
export class Tally { #n: number = 0; static of<T>(this: void, x: T): T { return x; } up(): number { return ++this.#n } }
const inner = (a: number) => a - 1;
export { inner as outer };
export default function main() { return 'main' + import.meta.url; }
function secret(a: number) { return a }

const graph = new ModuleGraph();
graph.allow(import.meta.url);
const [module] = await graph.collect([import.meta.url], new Set());
const names = new ExportedNames();
names.addText("m", module!.source);
const twin = (() => { const census = (x: number) => x; return census })();
console.log(JSON.stringify([census, arrow, Tally, inner, main, secret, twin, Tally.of].map((fn) => names.nameOf(fn) ?? null)));
`;

await testEachRuntime(
  "ExportedNames recognises the functions of a running main module by their text",
  async (runtime) => {
    const root = new URL("..", import.meta.url).href.replace(/\/$/, "");
    await using place = await folder({ "main.ts": MAIN.replaceAll("ROOT", root) });
    const { stdout, stderr } = await new Deno.Command(runtime.path, {
      args: [...runtime.name === "deno" ? ["run", "-A", "--no-config"] : [], fromFileUrl(place.at("main.ts"))],
      env: { NO_COLOR: "1" },
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals(out!.trim(), `["m#census","m#arrow","m#Tally","m#outer","m#default",null,null,null]`, err);
  },
  // Who strips types; and runs this file without a build.
  ({ name, version }) =>
    name === "bun" || name === "deno" && /^2\.(9|\d\d)/.test(version) ||
    name === "node" && Number.parseInt(version) >= 24,
);

Deno.test("publicName() and resolvePublic() name globals and what built-in modules export", async () => {
  const expected: [object, string][] = [
    [Math.max, "Math.max"],
    [Map, "Map"],
    [Deno.mkdir, "Deno.mkdir"],
    [Deno.serve, "Deno.serve"],
    [Deno.env.get, "Deno.env.get"],
    [Deno.errors.NotFound, "Deno.errors.NotFound"],
    [structuredClone, "structuredClone"],
    [TextEncoder, "TextEncoder"],
    [Array.from, "Array.from"],
    [Intl.DateTimeFormat, "Intl.DateTimeFormat"],
    [parseInt, "parseInt"],
    [os.hostname, "node:os#hostname"],
    [fs.existsSync, "node:fs#existsSync"],
    [readFile, "node:fs/promises#readFile"],
    [EventEmitter, "node:events#default"],
  ];
  for (const [fn, name] of expected) {
    assertEquals(publicName(fn), name);
    assert(await resolvePublic(name) === fn, name);
  }
  for (const fn of [() => 1, function max() {}, class Map {}, Map.prototype.get, Math.max.bind(null)]) {
    assertEquals(publicName(fn), undefined);
  }
});

Deno.test("publicName() does not touch globals that load or warn", () => {
  let touched = 0;
  Object.defineProperty(globalThis, "acrossTrap", { configurable: true, get: () => touched++ });
  try {
    assertEquals(publicName(function unknownToAll() {}), undefined);
    assertEquals(touched, 0);
  } finally {
    delete (globalThis as Record<string, unknown>).acrossTrap;
  }
});

Deno.test("resolvePublic() rejects what is not there", async () => {
  const names = [
    "Deno.nothing",
    "node:nothing#a",
    "node:os#nothing",
    "node:os#hostname.call",
    "file:///a.ts#b",
    "Map.prototype",
    "constructor",
    "__proto__",
    "Object.prototype.toString",
    "",
    "#",
    "node:os#",
  ];
  for (const name of names) {
    const error = await assertRejects(async () => await resolvePublic(name), OperationError);
    assertMatch(error.message, /^".*" is not available in Deno \d+\.\d+\.\d+, where it was to be used$/);
  }
});
