/**
 * Finding imports in texts, and the changes that keep every line and column where it is.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { dropUnusedImports, prepare, scanImports } from "../modules/imports.ts";
import { lex } from "../modules/lexer.ts";
import { originalText } from "../modules/source.ts";

const found = (source: string): string[] =>
  scanImports(source).sites.map((site) =>
    `${site.dynamic ? "dynamic " : ""}${site.specifier ?? "?"}${site.type ? ` as ${site.type}` : ""}`
  );

Deno.test("scanImports() finds every form of import", () => {
  const source = `#!/usr/bin/env -S deno run "quoted"
import a from "./a.js"; import { b as bb, "c d" as cd, type, from, } from './b.js'
import * as ns from "ns"; import d, { e } from"./d.js";import f,*as g from "./f.js"
import "./effect.js"; import /* "no" */ h /* from "no" */ from /* x */ "./h.js" // "no"
import j from "./j.json" with { type: "json" };
import t from "./t.txt" with { 'type': 'text' }
export * from "./star.js"; export * as all from "./all.js"; export { x, y as default } from "./some.js";
export { a, bb }; export {}
import {} from "./nothing.js"
const from2 = "x"; export const string = "from"; export default "from";
`;
  assertEquals(found(source), [
    "./a.js",
    "./b.js",
    "ns",
    "./d.js",
    "./f.js",
    "./effect.js",
    "./h.js",
    "./j.json as json",
    "./t.txt as text",
    "./star.js",
    "./all.js",
    "./some.js",
    "./nothing.js",
  ]);
  for (const { start, specifier } of scanImports(source).sites) {
    assertEquals(source.slice(start + 1, start + 1 + specifier!.length), specifier);
  }
});

Deno.test("scanImports() finds dynamic imports, literal and computed", () => {
  assertEquals(
    found(
      'import("./a.js"); import ( /* why */ "./b.js" , { with: { type: "json" } }); import(`./c.js`); import(x + "y"); import("z" + z)',
    ),
    ["dynamic ./a.js", "dynamic ./b.js as json", "dynamic ?", "dynamic ?", "dynamic ?"],
  );
  assertEquals(scanImports("import.meta.url + import.meta").metas, [0, 18]);
});

Deno.test("scanImports() is not taken in by what only looks like an import", () => {
  const tricky = [
    "// import 'a'\n/* import('b') */",
    "const s = \"import 'a'\", t = 'import(\"b\")', u = `import 'c' ${`import(\"d\")`} from 'e'`;",
    "const r = /import 'a'/; const q = [/[/]import('b')/g, a / 2 / import_];",
    "x.import('a'); x?.import('b'); x.export; ({ import: 1, export: 2 }).import",
    "class A { import(x) { return x } static export() {} }",
    "const o = { import(x) { }, async import (y) {\n} }",
    "if (a) /import('b')/.test(c); while (x) /from 'y'/.exec(z)",
    "a++ / 2; 'import(\"x\")'; b-- /import_/ c",
    "from 'x'; const from = 'y'; export const a = from, b = 'z'",
    "`${ { a: '}' } }import('x')`",
    "1./2; 'import 1'; .5/3 /4",
    "return_ / 2 /import; function* f() { yield /import('x')/ }",
  ];
  for (const source of tricky) {
    assertEquals(found(source), [], source);
    assert(lex(source, () => {}), source);
  }
});

Deno.test("scanImports() says when a text cannot be relied on", () => {
  for (const source of ["f(", "a }", "`${", "(]", "{ ( }"]) assert(!scanImports(source).sound, source);
});

Deno.test("lex() takes any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    let last = -1;
    lex(text, (token, start) => {
      assert(start > last && text.startsWith(token, start));
      last = start;
    });
  }));
});

Deno.test("prepare() changes no line and no column", () => {
  const source = `import a from "./a.json" with { type: "json" }; const u = import.meta.url, n = import.meta;
const b = () => import("./b.js"), c = (x) => import(x), d = import("node:fs"), e = "import.meta import(x)";`;
  const { source: prepared, at } = prepare(
    source,
    scanImports(source),
    ({ specifier }) => specifier.startsWith(".") ? "own" : "same",
  );
  assertEquals(
    prepared,
    `import a from "./a.json"${" ".repeat(22)}; const u = $mport()   .url, n = $mport()   ;
const b = () => $mport("./b.js"), c = (x) => $mport(x), d = import("node:fs"), e = "import.meta import(x)";`,
  );
  assertEquals(at, [14]);
  assertEquals(originalText(prepared).replace(/ {22}/, ' with { type: "json" }'), source);
});

Deno.test("prepare() leaves a text alone that it cannot be sure of", () => {
  const source = `import "./a.js"; import.meta; }`;
  assertEquals(prepare(source, scanImports(source), () => "own"), { source, at: [7] });
});

Deno.test("dropUnusedImports() drops what may be a type, and nothing else", () => {
  const cases: Record<string, string> = {
    'import { A, b } from "x"; b()': 'import {    b } from "x"; b()',
    'import { b, A } from "x"; b(o.A)': 'import { b,   } from "x"; b(o.A)',
    'import { A } from "x"; 1': `${" ".repeat(21)}; 1`,
    'import { A } from "x" with { type: "json" }; 1': `${" ".repeat(43)}; 1`,
    'import A, { b } from "x"; b': 'import    { b } from "x"; b',
    'import a, { B } from "x"; a': 'import a, {   } from "x"; a',
    'import a, * as B from "x"; a': 'import a         from "x"; a',
    'import A, * as b from "x"; b': 'import    * as b from "x"; b',
    'import { x as A, y as b } from "x"; b': 'import {         y as b } from "x"; b',
    'import { a, // a comment, b\n B } from "x"; a': 'import { a,                \n   } from "x"; a',
    'import "x"; import {} from "y"': 'import "x"; import {} from "y"',
    'import { A } from "x"; export { A }': 'import { A } from "x"; export { A }',
    'import { A } from "x"; export type { }; f`${A}`': 'import { A } from "x"; export type { }; f`${A}`',
    'import { from, A } from /* from */ "x"; from': 'import { from,   } from /* from */ "x"; from',
  };
  for (const [source, expected] of Object.entries(cases)) {
    const result = dropUnusedImports(source);
    assertEquals(result.length, source.length, source);
    assertEquals(result, expected, source);
  }
});
