// spawn(): functions in processes and workers of their own, their results, and how they end.

import { assert, assertEquals, assertInstanceOf, assertMatch, assertStringIncludes } from "@std/assert";
import { DisconnectError, isProxy } from "../mod.ts";
import { spawn } from "../objects/mod.ts";
import type { Process, ProcessOptions } from "../objects/mod.ts";
import {
  ahead,
  countTo,
  exitWith,
  fail,
  forever,
  isInCall,
  multiply,
  spin,
  tellOfAbort,
  whoAmI,
  WorkError,
} from "./fixtures/objects/jobs.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { testEachPlace, usual } from "./support/objects.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const JOBS = import.meta.resolve("./fixtures/objects/jobs.ts");

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

await testEachPlace("a function runs in a process of its own and gives its result", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(multiply, 6, 7);
  assertMatch(p.name, /^multiply-\d+$/);
  assert(p.isAlive);
  assertEquals(p.exitCode, null);
  assertEquals(await p.result, 42);
  await p.join();
  assert(!p.isAlive);
  assertEquals(p.exitCode, 0);
  assertEquals(await p.result, 42, "as often as one likes");
});

await testEachRuntime(
  "the process is another one",
  noLeaks(async ({ path }) => {
    await using p = spawn.with({ runtime: path, modules: [JOBS] })(whoAmI);
    assertEquals(await p.result, p.pid);
    assert(p.pid !== Deno.pid);
  }),
);

Deno.test(
  "a function without a module travels by its source",
  noLeaks(async () => {
    await using p = spawn.with({ name: "adder" })((a: number, b: number) => a + b, 1, 2);
    assertEquals(p.name, "adder");
    assertEquals(await p.result, 3);
    const p2 = spawn((n: number) => n * JOBS.length, 1);
    await assertRejects(() => p2.result, ReferenceError, "sent by its source");
  }),
);

await testEachPlace("a generator's values arrive while it runs", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(countTo, 5);
  assertEquals(await all(p), [1, 2, 3, 4, 5]);
  assertEquals(await p.result, "done");
});

await testEachPlace("a generator's values arrive before its error", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(countTo, 3, "after three");
  const seen: number[] = [];
  const error = await assertRejects(
    async () => {
      for await (const n of p) seen.push(n);
    },
    WorkError,
    "after three",
  );
  assertEquals(seen, [1, 2, 3]);
  assertStringIncludes(error.stack!, "jobs.ts");
});

await testEachPlace("a generator waits for its reader, and ends with the loop", async (options) => {
  let far = 0;
  await using p = spawn.with({ ...options, modules: [JOBS] })(ahead, (n: number) => void (far = n));
  let read = 0;
  for await (const n of p) {
    assertEquals(n, read);
    if (++read < 100) continue;
    break;
  }
  assert(far < 10_000, `it ran ${far} ahead`);
});

await testEachPlace("a generator that nobody reads runs to its end when it is joined", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(countTo, 5_000);
  await p.join();
  assertEquals(await p.result, "done");
});

await testEachPlace("an error is thrown by the result, with both stacks, and then no more", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(fail, "on purpose");
  const error = await assertRejects(() => p.result, WorkError, "on purpose");
  assertMatch(error.stack!, /objects_spawn_test\.ts[^]*\nBelow lines obtained from host [^]*jobs\.ts/);
  assertEquals(error.code, "WORK");
  await p.join();
});

await testEachPlace("an error that nobody waited for is thrown by join(), once", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(fail, "on purpose");
  void p.result;
  const error = await assertRejects(() => p.join(), WorkError, "on purpose");
  assertMatch(error.stack!, /objects_spawn_test\.ts[^]*\nBelow lines obtained from host /);
  await p.join();
});

