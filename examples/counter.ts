/**
 * remoteobj's counter: an object counts in a process of its own, while it is switched on and off from here.
 *
 *   deno run -A examples/counter.ts [--worker | --runtime node]
 *
 * @module
 */

import { set } from "@x/across";
import { Served, spawn } from "@x/across/objects";

/** Counts while it is on. */
export class Counter {
  on = false;
  stop = false;
  count = 0;
  /** The caller's end of the counter, wherever it is. */
  readonly remote: Served<Counter> = new Served<Counter>(this);

  /** Switches it on or off. */
  toggle(): boolean {
    return this.on = !this.on;
  }
}

/** What the counter does in its process: it counts, and is reachable meanwhile. */
export async function run(counter: Counter): Promise<number> {
  const listening = counter.remote.listen();
  while (!counter.stop) {
    if (counter.on) counter.count++;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  listening[Symbol.dispose]();
  return counter.count;
}

if (import.meta.main) {
  const [flag, runtime] = Deno.args;
  const where = flag === "--worker" ? { worker: true } : runtime === undefined ? {} : { runtime };
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

  const counter = new Counter();
  await using p = spawn.with({ modules: [import.meta], ...where })(run, counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;

  await face.toggle();
  const first = await face.count;
  await pause();
  const second = await face.count;
  console.log(second > first ? "It counts" : "It does not count");

  await face.toggle();
  const third = await face.count;
  await pause();
  console.log(await face.count === third ? "It stands still" : "It does not stand still");

  await set(face, "stop", true);
  console.log(await p.result === third ? "It stopped there" : "It went on");
}
