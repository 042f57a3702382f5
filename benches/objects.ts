/**
 * Objects and processes, next to what else there is, in one run: chains of operations on a served object, `spawn()` next to a bare start of the same
 * runtime by hand, pools of two workers next to piscina, tinypool and comlink, and pools of two processes next to `node:child_process` by hand.
 *
 *   deno run -A benches/objects.ts [--quick] [--json]
 *
 * Contenders take turns, in rounds. Figures are how often a second, medians of the rounds; ratios are medians of the ratios of each round.
 *
 * @module
 */

// deno-lint-ignore-file no-import-prefix no-explicit-any -- nothing but benchmarks needs these packages, and some have no types

import { parseArgs } from "@std/cli";
import { fromFileUrl } from "@std/path";
import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import { Worker } from "node:worker_threads";
import { wrap } from "npm:comlink@4.4.2";
import * as adapter from "npm:comlink@4.4.2/dist/esm/node-adapter.mjs";
import { Piscina } from "npm:piscina@^5";
import { Tinypool } from "npm:tinypool@^2";
import { set } from "../mod.ts";
import type { Pool } from "../objects/mod.ts";
import { pool, spawn } from "../objects/mod.ts";
import { bytes, Meter, serve, square } from "./support/objects_jobs.ts";
import type { Contender, Rates } from "./support/rounds.ts";
import { compare, median, ratio } from "./support/rounds.ts";

const { quick, json } = parseArgs(Deno.args, { boolean: ["quick", "json"] });
const effort = quick ? { slice: 100, rounds: 3 } : { slice: 500, rounds: 7 };
const modules = [import.meta.resolve("./support/objects_jobs.ts")];
const THEIRS = fromFileUrl(new URL("./support/objects_worker.mjs", import.meta.url));
const SIZE = 2;
/** Tasks that wait at a time. */
const AHEAD = 64;

type Job = "square" | "bytes";
type Run = (job: Job, n: number) => Promise<unknown>;

/** Runs tasks, so many at a time. */
async function many(count: number, ahead: number, task: (n: number) => PromiseLike<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(ahead, count) }, async () => {
    while (next < count) await task(next++ % 100);
  }));
}

const tables: Record<string, Rates> = {};

async function measure(title: string, contenders: readonly Contender[]): Promise<void> {
  const rates = tables[title] = await compare(contenders, effort);
  if (json) return;
  const [first] = contenders;
  console.log(title);
  for (const { name } of contenders) {
    const share = name === first!.name ? "" : `${first!.name}/${name} ${ratio(rates, first!.name, name)!.toFixed(2)}`;
    console.log(`  ${name.padEnd(28)}${median(rates[name]!).toFixed(1).padStart(12)} /s   ${share}`);
  }
}

// Chains.
{
  const served = async (background: boolean) => {
    const meter = new Meter();
    const process = spawn.with({ modules })(serve, meter, background);
    await meter.remote.untilListening();
    return { face: meter.remote.face, process };
  };
  const [background, manual] = [await served(true), await served(false)];
  const hand = byHand();
  for (const ahead of [1, AHEAD]) {
    await measure(`Chains of three operations on a served object, ${ahead} in flight`, [
      { name: "background", run: (count) => many(count, ahead, (n) => background.face.add(n).add(n).count) },
      { name: "manual", run: (count) => many(count, ahead, (n) => manual.face.add(n).add(n).count) },
      { name: "one message by hand", run: (count) => many(count, ahead, (n) => hand.run("square", n)) },
    ]);
  }
  for (const { face, process } of [background, manual]) {
    await set(face, "stop", true);
    await process.join();
  }
  hand.end();
}