await testEachPlace("an error that nobody waited for is thrown at the end of the block", async (options) => {
  let p: Process<unknown, unknown> | undefined;
  await assertRejects(
    async () => {
      await using inner = p = spawn.with({ ...options, modules: [JOBS] })(fail, "on purpose");
      void inner.result;
    },
    WorkError,
    "on purpose",
  );
  await p!.join();
});

await testEachRuntime(
  "a process that was killed says so",
  noLeaks(async ({ path }) => {
    for (const [end, signal] of [["kill", "SIGKILL"], ["terminate", "SIGTERM"]] as const) {
      const p = spawn.with({ runtime: path, modules: [JOBS] })(forever);
      await p.connection.ready();
      p[end]();
      const error = await assertRejects(() => p.join(), DisconnectError, `"${p.name}" was killed by ${signal}`);
      assertEquals((error as { signal?: string }).signal, signal);
      assertEquals([p.exitCode, p.isAlive], [null, false]);
    }
  }),
);

/** Starts {@linkcode tellOfAbort}, and gives what it tells. */
async function startTelling(
  options: Pick<ProcessOptions, "runtime" | "worker">,
  isAwaited: boolean,
  file?: string,
): Promise<{ readonly p: Process<unknown, unknown>; readonly told: string[]; readonly failed: Promise<unknown> }> {
  const told: string[] = [];
  const tell = (event: string) => Promise.resolve(void told.push(event));
  const p = spawn.with({ ...options, modules: [JOBS] })(tellOfAbort, tell as never, file);
  const failed = isAwaited ? assertRejects(() => p.result, DisconnectError) : Promise.resolve();
  await condition(() => told.length > 0, "it has started");
  return { p, told, failed };
}

await testEachPlace("terminate() first aborts the signal of the function's call", async (options) => {
  for (const isAwaited of [true, false]) {
    const { p, told, failed } = await startTelling(options, isAwaited);
    p.terminate();
    p.terminate();
    await failed;
    const how = options.worker ? "ended before" : "was killed by SIGTERM";
    if (isAwaited) await p.join();
    else await assertRejects(() => p.join(), DisconnectError, `"${p.name}" ${how}`);
    assertEquals(told, ["started", `AbortError: Process "${p.name}" was terminated`]);
    assert(!p.isAlive);
  }
});

await testEachRuntime(
  "the signal of the function's call is aborted when the connection ends",
  noLeaks(async ({ path }) => {
    for (const isAwaited of [true, false]) {
      const file = await Deno.makeTempFile();
      const { p, failed } = await startTelling({ runtime: path }, isAwaited, file);
      await p.connection.close().catch(() => {});
      await failed;
      await p.join().catch(() => {});
      assertEquals(await Deno.readTextFile(file), "DisconnectError: Connection was remotely closed");
      assertEquals(p.exitCode, 0);
      await Deno.remove(file);
    }
  }),
  usual,
);

await testEachPlace("what a function gives by reference is a result like others", async (options) => {
  await using p = spawn.with({ ...options })(() => (n: number) => n);
  assert(isProxy(await p.result));
});

await testEachRuntime(
  "a process that exits before it is done says so",
  noLeaks(async ({ path }) => {
    for (const code of [3, 0]) {
      const p = spawn.with({ runtime: path, modules: [JOBS] })(exitWith, code);
      const error = await assertRejects(
        () => p.result,
        DisconnectError,
        `exited with status ${code} before it was done`,
      );
      assertEquals((error as { exitCode?: number }).exitCode, code);
      await p.join();
      assertEquals(p.exitCode, code);
    }
  }),
);

Deno.test(
  "a process that ends is noticed where nobody waits for it",
  noLeaks(async () => {
    const p = spawn.with({ modules: [JOBS] })(forever);
    await p.connection.ready();
    Deno.kill(p.pid!, "SIGKILL");
    await condition(() => !p.isAlive, "it is noticed");
    await assertRejects(() => p.join(), Error, "SIGKILL");
  }),
);

