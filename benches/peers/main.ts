/**
 * across next to what else there is for calls between JavaScript processes: raw newline-JSON and raw msgpackr (written by hand, without a library), Node's
 * `fork` IPC, birpc, Cap'n Web and comlink. Ours and theirs in one run, in turns, over the same kind of pipes, on Deno (both sides) and, where it is found,
 * on Node (both sides). The last column is comlink where it is at home, in a thread.
 *
 *   deno run -A benches/peers/main.ts [--quick] [--json] [--node PROGRAM]
 *
 * Prints tables in Markdown: figures, and in brackets how many times as good across is, more than 1 where it is ahead; medians of rounds in which all were
 * measured in turns. What is done one call after the other is pinned to one core where `taskset` is there. The packages come from npm.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { fromFileUrl, join } from "@std/path";
import type { Rates } from "../support/rounds.ts";
import { median, ratio } from "../support/rounds.ts";
import type { BenchRuntime } from "../support/runtimes.ts";
import { figures, findNode, ownRuntime, pinning } from "../support/runtimes.ts";

const { quick, json, node: wanted } = parseArgs(Deno.args, { boolean: ["quick", "json"], string: ["node"] });
const FOLDER = fromFileUrl(new URL("../../.cache/peers", import.meta.url));
/** What is not imported as `npm:` anywhere, see {@linkcode bundle}; the latter two are for `codec.ts`. */
const PACKAGES = { "msgpackr": "2.1.3", "cbor-x": "1", "seroval": "1" };
/** How often what each uses is measured. */
const USE_ROUNDS = quick ? 1 : 3;

type Rows = Record<string, Record<string, number[]>>;

/** What it was measured on, and what came out. */
interface Table {
  readonly title: string;
  readonly names: readonly string[];
  readonly rows: Rows;
}

/** How the figures of a row are shown, and whether it is good when they are small. */
interface Style {
  readonly unit: string;
  readonly scale?: number;
  readonly digits: number;
  readonly small?: true;
  readonly bare?: true;
}
const CALLS: Style = { unit: "k/s", scale: 1000, digits: 1 };
const styleOf = (row: string): Style =>
  row.endsWith("echo")
    ? { unit: "MB/s", digits: 0 }
    : row.includes("steps")
    ? { unit: "ms", digits: 0, small: true }
    : row.startsWith("time")
    ? { unit: "µs", digits: 1, small: true }
    : row === "memory"
    ? { unit: "MiB", digits: 0, small: true }
    : row === "kept"
    ? { unit: "MiB", digits: 2, bare: true }
    : CALLS;

/** Runs a command to its end, quietly unless it fails. */
async function run([program = "", ...args]: readonly string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, cwd, stdin: "null" }).output();
  if (!success) throw new Error(`"${program} ${args.join(" ")}" failed: ${new TextDecoder().decode(stderr).trim()}`);
}

/**
 * Makes the program a single file that both runtimes can run. Next to it lies msgpackr, without the native parts that it has for some platforms only:
 * Deno takes the package with all of them or not at all.
 */
async function bundle(): Promise<string> {
  const program = fromFileUrl(new URL("./program.ts", import.meta.url));
  const outfile = join(FOLDER, "program.mjs");
  await Deno.mkdir(FOLDER, { recursive: true });
  await Deno.writeTextFile(join(FOLDER, "package.json"), JSON.stringify({ dependencies: PACKAGES }));
  // Keeps Deno from taking the project's own configuration for this folder's.
  await Deno.writeTextFile(join(FOLDER, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", lock: false }));
  await run([Deno.execPath(), "bundle", "--quiet", "--platform", "deno", "--output", outfile, program], ".");
  try {
    await run(["npm", "install", "--omit=optional", "--no-audit", "--no-fund"], FOLDER);
  } catch (error) {
    console.error(`Without msgpackr: ${(error as Error).message}`);
  }
  return outfile;
}

async function measure({ title, command }: BenchRuntime, program: string): Promise<Table> {
  const pin = await pinning();
  const base = [...command, program];
  const args = quick ? ["quick"] : [];
  const names = await figures<string[]>([...base, "names"]);
  const rows: Rows = {
    ...await figures<Rows>([...pin ?? [], ...base, "alone", ...args]),
    ...await figures<Rows>([...base, "together", ...args]),
    ...await figures<Rows>([...base, "chain", ...args]),
  };
  for (let round = 0; round < USE_ROUNDS; round++) {
    for (const name of names) {
      for (const [row, rates] of Object.entries(await figures<Rows>([...pin ?? [], ...base, "use", name]))) {
        ((rows[row] ??= {})[name] ??= []).push(...rates[name]!);
      }
    }
  }
  return { title: pin ? title : `${title}, not pinned to one core`, names, rows };
}

function cell(row: string, rates: Rates, name: string): string {
  const { scale = 1, digits, small, bare } = styleOf(row);
  if (!rates[name]) return "-";
  const figure = (median(rates[name]) / scale).toFixed(digits);
  if (name === "across" || bare) return figure;
  const quotient = small ? ratio(rates, name, "across")! : ratio(rates, "across", name)!;
  return `${figure} (${quotient.toFixed(2)})`;
}

function print({ title, names, rows }: Table): void {
  const lines = [[title, "unit", ...names]];
  for (const [row, rates] of Object.entries(rows)) {
    lines.push([row, styleOf(row).unit, ...names.map((name) => cell(row, rates, name))]);
  }
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const shown = lines.map((line) =>
    line.map((text, column) => column ? text.padStart(widths[column]!) : text.padEnd(widths[column]!))
  );
  shown.splice(1, 0, widths.map((width, column) => column ? "-".repeat(width - 1) + ":" : "-".repeat(width)));
  console.log(shown.map((line) => `| ${line.join(" | ")} |`).join("\n") + "\n");
}

const program = await bundle();
const tables = [await measure(ownRuntime, program)];
const node = await findNode(wanted);
if (node) tables.push(await measure(node, program));
if (json) console.log(JSON.stringify(tables));
else {
  tables.forEach(print);
  if (!node) console.log("Without Node, which was not found");
}
