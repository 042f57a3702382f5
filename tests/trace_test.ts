/**
 * What across tells about itself: debug levels, and the trace of messages.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { biosCommand, Connection, setDebugLevel } from "../mod.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { onRemote, printed } from "./support/remote.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";
import { bundled } from "./support/bundle.ts";

interface TraceEvent {
  ph: string;
  name: string;
  ts: number;
  pid: number;
  tid: number;
  id?: string;
  args: Record<string, unknown>;
}

const PROGRAM = await bundled("traced");

async function traceOf(command: string, ...args: string[]): Promise<TraceEvent[]> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "trace.json");
    const { code, stderr } = await new Deno.Command(command, {
      args: [...args, PROGRAM],
      env: { ACROSS_TRACE: path },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const text = await Deno.readTextFile(path);
    assert(!text.includes("hush"), "no payload is traced");
    // The format allows its end to be missing, and a comma before that.
    return JSON.parse(`${text.replace(/,\s*$/, "")}]`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function checkTrace(events: readonly TraceEvent[]): void {
  for (const ph of ["b", "e"]) {
    assertEquals(events.filter((it) => it.ph === ph && it.name === "call").length, 3);
  }
  const [first] = events.filter((it) => it.ph === "b");
  const end = events.find((it) => it.ph === "e" && it.id === first!.id)!;
  assert(end.ts >= first!.ts);
  assertEquals(events.filter((it) => it.ph === "e").map(({ args }) => args.failed), [false, false, true]);
  for (
    const name of ["send hello", "receive hello", "send call", "receive result", "receive failure", "send goodbye"]
  ) {
    assert(events.some((it) => it.name === name), name);
  }
}

Deno.test(
  "ACROSS_TRACE writes kinds, sizes, times and numbers of messages, on Deno",
  noLeaks(async () => {
    checkTrace(await traceOf(Deno.execPath(), "run", "-A"));
  }),
);

Deno.test(
  "ACROSS_TRACE writes kinds, sizes, times and numbers of messages, on Node",
  noLeaks(async () => {
    const { path } = await runtime("node", 24);
    checkTrace(await traceOf(path));
  }),
);

Deno.test(
  "processes share a trace, and one that is killed leaves it whole",
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = join(folder, "trace.json");
      await Deno.writeTextFile(path, ""); // as mktemp makes it
      const sources = [
        `console.log(0); for (;;) await conn.call(() => 1)`,
        `for (let i = 0; i < 20; i++) await conn.call(() => 1); await conn.close(); console.log(0)`,
      ];
      const [killed, other] = sources.map((source) =>
        new Deno.Command(Deno.execPath(), {
          args: [
            "eval",
            `import { biosCommand, Connection } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};` +
            `const conn = Connection.fromCommand(biosCommand()); await conn.call(() => 1); ${source}`,
          ],
          env: { ACROSS_TRACE: path },
          stdout: "piped",
        }).spawn()
      );
      const events = (): Promise<TraceEvent[]> =>
        Deno.readTextFile(path).then((text) => JSON.parse(`${text.replace(/,\s*$/, "")}]`));
      assertEquals((await other!.output()).code, 0);
      const pids = [killed!.pid, other!.pid];
      await condition(async () => {
        const found = await events().catch(() => []);
        return pids.every((pid) => found.filter((it) => it.pid === pid).length > 20);
      }, "both have written");
      killed!.kill("SIGKILL");
      await Promise.all([killed!.status, killed!.stdout.cancel()]);
      for (const pid of pids) {
        assertEquals((await events()).filter((it) => it.pid === pid && it.name === "process_name").length, 1);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
);

Deno.test(
  "a trace that cannot be written harms nothing",
  noLeaks(async () => {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", PROGRAM],
      env: { ACROSS_TRACE: "/there is no such folder/trace.json" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    assertEquals(code, 0);
    assertEquals(new TextDecoder().decode(stderr).match(/Cannot write the trace/g)?.length, 1);
  }),
);

await testEachRuntime("the debug level is passed on to an end that is booted", async ({ path }) => {
  const output = printed();
  setDebugLevel(1, () => {});
  try {
    await onRemote(biosCommand({ runtime: path }), (conn) => conn.call(() => {}), { stderr: output.stderr });
  } finally {
    setDebugLevel(0);
  }
  assertStringIncludes(output.text(), "closed by the peer");
});

Deno.test(
  "setDebugLevel() takes a sink, which gets no payload",
  noLeaks(async () => {
    const lines: string[] = [];
    setDebugLevel(2, (line) => lines.push(line));
    try {
      const conn = Connection.fromCommand(biosCommand(), { stderr: "null" });
      await conn.call((text: string) => text, "hush-hush");
      await conn.close();
    } finally {
      setDebugLevel(0);
    }
    assert(lines.some((line) => /^across \d+: connected to /.test(line)), lines.join("\n"));
    assert(lines.some((line) => /sent message of kind 4, \d+ bytes$/.test(line)));
    assert(!lines.join().includes("hush") && !lines.join().includes("\n"));
  }),
);