await testEachRuntime(
  "one that spins is killed",
  noLeaks(async ({ path }) => {
    const p = spawn.with({ runtime: path, modules: [JOBS] })(spin);
    await p.connection.ready();
    p.kill();
    await assertRejects(() => p.join(), Error, "was killed by SIGKILL");
  }),
  usual,
);

Deno.test(
  "a worker that is killed says so",
  noLeaks(async () => {
    const p = spawn.with({ worker: true, modules: [JOBS] })(forever);
    assertEquals(p.pid, undefined);
    await p.connection.ready();
    p.kill();
    await assertRejects(() => p.join(), DisconnectError, `"${p.name}" ended before it was done`);
    assert(!p.isAlive);
  }),
);

await testEachPlace("a signal ends it with its reason", async (options) => {
  const controller = new AbortController();
  const p = spawn.with({ ...options, modules: [JOBS], signal: controller.signal })(forever);
  await p.connection.ready();
  controller.abort(new RangeError("enough"));
  await assertRejects(() => p.result, RangeError, "enough");
  await p.join();
  assert(!p.isAlive);
});

await testEachPlace("join() waits for a limited time", async (options) => {
  const p = spawn.with({ ...options, modules: [JOBS] })(forever);
  const error = await assertRejects(() => p.join({ timeout: 20 }), DOMException, "within 20 ms");
  assertEquals(error.name, "TimeoutError");
  assert(p.isAlive);
  p.kill();
  await assertRejects(() => p.join());
});

Deno.test("options are checked", () => {
  for (
    const [options, message] of [
      [{ nam: "x" }, 'Cannot use option "nam"'],
      [{ worker: true, cwd: "/" }, 'Cannot use option "cwd" for a worker'],
      [{ worker: true, permissions: {} }, 'Cannot use option "permissions" for a worker'],
      [{ modules: "x" }, "Cannot use this as option modules"],
      [null, "pass an object"],
    ] as const
  ) {
    let error: unknown;
    try {
      spawn.with(options as never);
    } catch (it) {
      error = it;
    }
    assertInstanceOf(error, TypeError);
    assertStringIncludes(error.message, message);
  }
  const aborted = AbortSignal.abort(new Error("before"));
  try {
    spawn.with({ signal: aborted })(multiply, 1, 2);
    assert(false);
  } catch (error) {
    assertEquals((error as Error).message, "before");
  }
});

await testEachRuntime(
  "what cannot be started or sent is an error of the result",
  noLeaks(async ({ path }) => {
    const native = spawn.with({ runtime: path })(Math.max.bind(null) as (a: number) => number, 1);
    await assertRejects(() => native.result, Error, "native or bound");
    const strange = spawn.with({ runtime: path })((it: object) => it, new WeakMap());
    await assertRejects(() => strange.result, Error, "WeakMap");
    const missing = spawn.with({ runtime: path, modules: ["file:///nowhere.ts"] })(() => 1);
    await assertRejects(() => missing.join(), Error, "nowhere.ts");
    const back = spawn.with({ runtime: path })(() => new WeakMap());
    await assertRejects(() => back.join(), Error, "WeakMap");
  }),
  ({ name, version }) => name === "bun" || /^(?:2\.9|20)\./.test(version),
);

Deno.test(
  "a runtime that is not there is an error that says how it ended",
  noLeaks(async () => {
    const p = spawn.with({ runtime: "/nowhere/deno" })(() => 1);
    await assertRejects(() => p.join(), Error, "exited with status 127");
  }),
);

await testEachPlace("modules may ask for the call that they run in", async (options) => {
  await using p = spawn.with({ ...options, modules: [JOBS] })(isInCall);
  assertEquals(await p.result, true);
});

Deno.test(
  "a process of another runtime is told by name",
  noLeaks(async () => {
    const { path } = await runtime("node", 20);
    await using p = spawn.with({ runtime: path })(() => typeof (globalThis as { Deno?: unknown }).Deno);
    assertEquals(await p.result, "undefined");
  }),
);
