/**
 * Booting a bare interpreter: how large the script is, how many bytes are sent and how many round trips it takes until the first result, and how long,
 * next to the bare start of the same interpreter, and of Python where that is found. Every interpreter that is found takes part, in turns.
 *
 *   deno run -A benches/bootstrap.ts [--rounds N] [--json] [NAME...]
 *
 * NAMEs are the beginnings of names: `node`, `deno 2.9`. Times are milliseconds, medians; `allowed` is 1.3 times the bare start and 20 ms.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import type { Interpreter } from "../scripts/find_interpreters.ts";
import { findInterpreters } from "../scripts/find_interpreters.ts";
import { biosCommand, Connection, getBios } from "../mod.ts";
import { relayCommand } from "../tests/support/relay.ts";
import { median } from "./support/rounds.ts";

/** One way, in milliseconds: much more than what else a boot takes may vary by. */
const LATENCY = 250;

const { rounds, json, _: names } = parseArgs(Deno.args, { string: ["rounds", "_"], boolean: ["json"] });
const ROUNDS = Number(rounds ?? 15);

/** What was measured of one interpreter. */
interface Figures {
  readonly bare: number[];
  readonly first: number[];
  bytes: number;
  turns: number;
  trips: number;
}

const add = (a: number, b: number): number => a + b;

async function connected<T>(conn: Connection, use: (conn: Connection) => Promise<T>): Promise<T> {
  if (await conn.call(add, 20, 22) !== 42) throw new Error("Got another result");
  const result = await use(conn);
  await conn.close();
  return result;
}

/** How long a program takes that does nothing. */
async function bareStart(program: string, args: readonly string[]): Promise<number> {
  const start = performance.now();
  const { success } = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
  if (!success) throw new Error(`"${program}" failed`);
  return performance.now() - start;
}

/** How long it takes until the first result is there, and what was sent for it. */
function boot(runtime: string): Promise<{ time: number; bytes: number }> {
  const start = performance.now();
  return connected(Connection.fromCommand(biosCommand({ runtime })), (conn) => {
    return Promise.resolve({ time: performance.now() - start, bytes: conn.status().bytesSent });
  });
}

/**
 * Boots behind a relay that delays everything.
 *
 * @returns how often we wrote after we had received something, and how long it took from the greeting to the first result, in round trips
 */
async function bootFarAway(runtime: string): Promise<{ turns: number; trips: number }> {
  const relay = relayCommand(biosCommand({ runtime }), LATENCY);
  let greeted = 0;
  const readable = relay.readable.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller): void {
        greeted ||= performance.now();
        controller.enqueue(chunk);
      },
    }),
  );
  const conn = Connection.fromTransport({ ...relay, readable });
  return await connected(conn, () => {
    const trips = (performance.now() - greeted) / (2 * LATENCY);
    return Promise.resolve({ turns: relay.counts.turns, trips });
  });
}

const isWanted = ({ label }: Interpreter): boolean =>
  names.length === 0 || names.some((it) => label.startsWith(`${it}`));
const interpreters = (await findInterpreters()).filter(isWanted);
const results = new Map<string, Figures>();
const python: number[] = [];

/** Python itself, as what `PATH` finds may be a script that looks for it. */
async function findPython(): Promise<string | undefined> {
  try {
    const args = ["-c", "import sys; print(sys.executable)"];
    const { success, stdout } = await new Deno.Command("python3", { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch {
    return undefined;
  }
}

const pythonPath = await findPython();
for (let round = -1; round < ROUNDS; round++) {
  for (const { label, path } of interpreters) {
    const bare = await bareStart(path, label.startsWith("deno") ? ["eval", "1"] : ["-e", "1"]);
    const { time, bytes } = await boot(path);
    if (round < 0) results.set(label, { bare: [], first: [], bytes, ...await bootFarAway(path) });
    else {
      const figures = results.get(label)!;
      figures.bare.push(bare);
      figures.first.push(time);
    }
  }
  if (pythonPath) {
    const time = await bareStart(pythonPath, ["-c", "1"]);
    if (round >= 0) python.push(time);
  }
}

const script = getBios().length;
if (json) {
  console.log(JSON.stringify({ script, python, results: Object.fromEntries(results) }));
} else {
  console.log(`The script has ${script} bytes\n`);
  const lines: string[][] = [["", "bare", "first", "allowed", "ratio", "extra", "bytes sent", "writes", "round trips"]];
  for (const [label, { bare, first, bytes, turns, trips }] of results) {
    const extra = median(first.map((time, round) => time - bare[round]!));
    const ratio = median(first.map((time, round) => time / bare[round]!));
    lines.push([
      label,
      median(bare).toFixed(1),
      median(first).toFixed(1),
      (1.3 * median(bare) + 20).toFixed(1),
      ratio.toFixed(2),
      extra.toFixed(1),
      `${bytes + script}`,
      `${turns}`,
      trips.toFixed(2),
    ]);
  }
  if (pythonPath) lines.push(["python3", median(python).toFixed(1)]);
  for (const [first = "", ...rest] of lines) {
    console.log(first.padEnd(16) + rest.map((cell) => cell.padStart(12)).join(""));
  }
  console.log(
    "\nBytes sent are those until the first result, script included; writes are those after the greeting, round trips the time\n" +
      `from it to the first result when every way takes ${LATENCY} ms, in round trips.`,
  );
}
