/**
 * A soak: everything at once, at full speed, for a long time, against ends that a BIOS booted on Deno and on Node. Calls, callbacks, references,
 * chains, streams, large values, failures, cancellations and connections that break off run side by side; answers are checked, and at the end both sides'
 * tables must be empty and their memory must not have grown.
 *
 *   deno run -A scripts/soak.ts [--seconds 600] [--every 60] [--node PROGRAM]
 *
 * Prints a line for each end and interval: what was done so far, and the memory of both sides after a collection. Exits with status 1 if something
 * is wrong.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import type { Remote } from "../mod.ts";
import { biosCommand, Connection, DisconnectError, ref, release } from "../mod.ts";
import { collectGarbage } from "../tests/support/garbage.ts";
import { condition } from "../tests/support/leaks.ts";
import { findInterpreters } from "./find_interpreters.ts";

const { seconds, every, node: wanted } = parseArgs(Deno.args, { string: ["seconds", "every", "node"] });
const DURATION = 1000 * Number(seconds ?? 600);
const INTERVAL = 1000 * Number(every ?? Math.min(60, DURATION / 3000));
/** What one side may have more at the end than after the first interval, when everything had been used. Engines keep some of what they once had. */
const ALLOWED = 24 << 20;

/** What goes wrong is told at the end, too. */
const complaints: string[] = [];

function check(right: boolean, what: string): void {
  if (!right) throw new Error(`Wrong answer: ${what}`);
}

/** Something that is done over and over. Each runs in several lanes. */
type Work = (conn: Connection, round: number) => Promise<void>;

/** Results are checked, not typed. */
// deno-lint-ignore no-explicit-any -- as above
const echo = (value: any): any => value;

class Account {
  balance = 0;
  add(n: number): this {
    this.balance += n;
    return this;
  }
}

const bytes = new Uint8Array(300_000).map((_, i) => i * 7 >> 3);

const works: Record<string, Work> = {
  async calls(conn, round) {
    const results = await Promise.all(Array.from({ length: 64 }, (_, i) => conn.call(echo, round + i)));
    check(results.every((result, i) => result === round + i), "calls");
  },

  async values(conn, round) {
    const value = {
      round,
      text: "x".repeat(round % 3000),
      list: [1, { two: 2 }],
      map: new Map([["k", new Date(round)]]),
    };
    const back = await conn.call(echo, value);
    check(back.text === value.text && back.map.get("k")?.getTime() === round && back.list.length === 2, "values");
  },

  async bytes(conn, round) {
    const part = bytes.subarray(round % 1000, 100_000 + round % 200_000);
    const back = await conn.call(echo, part);
    check(back.length === part.length && back.at(-1) === part.at(-1) && back[0] === part[0], "bytes");
  },

  async callbacks(conn, round) {
    let count = 0;
    const sum = await conn.call(
      async (back: (n: number) => Promise<number>, n: number) => (await Promise.all([back(n), back(n + 1)]))[1]! + n,
      (n: number) => Promise.resolve((count++, n)),
      round,
    );
    check(sum === 2 * round + 1 && count === 2, "callbacks");
  },

  async references(conn, round) {
    const account = await conn.callRef(Account);
    await account.add(round);
    check(await account.balance === round, "references");
    // Back to its owner, once more than it is given back.
    check(await conn.call((it: unknown) => (it as { balance: number }).balance, account as unknown) === round, "owner");
    if (round % 2) release(account); // others are collected
    const mine = { calls: 0, hit: () => ++mine.calls };
    await conn.call(async (it: Remote<typeof mine>) => void await it.hit(), ref(mine));
    check(mine.calls === 1, "a reference to ours");
  },

  async chains(conn, round) {
    const balance = await conn.callRef(Account).add(round).add(1).balance;
    check(balance === round + 1, "chains");
    conn.call(echo, round); // never awaited
  },

  async streams(conn, round) {
    const numbers = await conn.call(async function* (n: number) {
      for (let i = 0; i < 200; i++) yield await Promise.resolve(n + i);
    }, round);
    let expected = round;
    for await (const number of numbers) {
      check(number === expected++, "streams");
      if (round % 2 && expected === round + 50) break;
    }
    check(expected === round + (round % 2 ? 50 : 200), "the end of a stream");
    const readable = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let i = 0; i < 4; i++) controller.enqueue(bytes.subarray(0, 50_000));
        controller.close();
      },
    });
    const size = await conn.call(async (readable: ReadableStream<Uint8Array>) => {
      let size = 0;
      for await (const chunk of readable) size += chunk.length;
      return size;
    }, readable);
    check(size === 200_000, "a stream of bytes");
  },

  async failures(conn, round) {
    const error = await conn.call((n: number) => {
      throw Object.assign(new RangeError("expected"), { n });
    }, round).then(() => undefined, (error: RangeError & { n: number }) => error);
    check(error instanceof RangeError && error.n === round, "failures");
    const unsent = await conn.call(echo, { inside: new WeakMap() })
      .then(() => "sent", () => "refused");
    check(unsent === "refused", "what cannot be sent");
  },

  async cancellations(conn, round) {
    const controller = new AbortController();
    const value = round % 2 ? round : bytes;
    const scope = conn.with({ signal: controller.signal });
    // One ends by its signal, the other one late, when nobody waits for it any more.
    const call = round % 4 < 2
      ? scope.call(
        (value: unknown, signal: AbortSignal) =>
          new Promise<void>((_, reject) => {
            if (signal.aborted) reject(value);
            else signal.addEventListener("abort", () => reject(value));
          }),
        value,
        controller.signal,
      )
      : scope.call((value: unknown) => new Promise((resolve) => setTimeout(resolve, 30, value)), value);
    const cancelled = call.then(() => "resolved", (error: unknown) => error);
    if (round % 3) await conn.call(echo, round);
    controller.abort(round);
    const outcome = await cancelled;
    check(outcome === round || round % 4 > 1 && outcome === "resolved", "cancellations");
  },
};

