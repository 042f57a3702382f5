// The tests that docs/from-python.md and its parts name for each item are there.

import { assert, assertEquals } from "@std/assert";

Deno.test("every row of docs/from-python.md names a test that exists", () => checkRows("from-python.md", 50));

Deno.test("every row of docs/from-python-remoteobj.md names a test that exists", () =>
  checkRows("from-python-remoteobj.md", 35));

Deno.test("every row of docs/from-python-execnet.md names a test that exists", () =>
  checkRows("from-python-execnet.md", 60));

async function checkRows(file: string, least: number): Promise<void> {
  const text = await Deno.readTextFile(new URL(`../docs/${file}`, import.meta.url));
  const missing: string[] = [];
  let rows = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith("| ") || /^\| (?:-+|Python|execnet) +\|/.test(line) || line.startsWith("| --")) continue;
    rows++;
    const cell = line.split("|").at(-2)!.trim();
    const [, file, name] = /^`(\w+\.ts)`: (.+)$/.exec(cell) ?? [];
    const source = file && await Deno.readTextFile(new URL(file, import.meta.url)).catch(() => undefined);
    // The name, as far as it is told, must begin a title: behind a quote, or what a loop puts in front of it.
    const titles = source ? [...source.matchAll(/(["`])((?:(?!\1).)*)\1/g)].map((it) => it[2]!) : [];
    if (!name || !titles.some((title) => title.includes(name))) missing.push(cell);
  }
  assertEquals(missing, []);
  assert(rows > least);
}
