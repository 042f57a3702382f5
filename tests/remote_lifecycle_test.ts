/**
 * How connections to real interpreters begin and end: what callers hear when the other side dies, is stopped, says nothing or nonsense; that nobody
 * is left waiting; and that no process is left.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { biosCommand, Connection, DisconnectError, getCallSignal, ProtocolError } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, isAlive, leakCheck, noLeaks } from "./support/leaks.ts";
import { onRemote, remotePid, ways } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { isAtAnEnd, runtime, testEachRuntime } from "./support/runtimes.ts";

const GRAPH = import.meta.resolve("./fixtures/remote/graph/main.ts");
const QUIET = { stderr: "null" } as const;

/** Milliseconds that something takes. */
async function time(what: PromiseLike<unknown>): Promise<number> {
  const start = performance.now();
  await what;
  return performance.now() - start;
}

/** Calls of every kind that wait for ever. `started` resolves when they run. */
function endlessCalls(conn: Connection): { all: Promise<unknown>[]; started: Promise<unknown> } {
  let run = 0;
  const begun = () => Promise.resolve(void run++);
  const endless = (begun: () => Promise<void>) => begun().then(() => new Promise<void>(() => {}));
  const all: PromiseLike<unknown>[] = [
    ...Array.from({ length: 20 }, () => conn.call(endless, begun)),
    conn.callRef(endless, begun),
    conn.execute("begun(); await new Promise(() => {})", { begun }),
    // Held up by a callback of ours.
    conn.call((wait: () => Promise<void>) => wait(), () => begun().then(() => new Promise<void>(() => {}))),
  ];
  return { all: all.map(async (it) => await it), started: condition(() => run === all.length, "all calls run") };
}

await testEachRuntime("a killed remote end rejects every waiting caller at once, and close() once", async (it) => {
  for (const { name, args } of ways(it)) {
    const check = await leakCheck();
    const conn = Connection.fromCommand(args, QUIET);
    const pid = await remotePid(conn);
    using proxy = await conn.callRef(() => ({ a: 1 }));
    const { all, started } = endlessCalls(conn);
    const settled = Promise.allSettled(all);
    await started;
    Deno.kill(pid, "SIGKILL");
    const took = await time(settled);
    assert(took < 30_000, `${name}: ${took} ms`);
    for (const result of await settled) {
      assert(result.status === "rejected" && result.reason instanceof DisconnectError, name);
      assertStringIncludes(result.reason.message, "Connection was aborted due to ");
      assertStringIncludes(result.reason.message, "SIGKILL");
    }
    await assertRejects(async () => await proxy.a, DisconnectError);
    await conn.wait();
    await assertRejects(() => conn.close(), Error, "was killed by SIGKILL");
    await conn.close();
    await assertRejects(() => conn.call(() => 1), DisconnectError, "SIGKILL");
    const { connected, callsInFlight, callsRunning, referencesHeld } = conn.status();
    assertEquals({ connected, callsInFlight, callsRunning, referencesHeld }, {
      connected: false,
      callsInFlight: 0,
      callsRunning: 0,
      referencesHeld: 0,
    });
    await check.finish();
  }
});

await testEachRuntime(
  "a remote end that exits by itself says with what",
  noLeaks(async (it: Runtime) => {
    const conn = Connection.fromCommand(biosCommand({ runtime: it.path }), QUIET);
    const { all, started } = endlessCalls(conn);
    await started;
    const exit = conn.execute("(globalThis.Deno ?? process).exit(7)");
    await Promise.all([exit, ...all].map((call) => assertRejects(() => call, DisconnectError, "exited with status 7")));
    await assertRejects(() => conn.close(), Error, "exited with status 7");
  }),
);

Deno.test(
  "a command that ends before the handshake is reported with status, complaints and noise",
  noLeaks(async () => {
    const script = "echo some noise; echo a complaint >&2; exit 3";
    const conn = Connection.fromShell(script, QUIET);
    const call = conn.call(() => 1);
    await assertRejects(() => call, DisconnectError, "Connection was aborted due to Error: Command ");
    const error = await assertRejects(() => conn.ready(), Error);
    for (const part of ["status 3", "before the handshake", "a complaint", "some noise"]) {
      assertStringIncludes(error.message, part);
    }
    await conn.close();
    await using quiet = Connection.fromCommand(["true"]);
    await assertRejects(() => quiet.ready(), Error, 'Command "true" exited with status 0 before the handshake');
  }),
);

Deno.test(
  "a command that says nothing is given up after the timeout, and killed",
  noLeaks(async () => {
    const conn = Connection.fromCommand(["sleep", "1000"], { timeout: 200 });
    const error = await assertRejects(() => conn.ready(), DOMException, "did not answer within 200 ms");
    assertEquals(error.name, "TimeoutError");
    await conn.close();
  }),
);

Deno.test(
  "close() kills an end that does not end within the timeout, and waits no longer for one that has things to do",
  noLeaks(async () => {
    await Promise.all((["deno", "node", "bun"] as const).map(async (name) => {
      const { path } = await runtime(name);
      for (const [source, least] of [["for (;;);", 5_000], ["setInterval(() => {}, 10); 0", 0]] as const) {
        const conn = Connection.fromCommand(biosCommand({ runtime: path }), { timeout: 5_000 });
        await conn.call(() => 1);
        // Nobody watches this one, and its end is nobody's business.
        conn.execute(source);
        await conn.export(GRAPH);
        const took = await time(conn.close());
        assert(took >= least, `${name}, ${source}: ${took} ms`);
      }
    }));
  }),
);

