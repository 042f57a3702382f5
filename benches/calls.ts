/**
 * Calls over stdio to a child, next to what one would write by hand: calls in turn, many in flight, callbacks, and bytes; on Deno (both sides) and, where
 * it is found, on Node (both sides). All in one run, in turns; what is done one call after the other is pinned to one core where `taskset` is there,
 * since otherwise one measures mostly how the system wakes up cores.
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
import { findInterpreters } from "../scripts/find_interpreters.ts";
import type { Rates } from "./support/rounds.ts";
import { median, ratio } from "./support/rounds.ts";

const { quick, json, node: wanted } = parseArgs(Deno.args, { boolean: ["quick", "json"], string: ["node"] });
const PARENT = fromFileUrl(new URL("./support/calls_parent.ts", import.meta.url));
const CORE = "0";

/** Whether we can have programs run on one core. */
async function canPin(): Promise<boolean> {
  try {
    return (await new Deno.Command("taskset", { args: ["-c", CORE, "true"] }).output()).success;
  } catch {
    return false;
  }
}

/** Runs a program of this bench and reads its figures. */
async function run(command: readonly string[]): Promise<Record<string, Rates>> {
  const [program = "", ...args] = command;
  const { success, stdout } = await new Deno.Command(program, { args, stderr: "inherit" }).output();
  if (!success) throw new Error(`"${command.join(" ")}" failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** What it was measured on, and what came out. */
interface Table {
  readonly title: string;
  readonly rows: Record<string, Rates>;
}

async function measure(title: string, command: readonly string[], pinned: boolean): Promise<Table> {
  const args = quick ? ["quick"] : [];
  const alone = [...(pinned ? ["taskset", "-c", CORE] : []), ...command, "alone", ...args];
  return { title, rows: { ...await run(alone), ...await run([...command, "together", ...args]) } };
}

const figure = (rates: Rates, name: string, bytes: boolean): string =>
  rates[name] ? (median(rates[name]) / (bytes ? 1 : 1000)).toFixed(bytes ? 0 : 1) : "-";

const quotient = (rates: Rates, name: string): string => ratio(rates, "across", name)?.toFixed(2) ?? "-";

function print({ title, rows }: Table): void {
  const lines: string[][] = [[title, "", "across", "JSON", "fork", "raw", "whole", "/JSON", "/fork", "/raw", "/whole"]];
  for (const [name, rates] of Object.entries(rows)) {
    const bytes = "raw" in rates;
    const figures = ["across", "JSON", "fork", "raw", "whole"].map((name) => figure(rates, name, bytes));
    const ratios = ["JSON", "fork", "raw", "whole"].map((name) => quotient(rates, name));
    lines.push([name, bytes ? "MB/s" : "k/s", ...figures, ...ratios]);
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

const pinned = await canPin();
const tables = [
  await measure(`Deno ${Deno.version.deno}`, [Deno.execPath(), "run", "-A", PARENT], pinned),
];
const nodes = (await findInterpreters()).filter(({ label }) => label.startsWith("node "));
const node = wanted
  ? { label: wanted, path: wanted }
  : nodes.find(({ label }) => label.startsWith("node 24.")) ?? nodes.at(-1);
if (node) {
  const folder = await Deno.makeTempDir();
  try {
    tables.push(await measure(node.label.replace("n", "N"), [node.path, await bundleParent(folder)], pinned));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
if (json) console.log(JSON.stringify(tables));
else {
  if (!pinned) console.log("Not pinned to one core, as there is no taskset\n");
  tables.forEach(print);
  if (!node) console.log("Without Node, which was not found");
}
