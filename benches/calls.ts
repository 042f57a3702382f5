/**
 * Calls over stdio to a child, next to what one would write by hand: calls in turn, many in flight, callbacks, and bytes; on Deno (both sides) and, where
 * it is found, on Node (both sides). All in one run, in turns; what is done one call after the other is pinned to one core where `taskset` is there,
 * since otherwise one measures mostly how the system wakes up cores. Libraries are compared by `peers/main.ts`.
 *
 *   deno run -A benches/calls.ts [--quick] [--json] [--node PROGRAM]
 *
 * Figures are thousands of calls, or MB of payload that went there and back, a second: medians of the rounds. Ratios are medians, too. JSON stands for a
 * hand-written echo of one line of JSON per message, fork for Node's IPC with `serialization: "advanced"`, raw for a bare pipe whose other end sends back
 * what arrives while more arrives, whole for one whose other end collects everything first, as whoever hands over a value has to.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { fromFileUrl, join } from "@std/path";
import { build, stop } from "esbuild";
import type { Rates } from "./support/rounds.ts";
import { median, ratio } from "./support/rounds.ts";
import { figures, findNode, ownRuntime, pinning } from "./support/runtimes.ts";

const { quick, json, node: wanted } = parseArgs(Deno.args, { boolean: ["quick", "json"], string: ["node"] });
const PARENT = fromFileUrl(new URL("./support/calls_parent.ts", import.meta.url));
const COLUMNS: readonly (readonly [title: string, contender: string])[] = [
  ["JSON", "raw JSON"],
  ["fork", "fork IPC"],
  ["raw", "raw"],
  ["whole", "whole"],
];

/** What it was measured on, and what came out. */
interface Table {
  readonly title: string;
  readonly rows: Record<string, Rates>;
}

const pin = await pinning();

async function measure(title: string, command: readonly string[]): Promise<Table> {
  const args = quick ? ["quick"] : [];
  const alone = await figures<Table["rows"]>([...pin ?? [], ...command, "alone", ...args]);
  return { title, rows: { ...alone, ...await figures<Table["rows"]>([...command, "together", ...args]) } };
}

const figure = (rates: Rates, name: string, bytes: boolean): string =>
  rates[name] ? (median(rates[name]) / (bytes ? 1 : 1000)).toFixed(bytes ? 0 : 1) : "-";

const quotient = (rates: Rates, name: string): string => ratio(rates, "across", name)?.toFixed(2) ?? "-";

function print({ title, rows }: Table): void {
  const titles = COLUMNS.map(([title]) => title);
  const lines: string[][] = [[title, "", "across", ...titles, ...titles.map((title) => `/${title}`)]];
  for (const [name, rates] of Object.entries(rows)) {
    const bytes = "raw" in rates;
    const absolute = ["across", ...COLUMNS.map(([, name]) => name)].map((name) => figure(rates, name, bytes));
    lines.push([name, bytes ? "MB/s" : "k/s", ...absolute, ...COLUMNS.map(([, name]) => quotient(rates, name))]);
  }
  for (const [first = "", ...rest] of lines) {
    console.log(first.padEnd(22) + rest.map((cell) => cell.padStart(8)).join(""));
  }
  console.log();
}

/** A program that Node can run: it knows nothing of our imports, and before 22 nothing of TypeScript. */
async function bundleParent(folder: string): Promise<string> {
  const outfile = join(folder, "parent.mjs");
  await build({ entryPoints: [PARENT], bundle: true, format: "esm", platform: "node", target: "node20", outfile });
  await stop();
  return outfile;
}

const tables = [await measure(ownRuntime.title, [...ownRuntime.command, PARENT])];
const node = await findNode(wanted);
if (node) {
  const folder = await Deno.makeTempDir();
  try {
    tables.push(await measure(node.title, [...node.command, await bundleParent(folder)]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
if (json) console.log(JSON.stringify(tables));
else {
  if (!pin) console.log("Not pinned to one core, as there is no taskset\n");
  tables.forEach(print);
  if (!node) console.log("Without Node, which was not found");
}