/** How many of each run at the same time. */
const LANES = 3;

/** What is under way and held on one side. */
type Tables = Pick<
  ReturnType<Connection["status"]>,
  "callsInFlight" | "callsRunning" | "referencesHeld" | "referencesGiven" | "resultsHeld"
>;

function tablesOf(status: Tables): Tables {
  const { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld } = status;
  return { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld };
}

interface Memory {
  readonly here: number;
  readonly there: number;
}

/** One kind of remote end under load. */
class Soak {
  readonly label: string;
  readonly #command: readonly string[];
  readonly #conn: Connection;
  readonly #done: Record<string, number> = {};
  #first: Memory | undefined;
  #stopped = false;

  constructor(label: string, program: string) {
    this.label = label;
    this.#command = biosCommand({ runtime: program });
    this.#conn = Connection.fromCommand(this.#command);
  }

  async run(until: number): Promise<void> {
    await this.#conn.ready();
    const lanes = Object.entries(works).flatMap(([name, work]) =>
      Array.from({ length: LANES }, (_, lane) => this.#lane(name, lane, until, (round) => work(this.#conn, round)))
    );
    lanes.push(this.#lane("disconnects", 0, until, () => this.#disconnect()));
    lanes.push(this.#watch(until));
    try {
      await Promise.all(lanes);
      await this.#finish();
    } catch (error) {
      complaints.push(`${this.label}: ${error instanceof Error ? error.stack : error}`);
      this.#stopped = true;
      this.#conn.cancel();
    }
    await Promise.allSettled(lanes);
    await this.#conn.close();
  }

  async #lane(name: string, lane: number, until: number, work: (round: number) => Promise<void>): Promise<void> {
    for (let round = lane; performance.now() < until && !this.#stopped; round++) {
      await work(round);
      this.#done[name] = (this.#done[name] ?? 0) + 1;
    }
  }

  /** What is held over there, as it says itself. */
  async #tablesThere(): Promise<Tables> {
    return tablesOf(
      await this.#conn.execute<ReturnType<Connection["status"]>>(
        'const { getConnection } = await import("@x/across"); getConnection().status()',
      ),
    );
  }

