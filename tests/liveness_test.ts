/**
 * Who is taken for dead, and who is not: stopped processes and cut links are found within the timeout, threads that are merely busy, on either side,
 * do a connection no harm.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { DatabaseSync } from "node:sqlite";
import { biosCommand, Connection, DisconnectError, getBios } from "../mod.ts";
import { Link } from "../session/link.ts";
import type { Wire } from "../transports/wire.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inFolder } from "./support/folder.ts";
import { condition, isAlive, leakCheck, noLeaks } from "./support/leaks.ts";
import { onRemote, remotePid, untilSeconded, ways } from "./support/remote.ts";
import type { Way } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { evalArgs, isAtAnEnd, runtime, testEachRuntime } from "./support/runtimes.ts";

/** Milliseconds. Short for a timeout, and long enough for a busy machine to start a thread in. */
const TIMEOUT = 3_000;
const QUIET = { stderr: "null", timeout: TIMEOUT } as const;

/** All ways to start an interpreter, Deno's sandbox included. */
const allWays = (it: Runtime): { name: string; args: readonly string[] }[] => [
  ...ways(it) satisfies readonly Way[],
  ...it.name === "deno"
    ? [{ name: "sandboxed", args: biosCommand({ runtime: it.path, permissions: { read: ["/proc"] } }) }]
    : [],
];

/** Does something with an end that was started in each of these ways, all at once, and looks for what is left. */
async function onAllWays(
  it: Runtime,
  timeout: number,
  body: (conn: Connection, name: string, index: number) => Promise<void>,
): Promise<void> {
  const check = await leakCheck();
  await Promise.all(
    allWays(it).map(async ({ name, args }, index) => {
      const conn = Connection.fromCommand(args, { stderr: "null", timeout });
      try {
        await body(conn, name, index);
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
      } finally {
        await conn.close();
      }
    }),
  );
  await check.finish();
}

/** Keeps its thread busy. */
const block = (ms: number): string => {
  for (const end = performance.now() + ms; performance.now() < end;);
  return "done";
};

/** A call of a connection that is bound to fail, and fails for this. */
const isCutShort = (call: PromiseLike<unknown>): Promise<unknown> =>
  assertRejects(() => call, DisconnectError, `silent for ${TIMEOUT} ms`);

/** A connection that is bound to fail, and fails for this. */
async function isFoundSilent(conn: Connection, calls: Promise<unknown>[]): Promise<void> {
  await conn.wait();
  await Promise.all(calls);
  await assertRejects(() => conn.close(), DOMException, "silent");
}

await testEachRuntime(
  "a stopped remote end is found within the timeout, with calls in flight, without, and while it is busy",
  async (it) => {
    const check = await leakCheck();
    const ends = await Promise.all((["calling", "idle", "busy"] as const).map(async (state) => {
      const conn = Connection.fromCommand(biosCommand({ runtime: it.path }), QUIET);
      await untilSeconded(conn);
      const pid = await remotePid(conn);
      const calls: Promise<unknown>[] = [];
      if (state === "calling") {
        calls.push(isCutShort(conn.call(() => new Promise<void>(() => {}))));
        await conn.call(() => 1);
      } else if (state === "busy") {
        // Not stopped before the thread that speaks for it had to.
        calls.push(isCutShort(conn.call(block, 3_600_000)));
        const { framesReceived } = conn.status();
        await condition(() => conn.status().framesReceived > framesReceived + 1, "it shows that it is alive");
      }
      return { conn, pid, calls };
    }));
    // Not before all are up: one that is stopped may hold the lock of a cache that others start with.
    await Promise.all(ends.map(async ({ conn, pid, calls }) => {
      Deno.kill(pid, "SIGSTOP");
      await isFoundSilent(conn, calls);
      await condition(() => !isAlive(pid), "it was killed");
    }));
    await check.finish();
  },
  isAtAnEnd,
);

await testEachRuntime(
  "a remote end that blocks its thread for three times the timeout is none of the dead",
  async (it) => {
    await onAllWays(it, TIMEOUT, async (conn, name) => {
      assertEquals(await conn.call(() => 1), 1);
      // Large answers before and after, so that what the other thread writes has something to damage.
      const [large, blocked] = await Promise.all([
        conn.call((size: number) => new Uint8Array(size).fill(5), 8 << 20),
        conn.call(block, 3 * TIMEOUT),
      ]);
      assertEquals(large, new Uint8Array(8 << 20).fill(5), name);
      assertEquals(blocked, "done", name);
      assertEquals(
        await conn.call((size: number) => new Uint8Array(size).fill(6), 8 << 20),
        new Uint8Array(8 << 20).fill(6),
      );
    });
  },
  isAtAnEnd,
);