Deno.test(
  "a program that is not there is reported by its name",
  noLeaks(async () => {
    for (const program of ["no-such-program", "/no/such/program"]) {
      const conn = Connection.fromCommand([program]);
      const call = assertRejects(() => conn.call(() => 1), DisconnectError, program);
      await assertRejects(() => conn.ready(), Error, `Cannot start "${program}"`);
      await call;
      await conn.close();
    }
  }),
);

Deno.test(
  "noise before the greeting is skipped up to 64 KiB, and more is an error",
  noLeaks(async () => {
    const { path } = await runtime("node", 20);
    const noisy = (bytes: number) => [
      "sh",
      "-c",
      `head -c ${bytes} /dev/zero | tr '\\0' '~'; printf '~across'; exec "$@"`,
      "sh",
      ...biosCommand({ runtime: path }),
    ];
    for (const bytes of [1, 60_000]) {
      await onRemote(noisy(bytes), async (conn) => assertEquals(await conn.call((n: number) => n + 1, 1), 2));
    }
    for (const args of [noisy(70_000), ["yes"], ["cat", "/dev/zero"]]) {
      await using conn = Connection.fromCommand(args, QUIET);
      await assertRejects(() => conn.ready(), ProtocolError, "65536");
    }
  }),
);

await testEachRuntime("cancel() at any moment leaves nothing and nobody waiting", async (it) => {
  const check = await leakCheck();
  // From before the process has started to when calls are under way.
  const moments = [0, 2, 10, 20, 30, 45, 60, 80, 120];
  await Promise.all(moments.map(async (ms) => {
    const conn = Connection.fromCommand(biosCommand({ runtime: it.path }), QUIET);
    const all: Promise<unknown>[] = [
      conn.ready(),
      conn.export(GRAPH),
      ...Array.from({ length: 5 }, async () => await conn.call(() => new Promise<void>(() => {}))),
      conn.call((n: number) => new Uint8Array(n), 8 << 20),
    ];
    const settled = Promise.allSettled(all);
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    conn.cancel();
    conn.cancel();
    for (const result of await settled) {
      if (result.status === "fulfilled") continue;
      assertInstanceOf(result.reason, DisconnectError);
      assertEquals(result.reason.message, "Connection was cancelled");
    }
    await conn.wait();
    await conn.close();
  }));
  await check.finish();
}, isAtAnEnd);

Deno.test("close() ends calls that run on either side, and tells them", async () => {
  for (const name of ["deno", "node", "bun"] as const) {
    const { path } = await runtime(name);
    await onRemote(biosCommand({ runtime: path }), async (conn) => {
      const { all, started } = endlessCalls(conn);
      let told: unknown;
      const inner = conn.call(
        (wait: () => Promise<void>) => wait(),
        () => {
          const signal = getCallSignal();
          return new Promise<void>(() => signal.addEventListener("abort", () => told = signal.reason));
        },
      );
      await started;
      await condition(() => conn.status().callsRunning === 2, "both callbacks run");
      const closed = conn.close();
      const rejected = [...all, inner].map((call) =>
        assertRejects(() => call, DisconnectError, "Connection is closed")
      );
      await Promise.all([closed, ...rejected]);
      assertInstanceOf(told, DisconnectError);
    });
  }
});

const DIALLER = new URL("./fixtures/remote/dialler.ts", import.meta.url).pathname;

/** Starts the dialling program and waits until it has told the processes that it started. */
async function dial(orders: object): Promise<{ child: Deno.ChildProcess; pids: number[] }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", DIALLER, JSON.stringify(orders)],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  await reader.cancel();
  return { child, pids: JSON.parse(text || "[]") };
}

await testEachRuntime(
  "when the dialling process is killed, ends and further ends end too, though they spin",
  noLeaks(async (it: Runtime) => {
    const commands = ways(it).map(({ args }) => args);
    const further = it.path;
    const scenarios = [
      { commands, further, work: "idle", then: "wait" },
      { commands, work: "spin", then: "wait" },
      { commands: commands.slice(1), further, work: "spin", then: "wait" },
    ];
    const all = await Promise.all(scenarios.map(dial));
    const pids = all.flatMap(({ pids }) => pids);
    try {
      assertEquals(pids.length, 8);
      assert(pids.every(isAlive));
      for (const { child } of all) child.kill("SIGKILL");
      await condition(() => !pids.some(isAlive), "they are gone").catch((error) => {
        throw new Error(`${error.message}: ${pids.map((pid, i) => [i, isAlive(pid)])}`);
      });
    } finally {
      for (const pid of pids.filter(isAlive)) Deno.kill(pid, "SIGKILL");
      for (const { child } of all) {
        await child.status;
      }
    }
  }),
);

Deno.test(
  "a dialling program that ends leaves no child, however it ends, and an idle connection does not keep it",
  noLeaks(async () => {
    const { path: further } = await runtime("node", 20);
    const commands = await Promise.all((["deno", "node", "bun"] as const).map(async (name) => {
      const [bare, moved] = ways(await runtime(name));
      return [bare!.args, moved!.args];
    }));
    const endings = [["idle", "end"], ["idle", "exit"], ["idle", "throw"], ["idle", "close"], [
      "spin",
      "exit",
    ]] as const;
    await Promise.all(endings.map(async ([work, then]) => {
      const { child, pids } = await dial({ commands: commands.flat(), further, work, then });
      assertEquals(pids.length, 12);
      const { code } = await child.status;
      assertEquals(code, then === "throw" ? 1 : 0, then);
      await condition(() => !pids.some(isAlive), `nothing is left after "${then}"`);
    }));
  }),
);
