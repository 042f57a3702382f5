// pool(): many functions in a few processes or workers.

import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { DisconnectError } from "../mod.ts";
import { pool } from "../objects/mod.ts";
import { dieUnless, exitWith, forever, sleepThen, square, whoAmI, WorkError } from "./fixtures/objects/jobs.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { testEachPlace, usual } from "./support/objects.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const modules = [import.meta.resolve("./fixtures/objects/jobs.ts")];

await testEachPlace("a pool runs functions", async (options) => {
  await using members = pool(2, { ...options, modules });
  assertEquals(await members.run(square, 6), 36);
  assertEquals(await Promise.all([1, 2, 3, 4, 5].map((n) => members.run(square, n))), [1, 4, 9, 16, 25]);
  const error = await assertRejects(() => members.run(square, -1), WorkError, "cannot take -1");
  assertMatch(error.stack!, /objects_pool_test\.ts[^]*\nBelow lines obtained from host [^]*jobs\.ts/);
  const { size, completed, failed, running, waiting, replaced } = members.status();
  assertEquals([size, completed, failed, running, waiting, replaced], [2, 6, 1, 0, 0, 0]);
});

await testEachPlace("map() and imap() give results in order", async (options) => {
  await using members = pool(2, { ...options, modules });
  const items = Array.from({ length: 100 }, (_, n) => n);
  assertEquals(await members.map(square, items), items.map((n) => n * n));
  const found: number[] = [];
  for await (const n of members.imap(square, items.values())) found.push(n);
  assertEquals(found, items.map((n) => n * n));
  assertEquals(
    await members.map(
      square,
      async function* () {
        yield* [3, 4];
      }(),
    ),
    [9, 16],
  );
  await assertRejects(() => members.map(square, [1, -2, 3]), WorkError, "cannot take -2");
});

Deno.test(
  "all members work",
  noLeaks(async () => {
    await using members = pool(3, { modules });
    let come = 0;
    let all: () => void;
    const together = new Promise<void>((resolve) => all = resolve);
    const arrive = () => (++come === 3 && all(), together);
    // Each waits for the others, so none can do the work of two.
    const meet = async (arrive: () => Promise<void>): Promise<number> => {
      await arrive();
      return Deno.pid;
    };
    const pids = await Promise.all([1, 2, 3].map(() => members.run(meet, arrive)));
    assertEquals(new Set(pids).size, 3);
  }),
);

Deno.test(
  "imap() takes items only as results are read",
  noLeaks(async () => {
    await using members = pool(2, { worker: true, modules });
    let taken = 0, closed = false;
    const source = function* () {
      try {
        for (;;) yield taken++;
      } finally {
        closed = true;
      }
    };
    for await (const n of members.imap(square, source())) {
      assert(taken <= Math.sqrt(n) + 5, `${taken} were taken for the result of ${n}`);
      if (n > 1_000) break;
    }
    assert(closed);
    const errors: string[] = [];
    try {
      for await (const n of members.imap(square, [1, 2, -3, 4])) errors.push(String(n));
    } catch (error) {
      errors.push((error as Error).message);
    }
    assertEquals(errors, ["1", "4", "cannot take -3"]);
  }),
);

Deno.test(
  "the queue of run() is bounded",
  noLeaks(async () => {
    await using members = pool(1, { modules, queue: 2 });
    await members.run(square, 1);
    const tasks = [1, 2, 3].map((n) => members.run(sleepThen<number>, 20, n));
    await assertRejects(() => members.run(square, 4), Error, "2 wait");
    assertEquals(await Promise.all(tasks), [1, 2, 3]);
    assertEquals(await members.map(square, [1, 2, 3, 4, 5, 6]), [1, 4, 9, 16, 25, 36]);
  }),
);