await testEachRuntime(
  "a remote end that blocks its thread takes what is sent to it meanwhile when it is done, however late",
  async (it) => {
    const timeout = 1_000;
    await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
      const begun = Promise.withResolvers<void>();
      const blocking = conn.call(
        async (begun: () => Promise<void>, ms: number) => {
          await begun();
          const end = Date.now() + ms;
          while (Date.now() < end);
          return "done";
        },
        () => Promise.resolve(begun.resolve()),
        3 * timeout,
      );
      await begun.promise;
      const large = conn.call((text: string) => text.length, "x".repeat(4 << 20));
      assertEquals(await Promise.all([blocking, large]), ["done", 4 << 20]);
    }, { timeout });
  },
  isAtAnEnd,
);

await testEachRuntime(
  "a call that blocks its thread begins when what was being written has left, and no sooner",
  async (it) => {
    await onAllWays(it, TIMEOUT, async (conn) => {
      await conn.call(() => 1);
      // More than a pipe holds, again and again, and a call that arrives meanwhile.
      for (let i = 1; i <= 3; i++) {
        const [large, blocked] = await Promise.all([
          conn.call((size: number) => new Uint8Array(size).fill(7), 3_000_000 + i),
          conn.call(() => 1).then(() => conn.call(block, i === 3 ? 1.5 * TIMEOUT : i)),
        ]);
        assertEquals([large.length, blocked], [3_000_000 + i, "done"]);
      }
    });
  },
  isAtAnEnd,
);

Deno.test(
  "an end whose other thread is held up may be busy meanwhile",
  inFolder(async (folder) => {
    const command = ["env", `DENO_DIR=${folder}`, ...biosCommand({ runtime: Deno.execPath() })];
    await using conn = Connection.fromCommand(command, QUIET);
    await conn.ready();
    // Deno makes a note there of what a thread begins with, and it begins no sooner.
    using held = new DatabaseSync(join(folder, "dep_analysis_cache_v2"));
    held.exec("BEGIN IMMEDIATE");
    const start = performance.now();
    const { messagesReceived } = conn.status();
    await conn.call(() => 1);
    assertEquals(await conn.call(block, 1.4 * TIMEOUT), "done");
    // It waits for five seconds. A machine that was slower than that has shown less.
    if (performance.now() - start < 5_000) assertEquals(conn.status().messagesReceived, messagesReceived + 2);
    held.exec("ROLLBACK");
    await condition(() => conn.status().messagesReceived > messagesReceived + 2, "its other thread is there");
    assertEquals(await conn.call(block, 1.5 * TIMEOUT), "done");
  }),
);

await testEachRuntime(
  "a first call that blocks its thread for longer than the timeout is answered, and so is what was asked along with it",
  async (it) => {
    // Nobody but the thread that is blocked could say a word: the one beside it comes with the first answer.
    await onAllWays(it, TIMEOUT, async (conn, _name, index) => {
      const quick = index === 1 ? conn.call(() => 1) : 1;
      const blocked = conn.call(block, 1.5 * TIMEOUT);
      const large = conn.call((it: Uint8Array) => it.length, new Uint8Array(1 << 20));
      assertEquals(await Promise.all([blocked, quick, large]), ["done", 1, 1 << 20]);
    });
  },
  isAtAnEnd,
);

await testEachRuntime(
  "an end that was booted waits for its parent without end, and for others for a minute, or as long as they say",
  async (it) => {
    const check = await leakCheck();
    // Its time goes a hundred times as fast: a minute is over after 600 ms.
    const hurry = "{const wait=setTimeout;globalThis.setTimeout=(then,ms)=>wait(then,ms/100)}\n";
    const args = evalArgs(it, hurry + getBios());
    const behind = ["sh", "-c", '"$@"; exit', "sh", ...args];
    /** Whether it is still there when this thread was blocked for 1.5 seconds, or until it is gone, if that is what is expected. */
    const lives = async (args: readonly string[], timeout: number, end = 1_500): Promise<boolean> => {
      const conn = Connection.fromCommand(args, { stderr: "null", timeout });
      try {
        await conn.call(() => 1);
        const pid = await remotePid(conn);
        for (const start = performance.now(); isAlive(pid) && performance.now() - start < end;);
        return await conn.call(() => true);
      } catch (error) {
        if (error instanceof DisconnectError) return false;
        throw error;
      } finally {
        await conn.close().catch(() => {});
      }
    };
    assertEquals(await lives(args, 30_000), true, "its parent");
    assertEquals(await lives(behind, 30_000, 60_000), false, "another process");
    assertEquals(await lives(behind, 600_000), true, "another process that says ten minutes");
    await check.finish();
  },
  isAtAnEnd,
);

