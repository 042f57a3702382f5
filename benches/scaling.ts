/**
 * Many gateways on this machine, in a row and as a tree: how long they take to open, to answer and to end, what each costs this process, and what it is
 * sent. `docs/scaling.md` has the figures, and what follows for other machines.
 *
 *   deno run -A benches/scaling.ts [--sizes 1,8,64] [--rounds 3] [--runtime deno] [--json]
 *
 * `open`: milliseconds until all are there. `answer`: from `remoteExec()` on all to the last first item. `end`: `terminate()`. `memory`: KiB of this process
 * for each gateway, a whole process for each row, so that nothing is left of the one before. `sent`: bytes that leave this process, and those of them for
 * each gateway. Medians of the rounds.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { Group } from "../gateways/mod.ts";
import { median } from "./support/rounds.ts";

const FANOUT = 8;
const WAYS = ["flat", "tree"] as const;
type Figures = Readonly<Record<"open" | "answer" | "end" | "memory" | "sent" | "each", number>>;

const { sizes = "", rounds, runtime = "deno", json, one } = parseArgs(Deno.args, {
  string: ["sizes", "rounds", "runtime", "one"],
  boolean: ["json"],
  default: { sizes: "1,8,16,32,64", rounds: "3", runtime: "deno" },
});

async function measure(way: string, count: number): Promise<Figures> {
  const warm = new Group();
  await warm.makeGateway(`popen//runtime=${runtime}`);
  await warm.terminate({ timeout: 10_000 });
  const before = Deno.memoryUsage().rss;
  const group = new Group();
  const specs = Array.from({ length: count }, () => `popen//runtime=${runtime}`);
  const times = [performance.now()];
  const gateways = await (way === "tree" ? group.tree(specs, { fanout: FANOUT }) : group.makeGateways(specs));
  times.push(performance.now());
  await group.remoteExec("channel.send(1)").receiveEach();
  times.push(performance.now());
  const memory = (Deno.memoryUsage().rss - before) / 1024 / count;
  // What is behind a carrier goes through the connections of those that are not.
  const sent = gateways.filter(({ via }) => !via).reduce((sum, it) => sum + it.connection.status().bytesSent, 0);
  const ending = performance.now();
  await group.terminate({ timeout: 10_000 });
  const [begun, opened, answered] = times as [number, number, number];
  return {
    open: opened - begun,
    answer: answered - opened,
    end: performance.now() - ending,
    memory,
    sent,
    each: sent / count,
  };
}

/** A row in a process of its own. */
async function inProcess(way: string, count: number): Promise<Figures> {
  const args = ["run", "-A", import.meta.filename!, "--runtime", runtime, "--one", `${way},${count}`];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

if (one) {
  const [way, count] = one.split(",") as [string, string];
  console.log(JSON.stringify(await measure(way, Number(count))));
} else {
  const rows = new Map<string, Figures[]>();
  for (let round = 0; round < Number(rounds); round++) {
    for (const count of sizes.split(",").map(Number)) {
      for (const way of WAYS) {
        if (way === "tree" && count <= FANOUT) continue; // which is flat
        const name = `${count} ${way}`;
        rows.set(name, [...rows.get(name) ?? [], await inProcess(way, count)]);
      }
    }
  }
  const table = Object.fromEntries([...rows].map(([name, list]) => [
    name,
    Object.fromEntries(
      Object.keys(list[0]!).map((key) => [key, Math.round(median(list.map((it) => it[key as keyof Figures])))]),
    ),
  ]));
  if (json) console.log(JSON.stringify(table));
  else console.table(table);
}
