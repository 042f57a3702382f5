/**
 * What `main.ts` runs, bundled, under Deno and under Node: one process measures, and starts others of the same program to be the other sides. Its
 * arguments say what is to be done: `serve NAME`, `alone` (what is done one after the other), `together`, `chain`, `use NAME`. The figures go to stdout
 * as a line of JSON.
 *
 * @module
 */

import { args } from "../support/pipes.ts";
import type { Effort, Rates } from "../support/rounds.ts";
import { chains, closeAll, echoes, inFlight, inMegabytes, inTurn, measure, serves } from "../support/workloads.ts";
import { startAll } from "../support/workloads.ts";
import { across } from "./across.ts";
import { birpc } from "./birpc.ts";
import { capnweb } from "./capnweb.ts";
import { comlink, comlinkThread } from "./comlink.ts";
import type { Contender, Usage } from "./contender.ts";
import { usage } from "./contender.ts";
import { fork } from "./fork.ts";
import { rawJson } from "./raw_json.ts";
import { rawMsgpackr } from "./raw_msgpackr.ts";

/** Who takes part, in the order of the table. */
const CONTENDERS: readonly Contender[] = [across, rawJson, rawMsgpackr, fork, birpc, capnweb, comlink, comlinkThread];
/** Milliseconds each way. */
const LATENCY = 20;
const MIB = 1 << 20;
/** Calls whose memory is measured, those one after the other whose processor time is, and those before, which load and compile everything. */
const CALLS = 100_000, IN_TURN = 20_000, FIRST_CALLS = 5_000;

const [what, ...rest] = args;
const quick = rest.includes("quick");
const effort: Effort = quick ? { slice: 40, rounds: 3 } : { slice: 80, rounds: 7 };

async function alone(): Promise<Record<string, Rates>> {
  const peers = await startAll(CONTENDERS);
  const rates = {
    "1 in flight": await measure(peers, inTurn, effort),
    "callbacks": await measure(peers, ({ callBack }, count) => callBack(count), effort),
  };
  await closeAll(peers);
  return rates;
}

async function together(): Promise<Record<string, Rates>> {
  const peers = await startAll(CONTENDERS);
  const rates = {
    "64 in flight": await measure(peers, inFlight(64), effort),
    "256 in flight": await measure(peers, inFlight(256), effort),
    "1 MiB echo": inMegabytes(await measure(peers, echoes(MIB), effort), MIB),
  };
  await closeAll(peers);
  return rates;
}

/** Over a link with latency; milliseconds for each chain. */
async function chain(): Promise<Record<string, Rates>> {
  const peers = await startAll(CONTENDERS, LATENCY);
  const rates = await measure(peers, chains, { slice: 1, rounds: quick ? 3 : 7 });
  await closeAll(peers);
  const times = Object.entries(rates).map(([name, list]) => [name, list.map((rate) => 1000 / rate)]);
  return { [`3 steps, ${LATENCY} ms each way`]: Object.fromEntries(times) };
}

/**
 * What both sides use, together: processor time for each call, in microseconds, which tells more than a clock does where others use the machine, too;
 * memory after many calls, and how much more of their heaps is in use than before, in MiB.
 */
async function use(name: string): Promise<Record<string, Rates>> {
  const contender = CONTENDERS.find((it) => it.name === name)!;
  const [peer] = await startAll([contender]);
  if (!peer) return {};
  // A thread's share is in what is told of the process.
  const sides = async () => [await usage(), ...contender.thread ? [] : [await peer.usage()]];
  const sum = (usages: readonly Usage[], of: (usage: Usage) => number) => usages.reduce((sum, it) => sum + of(it), 0);
  const spent = (from: readonly Usage[], to: readonly Usage[], calls: number) =>
    (sum(to, (it) => it.spent[0]) - sum(from, (it) => it.spent[1])) / calls;
  const run = inFlight(64);
  await run(peer, FIRST_CALLS);
  await inTurn(peer, FIRST_CALLS);
  const first = await sides();
  await inTurn(peer, IN_TURN);
  const second = await sides();
  await run(peer, CALLS);
  const third = await sides();
  await closeAll([peer]);
  return {
    "time, 1 in flight": { [name]: [spent(first, second, IN_TURN)] },
    "time, 64 in flight": { [name]: [spent(second, third, CALLS)] },
    "memory": { [name]: [sum(third, (it) => it.rss) / MIB] },
    "kept": { [name]: [(sum(third, (it) => it.heap) - sum(second, (it) => it.heap)) / MIB] },
  };
}

if (!await serves(CONTENDERS, args)) {
  const results = what === "names"
    ? CONTENDERS.map(({ name }) => name)
    : what === "alone"
    ? await alone()
    : what === "together"
    ? await together()
    : what === "chain"
    ? await chain()
    : await use(rest[0]!);
  console.log(JSON.stringify(results));
  // deno-lint-ignore no-explicit-any -- there is none in the types for Deno
  if (!(globalThis as any).Deno) (globalThis as any).process.exit();
}