  /** Another connection, broken off or closed while calls are under way: everybody who waits is told. */
  async #disconnect(): Promise<void> {
    const conn = Connection.fromCommand(this.#command);
    const waiting = Array.from(
      { length: 20 },
      (_, i) => i < 10 ? conn.call(echo, i) : conn.call((i: number) => new Promise<number>(() => void i), i),
    ).map((call) => call.then((value) => value, (error: unknown) => error));
    check(await waiting[9] === 9, "before a disconnect");
    if (Math.random() < 0.5) conn.cancel();
    else await conn.close();
    const outcomes = await Promise.all(waiting);
    check(outcomes.slice(10).every((it) => it instanceof DisconnectError), "disconnects");
    await conn.close();
    // Starting processes would leave little of the machine to everything else.
    await new Promise((resolve) => setTimeout(resolve, 300));
  }

  /** Bytes in use on both sides, after collections. */
  async #memory(): Promise<Memory> {
    for (let i = 0; i < 3; i++) {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const there = await this.#conn.call(async () => {
      const [v8, vm] = await Promise.all([import("node:v8"), import("node:vm")]);
      v8.setFlagsFromString("--expose-gc");
      const collect = vm.runInNewContext("gc") as () => void;
      for (let i = 0; i < 3; i++) {
        collect();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const { default: process } = await import("node:process");
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    });
    const { heapUsed, external } = Deno.memoryUsage();
    return { here: heapUsed + external, there };
  }

  #print({ here, there }: Memory): void {
    const counts = Object.entries(this.#done).map(([name, count]) => `${name} ${count}`).join(", ");
    const size = (value: number) => `${(value / 2 ** 20).toFixed(1)} MiB`;
    const time = `${Math.round(performance.now() / 1000)} s`.padStart(6);
    console.log(`${time}  ${this.label.padEnd(14)} here ${size(here)}, there ${size(there)}; ${counts}`);
  }

  async #watch(until: number): Promise<void> {
    while (performance.now() + INTERVAL < until && !this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
      const memory = await this.#memory();
      this.#first ??= memory;
      this.#print(memory);
    }
  }

  /** Empty tables on both sides, and memory as it was. */
  async #finish(): Promise<void> {
    let tables: readonly Tables[] = [];
    await condition(
      async () => {
        await this.#memory(); // for its collections
        const there = await this.#tablesThere();
        tables = [tablesOf(this.#conn.status()), { ...there, callsRunning: there.callsRunning - 1 }]; // the one that asks
        return tables.every((table) => Object.values(table).every((count) => count === 0));
      },
      "the tables of both sides are empty",
      30_000,
    ).catch((cause) => {
      throw new Error(`Left over here and there: ${JSON.stringify(tables)}`, { cause });
    });
    const memory = await this.#memory();
    this.#print(memory);
    const first = this.#first;
    if (!first) return;
    for (const side of ["here", "there"] as const) {
      const grown = memory[side] - first[side];
      if (grown > ALLOWED) throw new Error(`Memory ${side} has grown by ${Math.round(grown / 2 ** 20)} MiB`);
    }
  }
}

const interpreters = await findInterpreters();
const node = wanted ??
  (interpreters.find(({ label }) => label.startsWith("node 24.")) ??
    interpreters.findLast(({ label }) => label.startsWith("node ")))?.path;
const soaks = [new Soak("deno", Deno.execPath())];
if (node) soaks.push(new Soak("node", node));
else console.log("Without Node, which was not found");
await Promise.all(soaks.map((soak) => soak.run(performance.now() + DURATION)));
for (const complaint of complaints) console.error(complaint);
console.log(complaints.length > 0 ? "FAILED" : `ok after ${Math.round(performance.now() / 1000)} s`);
Deno.exitCode = complaints.length > 0 ? 1 : 0;
