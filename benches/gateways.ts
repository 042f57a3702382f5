/**
 * Gateways: how long one takes to start, round trips a second of an echo, and throughput of channels, next to Python's execnet where
 * `python3 -c "import execnet"` works. The Deno that runs this takes part, and Node 20, 24 and 26 and
 * Bun where they are found, in turns.
 *
 *   deno run -A benches/gateways.ts [--quick] [--cold] [--json] [NAME...]
 *
 * NAMEs are the beginnings of names: `node 24`, `bun`. Execnet always takes part.
 *
 * `bare`: milliseconds that the interpreter takes to start and end, without anything to do, for comparison: no gateway on it can be faster. `start`:
 * from `makeGateway()` to the first item. `eight`: the same for eight in a group. `echo`: one small item after the other, there and
 * back, a second. `there and back`: items of 1 MiB, in MB/s of one direction, 256 at a time. Figures are medians of the rounds; behind each is the
 * median of the ratios to execnet, more than 1 where across is ahead. rsync is not measured here.
 *
 * Every far side is a new process in every round. Throughput is that of one that has been at work for one or two seconds: as many items as are in
 * {@linkcode WARM_UP} go there and back before the clock starts, execnet's as well as ours. How far the first ones are behind is printed with
 * `--cold`, which leaves the warm-up out.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import type { Channel } from "../gateways/mod.ts";
import { Group } from "../gateways/mod.ts";
import { findInterpreters } from "../scripts/find_interpreters.ts";
import { median } from "./support/rounds.ts";

const { quick, json, cold, _: names } = parseArgs(Deno.args, { boolean: ["quick", "json", "cold"], string: ["_"] });
const ROUNDS = quick ? 3 : 5;
/** Items of a batch of 1 MiB each, as one that is sent in one go must not fill the memory of execnet's far side, which takes everything at once. */
const ITEMS = quick ? 32 : 256;
/** What is measured, and what goes before: small items, and batches of large ones. */
const MEASURED = cold ? { echoes: 5_000, batches: 1 } : { echoes: quick ? 1_000 : 10_000, batches: 4 };
const WARM_UP = cold ? { echoes: 1, batches: 0 } : { echoes: quick ? 2_000 : 20_000, batches: 4 };
const MIB = 1 << 20;
const PID = "channel.send(1)";
const ECHO = "for await (const item of channel) await channel.send(item)";

/** What is measured of one contender in one round. */
type Figures = Readonly<Record<"bare" | "start" | "eight" | "echo" | "there and back", number>>;
/** Of these, less is better. */
const TIMES: readonly string[] = ["bare", "start", "eight"];

/** How long a program takes that does nothing. */
async function bareStart(program: string, args: readonly string[]): Promise<number> {
  const began = performance.now();
  await new Deno.Command(program, { args: [...args], stdin: "null", stdout: "null", stderr: "null" }).output();
  return performance.now() - began;
}

/** Sends small items and gets them back, one after the other. Gives milliseconds. */
async function echo(channel: Channel, times: number): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < times; i++) {
    await channel.send(i);
    await channel.receive();
  }
  return performance.now() - began;
}

/** Sends large items and gets them back. Gives milliseconds. */
async function move(channel: Channel, batches: number): Promise<number> {
  const item = new Uint8Array(MIB);
  const began = performance.now();
  for (let batch = 0; batch < batches; batch++) {
    const sending = (async () => {
      for (let i = 0; i < ITEMS; i++) await channel.send(item);
    })();
    for (let i = 0; i < ITEMS; i++) await channel.receive();
    await sending;
  }
  return performance.now() - began;
}

async function ours(spec: string, program: string, nothing: readonly string[]): Promise<Figures> {
  const bare = await bareStart(program, nothing);
  const began = performance.now();
  await using group = new Group();
  const gateway = await group.makeGateway(spec);
  await gateway.remoteExec(PID).receive();
  const start = performance.now() - began;
  const channel = gateway.remoteExec(ECHO);
  await echo(channel, WARM_UP.echoes);
  const echoes = MEASURED.echoes / await echo(channel, MEASURED.echoes) * 1_000;
  await move(channel, WARM_UP.batches);
  const moved = MEASURED.batches * ITEMS * MIB / 1e3 / await move(channel, MEASURED.batches);
  channel.close();
  await group.terminate({ timeout: 5_000 });
  const opening = performance.now();
  await group.makeGateways(Array.from({ length: 8 }, () => spec));
  await group.remoteExec(PID).receiveEach();
  return { bare, start, eight: performance.now() - opening, echo: echoes, "there and back": moved };
}

