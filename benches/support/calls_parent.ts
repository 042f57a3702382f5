/**
 * What `calls.ts` runs, under Deno and under Node: starts a child of the same kind for everybody who takes part, measures, and prints the figures as
 * a line of JSON. Its argument says what is measured: `alone` what is done one after the other, `together` the rest. A second one, `quick`: less thoroughly.
 *
 * @module
 */

import { across } from "../peers/across.ts";
import { fork } from "../peers/fork.ts";
import { rawJson } from "../peers/raw_json.ts";
import { args } from "./pipes.ts";
import { startRaw } from "./raw_pipe.ts";
import type { Effort, Rates } from "./rounds.ts";
import { closeAll, echoes, inFlight, inMegabytes, inTurn, measure, serves, startAll } from "./workloads.ts";

const CONTENDERS = [across, rawJson, fork];
const MIB = 1 << 20;

const [what, quick] = args;
const effort: Effort = quick ? { slice: 60, rounds: 3 } : { slice: 200, rounds: 9 };

/** Echoes of bytes; the rates are MB of payload a second, each byte counted once for its way there and back. */
async function bytes(peers: Awaited<ReturnType<typeof startAll>>, size: number): Promise<Rates> {
  const payload = new Uint8Array(size);
  const raw = await startRaw(false), whole = await startRaw(true);
  const bare = [["raw", raw], ["whole", whole]] as const;
  const others = bare.map(([name, { echo }]) => ({
    name,
    async run(count: number): Promise<void> {
      for (let i = 0; i < count; i++) await echo(payload);
    },
  }));
  const able = size <= MIB ? peers : peers.filter(({ contender }) => !contender.textOnly);
  const rates = inMegabytes(await measure(able, echoes(size), effort, others), size);
  await raw.close();
  await whole.close();
  return rates;
}

if (!await serves(CONTENDERS, args)) {
  const peers = await startAll(CONTENDERS);
  const results: Record<string, Rates> = what === "alone"
    ? {
      "one in flight": await measure(peers, inTurn, effort),
      "callbacks in turn": await measure(peers, ({ callBack }, count) => callBack(count), effort),
    }
    : {
      "64 in flight": await measure(peers, inFlight(64), effort),
      "256 in flight": await measure(peers, inFlight(256), effort),
      "1 MiB echo": await bytes(peers, MIB),
      "64 MiB echo": await bytes(peers, 64 * MIB),
    };
  await closeAll(peers);
  console.log(JSON.stringify(results));
}
