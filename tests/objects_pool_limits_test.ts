// pool().with(): tasks under a signal or a deadline; and workers that are sent tasks ahead.

import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { DisconnectError } from "../mod.ts";
import { pool } from "../objects/mod.ts";
import { forever, sleepThen, spin, square, untilAborted, whoAmI } from "./fixtures/objects/jobs.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { testEachPlace } from "./support/objects.ts";

const modules = [import.meta.resolve("./fixtures/objects/jobs.ts")];

/** Milliseconds that a task which was given up may go on before its process is ended with it: as in objects/seat.ts. */
const GRACE = 1_000;

/** A file that does not exist yet, for as long as `body` runs. */
async function withFile(body: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(`${folder}/there`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Keeps its thread busy until a file is there. */
const spinUntil = (path: string): string => {
  for (;;) {
    try {
      Deno.statSync(path);
      return "long";
    } catch {
      // Not yet.
    }
  }
};

await testEachPlace("a task is given up after its timeout, and its signal is aborted", async (options) => {
  await using members = pool(1, { ...options, modules });
  assertEquals(await members.with({ timeout: 30_000 }).run(square, 3), 9);
  let heard = "";
  const start = performance.now();
  const task = members.with({ timeout: 20 }).run(
    untilAborted,
    ((reason: Error) => Promise.resolve(void (heard = reason.name))) as never,
  );
  await assertRejects(() => task, DOMException, "The task took longer than 20 ms");
  // On a machine that stalls it may be ended with its process before that.
  await condition(() => heard !== "" || members.status().replaced > 0, "it is told");
  assertEquals(heard || "TimeoutError", "TimeoutError");
  assertEquals(await members.run(square, 4), 16);
  const { failed, replaced } = members.status();
  assertEquals(failed, 1);
  if (performance.now() - start < GRACE) assertEquals(replaced, 0);
});

Deno.test(
  "a signal gives up tasks that run and tasks that wait, and they free their places",
  noLeaks(async () => {
    await using members = pool(1, { modules });
    const pid = await members.run(whoAmI);
    const controller = new AbortController();
    const scope = members.with({ signal: controller.signal });
    const reason = new Error("Enough");
    const failures = Promise.all(
      [
        scope.run(untilAborted, (() => Promise.resolve()) as never),
        scope.run(square, 2),
        scope.map(square, [1, 2, 3]),
      ].map(async (task) => assertEquals(await assertRejects(() => task as Promise<unknown>), reason)),
    );
    const other = members.run(square, 5);
    await condition(() => members.status().running === 1, "one runs");
    const start = performance.now();
    controller.abort(reason);
    await failures;
    assertEquals(await other, 25);
    assertEquals(await assertRejects(() => scope.run(square, 1)), reason);
    const same = await members.run(whoAmI) === pid;
    assert(same || performance.now() - start > GRACE, "its process works on");
    assertEquals(members.status().waiting, 0);
  }),
);

Deno.test(
  "a task that goes on although it was given up is ended with its process",
  noLeaks(async () => {
    await using members = pool(1, { modules });
    for (const endless of [forever, spin] as (() => Promise<never>)[]) {
      const pid = await members.run(whoAmI);
      await assertRejects(() => members.with({ timeout: 10 }).run(endless), DOMException, "longer than 10 ms");
      assertNotEquals(await members.run(whoAmI), pid);
    }
    assertEquals(members.status().replaced, 2);
  }),
);

Deno.test(
  "while a task is given up, others of its process come to their end",
  noLeaks(async () => {
    await using members = pool(1, { modules, concurrency: 2 });
    await members.run(square, 1);
    const long = members.run(sleepThen<string>, 1_500, "done");
    await assertRejects(() => members.with({ timeout: 10 }).run(forever), DOMException, "longer than 10 ms");
    assertEquals(await long, "done");
    assertEquals(await members.run(square, 6), 36);
    assertEquals(members.status().replaced, 1);
  }),
);

Deno.test("limits of tasks are checked", async () => {
  await using members = pool(1, { worker: true });
  assertThrows(() => members.with({ timeout: -1 }), RangeError, "option timeout");
  assertThrows(() => members.with({ timeout: "1" } as never), TypeError, "option timeout");
  assertThrows(() => members.with({ signal: 1 } as never), TypeError, "option signal");
  assertThrows(() => members.with({ retries: 1 } as never), TypeError, 'Cannot use option "retries"');
});

Deno.test(
  "a worker that was sent tasks ahead works on one at a time",
  noLeaks(async () => {
    await using members = pool(2, { worker: true });
    const overlap = async (): Promise<number> => {
      const scope = globalThis as { underWay?: number };
      const open = scope.underWay = (scope.underWay ?? 0) + 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
      scope.underWay--;
      return open;
    };
    assertEquals(new Set(await Promise.all(Array.from({ length: 40 }, () => members.run(overlap)))), new Set([1]));
  }),
);

Deno.test(
  "what was sent ahead to a busy worker is done by one that has nothing to do",
  noLeaks(() =>
    withFile(async (path) => {
      await using members = pool(2, { worker: true, modules });
      await members.map(square, [1, 2, 3, 4]);
      const long = members.run(spinUntil, path);
      const tasks = Array.from({ length: 30 }, (_, n) => members.run(square, n));
      // All of them, as the worker is busy until the file is there.
      assertEquals(await Promise.all(tasks), Array.from(tasks, (_, n) => n * n));
      assertEquals([members.status().running, members.status().waiting], [1, 0]);
      await Deno.writeTextFile(path, "");
      assertEquals(await long, "long");
    })
  ),
);

Deno.test(
  "an answer does not wait for the task behind it",
  noLeaks(() =>
    withFile(async (path) => {
      await using members = pool(1, { worker: true, modules });
      await members.run(square, 1);
      const first = members.run(square, 3), second = members.run(spinUntil, path), third = members.run(square, 4);
      assertEquals(await first, 9);
      await Deno.writeTextFile(path, "");
      assertEquals([await second, await third], ["long", 16]);
    })
  ),
);

Deno.test(
  "when a worker fails, so does the task that it works on, and none of those that it was sent ahead",
  noLeaks(async () => {
    await using members = pool(1, { worker: true, modules });
    await members.run(square, 1);
    const broken = () => {
      setTimeout(() => {
        throw new Error("Broken");
      }, 0);
      return new Promise<void>(() => {});
    };
    const before = members.run(square, 2), task = members.run(broken);
    const after = [3, 4, 5, 6, 7].map((n) => members.run(square, n));
    await assertRejects(() => task, DisconnectError, "ended before it was done");
    assertEquals(await before, 4);
    assertEquals(await Promise.all(after), [9, 16, 25, 36, 49]);
    const { failed, replaced, retried } = members.status();
    assertEquals([failed, replaced, retried], [1, 1, 0]);
  }),
);

Deno.test(
  "close() starts processes that tasks still need",
  noLeaks(async () => {
    const members = pool(1, { modules, maxTasksPerProcess: 1 });
    const pids = Promise.all([1, 2, 3].map(() => members.run(whoAmI)));
    await members.close();
    assertEquals(new Set(await pids).size, 3);
    assert(members.status().size === 0);
  }),
);
