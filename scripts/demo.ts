/**
 * `deno task demo`: boots every interpreter that is found, bare, sends it a module of several local files, calls it there and prints what came
 * back, with the time and the bytes that it took.
 *
 * @module
 */

import { fromFileUrl } from "@std/path";
import { type Census, census } from "../examples/census/census.ts";
import { biosCommand, Connection } from "../mod.ts";
import { findInterpreters, type Interpreter } from "./find_interpreters.ts";

const PROJECT = fromFileUrl(new URL("../", import.meta.url));

/** Major versions. */
const OLDEST: Readonly<Record<string, number>> = { deno: 2, node: 20, bun: 1 };

interface Visit {
  readonly result: Census;
  /** Milliseconds until the interpreter was up with across in it, and until the result was here. */
  readonly boot: number;
  readonly total: number;
  readonly sent: number;
  readonly received: number;
}

async function visit({ path }: Interpreter): Promise<Visit> {
  const start = performance.now();
  const elapsed = (): number => performance.now() - start;
  await using conn = await Connection.fromCommand(biosCommand({ runtime: path })).ready();
  const boot = elapsed();
  await conn.export(import.meta.resolve("../examples/census/census.ts"));
  const result = await conn.call(census, PROJECT);
  const { bytesSent, bytesReceived } = conn.status();
  return { result, boot, total: elapsed(), sent: bytesSent, received: bytesReceived };
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => /^[\d.,]/.test(cell) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  const [head = [], ...body] = rows;
  return [line(head), rule, ...body.map(line)].join("\n");
}

const number = (value: number): string => Math.round(value).toLocaleString("en");

const rows = [[
  "interpreter",
  "says it is",
  "pid",
  "boot ms",
  "total ms",
  "bytes sent",
  "received",
  "files",
  "of which",
]];
const failures: string[] = [];
for (const interpreter of await findInterpreters()) {
  const [name = "", version = ""] = interpreter.label.split(" ");
  if (Number.parseInt(version) < (OLDEST[name] ?? 0)) {
    rows.push([interpreter.label, `too old: ${name} ${OLDEST[name]} is the oldest that works`]);
    continue;
  }
  try {
    const { result: { by, files, kinds }, boot, total, sent, received } = await visit(interpreter);
    const parts = [...kinds].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${count} ${kind}`).join(", ");
    rows.push([
      interpreter.label,
      by.runtime,
      String(by.pid),
      ...[boot, total, sent, received, files].map(number),
      parts,
    ]);
  } catch (error) {
    failures.push(`${interpreter.label}: ${error instanceof Error ? error.message : String(error)}`);
    rows.push([interpreter.label, "failed, see below"]);
  }
}
console.log(
  `Nothing but this Deno (pid ${Deno.pid}) has across installed. examples/census/census.ts and what it imports, run in:\n`,
);
console.log(table(rows));
console.log("\nWhat was sent is all that each of them got: across, the module with its imports, the call.");
for (const failure of failures) console.error(`\nFailed: ${failure}`);
Deno.exit(failures.length > 0 ? 1 : 0);