// Starting.
{
  const bare = async () => {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", "--no-config", "console.log(6 * 7)"] })
      .output();
    if (new TextDecoder().decode(stdout).trim() !== "42") throw new Error("It is not 42");
  };
  const mine = async () => {
    const process = spawn((a: number, b: number) => a * b, 6, 7);
    if (await process.result !== 42) throw new Error("It is not 42");
    await process.join();
  };
  const inTurn = (task: () => Promise<void>) => async (count: number) => {
    for (let i = 0; i < count; i++) await task();
  };
  const title = "Starting a process of Deno, to its result and end";
  await measure(title, [
    { name: "spawn()", run: inTurn(mine) },
    { name: "bare start by hand", run: inTurn(bare) },
  ]);
  const [spawned, alone] = ["spawn()", "bare start by hand"].map((name) => 1000 / median(tables[title]![name]!));
  if (!json) {
    const allowed = 1.3 * alone! + 20;
    console.log(`  ${spawned!.toFixed(1)} ms next to ${alone!.toFixed(1)}; allowed are ${allowed.toFixed(1)}`);
  }
}

const ofPool = (members: Pool): Run => (job, n) =>
  members.run((job === "square" ? square : bytes) as (n: number) => unknown, n);

/** A process of Node's IPC, with an answer for each message. */
function byHand(): { run: Run; end(): void } {
  const child: ChildProcess = fork(THEIRS, ["by-hand"], { serialization: "advanced" } as object);
  const waiting = new Map<number, (value: unknown) => void>();
  let last = 0;
  child.on("message", ({ id, value }: any) => {
    waiting.get(id)!(value);
    waiting.delete(id);
  });
  return {
    run: (job, n) =>
      new Promise((resolve) => {
        waiting.set(++last, resolve);
        child.send({ id: last, job, n });
      }),
    end: () => void child.kill("SIGKILL"),
  };
}

/** Gives tasks to several in turn, one at a time each. */
function inTurns(runs: readonly Run[]): Run {
  const free = [...runs], queue: ((run: Run) => void)[] = [];
  return async (job, n) => {
    const run = free.pop() ?? await new Promise<Run>((resolve) => queue.push(resolve));
    try {
      return await run(job, n);
    } finally {
      const next = queue.shift();
      if (next) next(run);
      else free.push(run);
    }
  };
}

async function pools(title: string, runs: Record<string, Run>): Promise<void> {
  // How long they take to come up is not the question.
  for (const run of Object.values(runs)) await many(100, AHEAD, (n) => run("square", n));
  for (const [job, what, ahead] of [["square", "small tasks", AHEAD], ["bytes", "results of 1 MiB", 4]] as const) {
    await measure(
      `${title}, ${what}, ${ahead} waiting`,
      Object.entries(runs).map(([name, run]) => ({ name, run: (count) => many(count, ahead, (n) => run(job, n)) })),
    );
  }
}

// Workers.
{
  const members = pool(SIZE, { worker: true, modules });
  // All with their defaults, which for piscina are those that its documentation recommends for small tasks: one task per worker at a time, and workers
  // that wait for the next one by `Atomics.wait()`. Moving large results instead of copying them makes no difference for it under Deno.
  const options = { filename: THEIRS, minThreads: SIZE, maxThreads: SIZE };
  const piscina = new Piscina(options);
  const tinypool = new Tinypool({ ...options, filename: new URL(`file://${THEIRS}`).href });
  const workers = Array.from({ length: SIZE }, () => new Worker(THEIRS, { workerData: { comlink: true } }));
  const { default: nodeEndpoint } = adapter as any;
  const faces = workers.map((worker) => wrap(nodeEndpoint(worker)) as any);
  await pools("Two workers", {
    across: ofPool(members),
    piscina: (job, n) => piscina.run({ job, n }),
    tinypool: (job, n) => tinypool.run({ job, n }),
    comlink: inTurns(faces.map((face): Run => (job, n) => face[job](n))),
  });
  await members.close();
  await Promise.all([piscina.destroy(), tinypool.destroy(), ...workers.map((worker) => worker.terminate())]);
}

// Processes.
{
  const members = pool(SIZE, { modules });
  const several = pool(SIZE, { modules, concurrency: 4 });
  const hands = Array.from({ length: SIZE }, byHand);
  await pools("Two processes", {
    across: ofPool(members),
    "across, concurrency 4": ofPool(several),
    "child_process by hand": inTurns(hands.map(({ run }) => run)),
  });
  await Promise.all([members.close(), several.close()]);
  for (const hand of hands) hand.end();
}

if (json) console.log(JSON.stringify(tables));
Deno.exit(0); // comlink's ports stay open