const PYTHON = `
import json, threading, time, execnet
began = time.perf_counter()
group = execnet.Group()
gateway = group.makegateway("popen")
gateway.remote_exec("channel.send(1)").receive()
start = (time.perf_counter() - began) * 1e3
channel = gateway.remote_exec("for item in channel: channel.send(item)")
def echo(times):
    began = time.perf_counter()
    for i in range(times):
        channel.send(i); channel.receive()
    return time.perf_counter() - began
def move(batches):
    item = bytes(${MIB})
    def send():
        for i in range(${ITEMS}): channel.send(item)
    began = time.perf_counter()
    for batch in range(batches):
        sender = threading.Thread(target=send); sender.start()
        for i in range(${ITEMS}): channel.receive()
        sender.join()
    return time.perf_counter() - began
echo(${WARM_UP.echoes})
echoes = ${MEASURED.echoes} / echo(${MEASURED.echoes})
move(${WARM_UP.batches})
moved = ${MEASURED.batches * ITEMS * MIB} / 1e6 / move(${MEASURED.batches})
channel.close()
group.terminate(5)
opening = time.perf_counter()
others = execnet.Group(["popen"] * 8)
others.remote_exec("channel.send(1)").receive_each()
eight = (time.perf_counter() - opening) * 1e3
others.terminate(5)
print(json.dumps({"start": start, "eight": eight, "echo": echoes, "there and back": moved}))
`;

async function python(script: string): Promise<string | undefined> {
  try {
    const { code, stdout } = await new Deno.Command("python3", { args: ["-c", script], stderr: "null" }).output();
    return code === 0 ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined; // there is no Python
  }
}

const contenders = new Map<string, () => Promise<Figures>>();
for (const { label, path } of await findInterpreters()) {
  const [name, major] = label.split(/[ .]/) as [string, string];
  if (name === "deno" ? path !== Deno.execPath() : name === "node" && !["20", "24", "26"].includes(major)) continue;
  if (names.length > 0 && !names.some((it) => label.startsWith(`${it}`))) continue;
  const nothing = name === "deno" ? ["run", "--no-config", "data:application/javascript,"] : ["-e", "0"];
  contenders.set(`across, ${label}`, () => ours(`popen//runtime=${path}`, path, nothing));
}
const version = (await python("import execnet; print(execnet.__version__)"))?.trim();
const execnet = `execnet ${version}`;
if (version) {
  contenders.set(execnet, async () => {
    return { bare: await bareStart("python3", ["-c", "pass"]), ...JSON.parse((await python(PYTHON))!) };
  });
} else console.error("execnet is not there: only across is measured");

const results = new Map<string, Figures[]>([...contenders.keys()].map((name) => [name, []]));
for (let round = -1; round < ROUNDS; round++) {
  for (const [name, measure] of contenders) {
    const figures = await measure();
    if (round >= 0) results.get(name)!.push(figures); // the first round only warms up
  }
}
const rows = Object.fromEntries(
  [...results].map(([name, list]) => [
    name,
    Object.fromEntries(
      Object.keys(list[0]!).map((key) => {
        const of = (figures: Figures) => figures[key as keyof Figures];
        const others = results.get(execnet);
        const ratios = others &&
          list.map((it, i) => TIMES.includes(key) ? of(others[i]!) / of(it) : of(it) / of(others[i]!));
        return [key, { median: median(list.map(of)), ...(ratios && { ratio: median(ratios) }) }];
      }),
    ),
  ]),
);
if (json) console.log(JSON.stringify(rows));
else {
  const keys = ["bare", "start", "eight", "echo", "there and back"];
  console.log("".padEnd(22) + keys.map((key) => key.padStart(18)).join(""));
  for (const [name, row] of Object.entries(rows)) {
    const cells = keys.map((key) => {
      const { median, ratio } = row[key]!;
      return `${median.toFixed(0)}${ratio && name !== execnet ? ` (${ratio.toFixed(2)})` : ""}`.padStart(18);
    });
    console.log(name.padEnd(22) + cells.join(""));
  }
}
