// Wires to commands and child processes: commandWire() and processWire(), started by Deno, Node and Bun.

import type { ChildLike } from "../mod.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { spawn } from "node:child_process";
import { processWire } from "../transports/child.ts";
import { bundled } from "./support/bundle.ts";
import { scenarios } from "./support/command_scenarios.ts";
import { condition, isAlive, noLeaks } from "./support/leaks.ts";
import type { Runtime } from "./support/runtimes.ts";
import { runtimes, testEachRuntime } from "./support/runtimes.ts";
import { receive, send, sendMany } from "./support/wires.ts";

for (const [name, run] of Object.entries(scenarios)) Deno.test(`commandWire(): ${name}`, noLeaks(run));

const commands = await bundled("wire_commands");
const holding = await bundled("wire_hold");
await runtimes();

/** The argv that runs a program. */
const runArgs = ({ name, path }: Runtime, ...args: string[]): [string, string[]] => [
  path,
  name === "deno" ? ["run", "-A", "--no-config", ...args] : args,
];

/** Runs a program to its end. */
async function run(runtime: Runtime, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [path, all] = runArgs(runtime, ...args);
  const command = new Deno.Command(path, { args: all, env: { NO_COLOR: "1" }, stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), err: text.decode(stderr) };
}

await testEachRuntime(
  "commandWire() does the same elsewhere",
  noLeaks(async (runtime: Runtime) => {
    const { code, out, err } = await run(runtime, commands);
    assert(code === 0, out + err);
    assertEquals(out.match(/^ok /gm)?.length, Object.keys(scenarios).length, out);
  }),
  ({ name, version }) => name !== "deno" || version === "2.0.6",
);

await testEachRuntime(
  "stderr of a command goes to ours, passed on or inherited, and nowhere when told so",
  noLeaks(async (runtime: Runtime) => {
    for (const mode of ["passed", "inherit"]) {
      const { code, err } = await run(runtime, holding, "stderr", mode);
      assertEquals(code, 0, err);
      assertEquals(err.match(/^complaint \d+$/gm)?.length, 1000, err.slice(-2000));
    }
    assertEquals((await run(runtime, holding, "stderr", "null")).err, "");
  }),
);

await testEachRuntime(
  "a program with an open idle child ends by itself, and the child with it",
  noLeaks(async (runtime: Runtime) => {
    const file = await Deno.makeTempFile();
    try {
      const { code, out, err } = await run(runtime, holding, "idle", file);
      assertEquals([code, out], [0, "connected\n"], err);
      const pid = Number(await Deno.readTextFile(file));
      assert(pid > 0);
      await condition(() => !isAlive(pid), "the child has ended");
    } finally {
      await Deno.remove(file);
    }
  }),
);

await testEachRuntime(
  "a program that holds its child waits for it, a program that does not lets it be",
  noLeaks(async (runtime: Runtime) => {
    assertMatch((await run(runtime, holding, "held")).out, /^connected\nlate\n$/);
    assertMatch((await run(runtime, holding, "unheld")).out, /^connected\n$/);
  }),
);

Deno.test(
  "processWire() takes a child of Deno",
  noLeaks(async () => {
    const child = new Deno.Command("sh", {
      args: ["-c", "cat; echo why >&2; exit 4"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const wire = processWire(child);
    const inbox = receive(wire);
    const sum = await sendMany(wire, 1 << 20);
    await wire.end();
    assertEquals(await wire.closed, { code: 4, signal: null, stderr: "" });
    assertEquals(inbox.sum(), sum);
    assertEquals(wire.describe?.(), `Process ${child.pid} exited with status 4`);
    assertEquals(await new Response(child.stderr).text(), "why\n");
  }),
);

Deno.test(
  "processWire() takes a child of node:child_process",
  noLeaks(async () => {
    const child = spawn("sh", ["-c", "echo ready; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
    const wire = processWire(child);
    const inbox = receive(wire);
    await inbox.until(6);
    await send(wire, "text");
    await inbox.until(10);
    assertEquals(inbox.text(), "ready\ntext");
    wire.abort("enough");
    assertEquals(await inbox.ended, "enough");
    assertEquals((await wire.closed)?.signal, "SIGKILL");
  }),
);

Deno.test(
  "abort() kills a child of node:child_process that ignored another signal",
  noLeaks(async () => {
    const child = spawn("sh", ["-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const wire = processWire(child);
    const inbox = receive(wire);
    await inbox.until(6);
    child.kill("SIGTERM");
    wire.abort();
    await inbox.ended;
    assert((await wire.closed)?.signal);
    assert(!isAlive(child.pid!));
  }),
);

Deno.test(
  "processWire() refuses a child whose pipes it cannot use",
  noLeaks(async () => {
    const child = new Deno.Command("true", { stdin: "null", stdout: "piped" }).spawn();
    assertThrows(() => processWire(child), TypeError);
    await child.stdout.cancel().catch(() => {});
    await child.status;
    const other = spawn("true", { stdio: ["ignore", "pipe", "ignore"] });
    const error = assertThrows(() => processWire(other), TypeError);
    assertStringIncludes(error.message, `Cannot connect to process ${other.pid}: pipe its stdin and stdout`);
    await new Promise((resolve) => other.on("close", resolve));
  }),
);

Deno.test(
  "processWire() of a child that has ended already delivers what it left",
  noLeaks(async () => {
    const child = new Deno.Command("echo", { args: ["left"], stdin: "piped", stdout: "piped" }).spawn();
    await child.status;
    const wire = processWire(child);
    const inbox = receive(wire);
    assertEquals((await wire.closed)?.code, 0);
    assertEquals(inbox.text(), "left\n");
  }),
);

Deno.test(
  "letting go of a child does no harm where the runtime says that it is gone",
  noLeaks(async () => {
    const child = new Deno.Command("cat", { stdin: "piped", stdout: "piped" }).spawn();
    const { pid, stdin, stdout, status } = child;
    // Deno's does so at times, when it has closed the pipes and we do not know yet.
    const gone = () => {
      throw new Deno.errors.BadResource("Bad resource ID");
    };
    const like = {
      pid,
      stdin,
      stdout,
      status,
      kill: (signal?: Deno.Signal) => child.kill(signal),
      ref: gone,
      unref: gone,
    };
    const wire = processWire(like as unknown as ChildLike);
    for (const on of [false, true, false]) wire.hold(on);
    wire.abort();
    await wire.closed;
  }),
);