Deno.test("what waits for the first answers to leave does not wait for all that is issued meanwhile", async () => {
  const wire = {
    // There is always something more to write when a write is done.
    write: () => new Promise<void>((resolve) => setTimeout(() => (issue(), resolve()))),
  } as unknown as Wire;
  const link = new Link(wire, { classId: () => undefined, external: () => false }, 1_000, () => {});
  let writes = 0, drained = false;
  const issue = () => void (writes++ < 20 && link.commit(link.begin(1)));
  link.openWith(undefined, issue);
  const all = link.drained().then(() => drained = true);
  await link.left();
  assert(!drained && writes < 20);
  await all;
  assertEquals(writes, 21);
});

await testEachRuntime(
  "idle frames of a busy thread and of another never land inside of each other",
  async (it) => {
    // The busy thread looks up just when the other one speaks, and never so late that it would have had to.
    await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
      await conn.call(() => 1);
      for (let i = 0; i < 6; i++) {
        const size = 200_000 + i;
        const [first, second] = await Promise.all([
          conn.call(
            (ms: number, size: number) => {
              for (const end = performance.now() + ms; performance.now() < end;);
              return new Uint8Array(size);
            },
            1_480 + 20 * i,
            size,
          ),
          conn.call((it: string) => it, "x".repeat(i)),
        ]);
        assertEquals([first.length, second.length], [size, i]);
      }
    }, QUIET);
  },
  isAtAnEnd,
);

Deno.test("a program that is busy itself does not take that for the silence of the other side", async () => {
  const check = await leakCheck();
  const conns = await Promise.all((["deno", "node", "bun"] as const).map(async (name) => {
    const conn = Connection.fromCommand(biosCommand({ runtime: (await runtime(name)).path }), QUIET);
    await conn.call(() => 1);
    return conn;
  }));
  const calls = conns.map((conn) => conn.call((it: number) => it, 3));
  block(3 * TIMEOUT);
  assertEquals(await Promise.all(calls), [3, 3, 3]);
  assertEquals(await Promise.all(conns.map((conn) => conn.call(() => 2))), [2, 2, 2]);
  await Promise.all(conns.map((conn) => conn.close()));
  await check.finish();
});

/** Two streams through which nothing comes any more once they are cut, though nobody is told. */
function cuttable(): { through(): TransformStream<Uint8Array, Uint8Array>; cut(): void } {
  let open = true;
  return {
    through: () =>
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          if (open) controller.enqueue(chunk.slice());
        },
      }),
    cut: () => void (open = false),
  };
}

/** Two connections with each other, over something that can be cut. */
function linked(left: number, right: number): { near: Connection; far: Connection; cut: () => void } {
  const { through, cut } = cuttable();
  const [there, back] = [through(), through()];
  return {
    near: Connection.fromPipes(back.readable, there.writable, { timeout: left, acceptCalls: false }),
    far: Connection.fromPipes(there.readable, back.writable, { timeout: right }),
    cut,
  };
}

Deno.test(
  "a link that was cut is found by both sides, with calls in flight and without",
  noLeaks(async () => {
    for (const calling of [true, false]) {
      const { near, far, cut } = linked(TIMEOUT, TIMEOUT);
      await Promise.all([near.ready(), far.ready()]);
      const calls = calling ? [isCutShort(near.execute("new Promise(() => {})"))] : [];
      const started = far.status().messagesReceived;
      if (calling) await condition(() => far.status().messagesReceived > started, "the call arrived");
      cut();
      await Promise.all([isFoundSilent(near, calls), isFoundSilent(far, [])]);
    }
  }),
);

Deno.test(
  "idle frames go out as the other side's timeout asks, though one's own is off",
  noLeaks(async () => {
    const { near, far } = linked(1_000, Infinity);
    await Promise.all([near.ready(), far.ready()]);
    // The far side would never have to speak for its own sake.
    const heard = near.status().framesReceived;
    await condition(() => near.status().framesReceived > heard + 5, "the far side speaks");
    assert(near.isConnected() && far.isConnected());
    assertEquals(await near.execute("1 + 1"), 2);
    await Promise.all([near.close(), far.wait()]);
    await far.close();
  }),
);