await testEachRuntime(
  "a member that dies is replaced, and its task fails",
  noLeaks(async ({ path }) => {
    await using members = pool(1, { runtime: path, modules });
    const error = await assertRejects(() => members.run(exitWith, 3), DisconnectError, "exited with status 3");
    assertEquals((error as { exitCode?: number }).exitCode, 3);
    assertEquals(await members.run(square, 5), 25);
    const pid = await members.run(whoAmI);
    const task = members.run(forever);
    await condition(() => members.status().running === 1, "it runs");
    Deno.kill(pid, "SIGKILL");
    await assertRejects(() => task, DisconnectError, "was killed by SIGKILL");
    assertEquals(await members.run(square, 6), 36);
    assertEquals(members.status().replaced, 2);
  }),
  usual,
);

Deno.test(
  "a member that dies while it is idle is replaced",
  noLeaks(async () => {
    await using members = pool(1, { modules });
    const pid = await members.run(whoAmI);
    Deno.kill(pid, "SIGKILL");
    await condition(() => members.status().replaced === 1, "it is replaced");
    assert(await members.run(whoAmI) !== pid);
  }),
);

Deno.test(
  "a task whose member died is tried again, as often as asked",
  noLeaks(async () => {
    await using members = pool(2, { modules, retries: 1 });
    let times = 0;
    assertEquals(await members.run(dieUnless, () => Promise.resolve(++times)), 2);
    assertEquals(members.status().retried, 1);
    await assertRejects(() => members.run(exitWith, 4), DisconnectError, "exited with status 4");
    assertEquals(members.status().retried, 2);
  }),
);

Deno.test(
  "members are replaced after so many tasks",
  noLeaks(async () => {
    await using members = pool(1, { modules, maxTasksPerProcess: 3 });
    const pids: number[] = [];
    for (let n = 0; n < 9; n++) pids.push(await members.run(whoAmI));
    assertEquals(new Set(pids).size, 3);
    assertEquals(pids[0], pids[2]);
    assertEquals(members.status().replaced, 3);
  }),
);

Deno.test(
  "concurrency lets a member work on several tasks",
  noLeaks(async () => {
    await using members = pool(1, { worker: true, concurrency: 3 });
    let open = 0, most = 0;
    const three = Promise.withResolvers<void>();
    const enter = () => {
      most = Math.max(most, ++open);
      if (open === 3) three.resolve();
      return three.promise;
    };
    const leave = () => void open--;
    const task = async (enter: () => Promise<void>, leave: () => Promise<void>) => {
      await enter();
      await leave();
    };
    await Promise.all(Array.from({ length: 9 }, () => members.run(task, enter as never, leave as never)));
    assertEquals(most, 3);
  }),
);

Deno.test(
  "close() waits for tasks, terminate() does not",
  noLeaks(async () => {
    const members = pool(1, { modules });
    const results = Promise.all([members.run(sleepThen<string>, 20, "a"), members.run(sleepThen<string>, 1, "b")]);
    await members.close();
    assertEquals(await results, ["a", "b"]);
    await assertRejects(() => members.run(square, 1), Error, "closed");

    const others = pool(1, { modules });
    const tasks = [others.run(forever), others.run(square, 2)].map((task) =>
      assertRejects(() => task, DisconnectError)
    );
    await condition(() => others.status().running === 1, "one runs");
    await others.terminate();
    await Promise.all(tasks);
    assertEquals(others.status().size, 0);
  }),
);

Deno.test(
  "members that never come up make tasks fail",
  noLeaks(async () => {
    await using members = pool(2, { runtime: "/nowhere/deno" });
    await assertRejects(() => members.run(square, 1), DisconnectError, "exited with status 127");
    await using others = pool(1, { modules: ["file:///nowhere.ts"] });
    await assertRejects(() => others.run(square, 1), Error, "nowhere.ts");
  }),
);

Deno.test("options of pools are checked", () => {
  assertThrows(() => pool(0), RangeError, "number of processes");
  assertThrows(() => pool(1, { retries: -1 }), RangeError, "option retries");
  assertThrows(() => pool(1, { retry: 1 } as never), TypeError, 'Cannot use option "retry"');
  assertThrows(() => pool(1, { worker: true, env: {} }), TypeError, 'Cannot use option "env" for a worker');
});
