// What can go wrong with served objects: owners that block, exit, are killed, or stop to listen between any two steps. Every caller is answered.

import { assert, assertEquals } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import type { Remote } from "../mod.ts";
import { biosCommand, Connection, DisconnectError, keep, set } from "../mod.ts";
import { get, passTo, pool, Served, spawn, superOf } from "../objects/mod.ts";
import {
  Counter,
  flicker,
  ignoreThenStop,
  serve,
  serveByHand,
  serveThenSpin,
  StrictCounter,
} from "./fixtures/objects/counter.ts";
import { exitWith, forever } from "./fixtures/objects/jobs.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { inFolder } from "./support/folder.ts";
import { condition, descendants, noLeaks } from "./support/leaks.ts";
import type { Place } from "./support/objects.ts";
import { COUNTER, testEachPlace, usual } from "./support/objects.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const JOBS = import.meta.resolve("./fixtures/objects/jobs.ts");
const REFUSED = "nobody listens";

/** What a caller gets: a value, its default, or an error, but never nothing. */
const settled = async (result: PromiseLike<unknown>): Promise<"value" | "refused"> => {
  try {
    await result;
    return "value";
  } catch (error) {
    assert(error instanceof DisconnectError || String(error).includes(REFUSED), String(error));
    return "refused";
  }
};

await testEachPlace("before anybody listens, callers get their default or an error", async (options) => {
  const counter = new Counter();
  const { face } = counter.remote;
  assertEquals(await face.count, 0);
  await using p = spawn.with(options)(serve, counter);
  assertEquals(await get(face.count, -1), -1);
  await assertRejects(async () => await face.add(1), Error, REFUSED);
  await assertRejects(async () => await face.add(1).count, Error, REFUSED);
  await assertRejects(() => set(face, "count", 1), Error, REFUSED);
  await assertRejects(() => passTo(face, () => 1), Error, REFUSED);
  await assertRejects(
    async () => {
      for await (const _ of face.upTo(1));
    },
    Error,
    REFUSED,
  );
  await counter.remote.untilListening();
  assertEquals(await get(face.count, -1), 0);
  await set(face, "stop", true);
  await p.join();
  assertEquals(await get(face.count, -1), -1, "and after the end");
  await assertRejects(async () => await face.count, Error, REFUSED);
});

await testEachPlace("untilListening() rejects when the process ends before", async (options) => {
  const counter = new Counter();
  const p = spawn.with({ ...options, modules: [COUNTER, JOBS] })((_: Counter) => 42, counter);
  await assertRejects(() => counter.remote.untilListening(), Error, "has ended");
  await p.join();
  const error = await assertRejects(() => new Counter().remote.untilListening({ timeout: 1 }), DOMException);
  assertEquals(error.name, "TimeoutError");
  const signal = AbortSignal.abort(new RangeError("enough"));
  await assertRejects(() => new Counter().remote.untilListening({ signal }), RangeError, "enough");
});

await testEachPlace("untilListening() knows the members of a pool, too", async (options) => {
  await using members = pool(1, { ...options, modules: [COUNTER, JOBS] });
  const counter = new Counter();
  const task = members.run(serve, counter);
  await counter.remote.untilListening();
  assertEquals(await counter.remote.face.add(2).count, 2);
  await set(counter.remote.face, "stop", true);
  await task;
  await assertRejects(async () => await counter.remote.face.count, Error, REFUSED);

  const other = new Counter();
  const failed = assertRejects(() => members.run(forever as (it: Counter) => Promise<never>, other), DisconnectError);
  await condition(() => members.status().running === 1, "it runs");
  const never = assertRejects(() => other.remote.untilListening(), DisconnectError, "before it was done");
  await members.terminate();
  await Promise.all([never, failed]);
});

await testEachRuntime(
  "untilListening() tells how the process died, once",
  noLeaks(async ({ path }) => {
    const counter = new Counter();
    await using _p = spawn.with({ runtime: path, modules: [COUNTER, JOBS] })(
      exitWith as (code: number, counter: Counter) => Promise<never>,
      5,
      counter,
    );
    await assertRejects(() => counter.remote.untilListening(), DisconnectError, "exited with status 5");
  }),
  usual,
);

await testEachRuntime(
  "a killed owner answers nobody, and nobody waits",
  noLeaks(async ({ path }) => {
    const counter = new Counter();
    const p = spawn.with({ runtime: path, modules: [COUNTER] })(serve, counter);
    await counter.remote.untilListening();
    const { face } = counter.remote;
    const chain = face.add(1);
    const waiting = [
      settled(face.never()),
      settled(chain.never()),
      settled(passTo(face, () => new Promise(() => {}))),
      settled((async () => {
        for await (const _ of chain.upTo(1e9)) if (_ === 10) p.kill();
      })()),
    ];
    const byDefault = get(face.never() as never, "default");
    assertEquals(await Promise.all(waiting), Array(4).fill("refused"));
    assertEquals(await byDefault, "default");
    assertEquals(await settled(face.count), "refused");
    assertEquals(await get(face.count, 3), 3);
    assert(!counter.remote.listening);
    await assertRejects(() => p.join(), Error, "SIGKILL");
  }),
  usual,
);

await testEachRuntime(
  "an owner that blocks costs no more than the time that the caller has",
  noLeaks(async ({ path }) => {
    const counter = new Counter();
    const p = spawn.with({ runtime: path, modules: [COUNTER] })(serveThenSpin, counter);
    await counter.remote.untilListening();
    const { face } = counter.remote;
    await set(face, "stop", true);
    await condition(async () => await get(face.count, -1, { timeout: 50 }) === -1, "it blocks");
    assertEquals(await get(face.add(1).count, "late", { timeout: 20 }), "late");
    const signal = AbortSignal.timeout(20);
    await assertRejects(async () => await p.connection.with({ signal }).on(face).count, DOMException);
    p.kill();
    await assertRejects(() => p.join(), Error, "SIGKILL");
    assertEquals(p.connection.status().callsInFlight, 0);
  }),
  usual,
);

for (const [Class, outcome] of [[Counter, "value"], [StrictCounter, "refused"]] as const) {
  await testEachPlace(`what is outstanding when the owner stops is ${outcome} [${Class.name}]`, async (options) => {
    const counter: Counter = new Class();
    const stop = Promise.withResolvers<void>();
    await using _p = spawn.with(options)(ignoreThenStop, counter, () => {}, () => stop.promise);
    await counter.remote.untilListening();
    const { face } = counter.remote;
    const waiting = [settled(face.count), settled(face.add(1).add(2).count), settled(passTo(face, (it) => it.count))];
    await condition(async () => (await get(face.count, 0, { timeout: 1 })) === 0, "they have arrived");
    stop.resolve();
    assertEquals(await Promise.all(waiting), [outcome, outcome, outcome]);
  });
}

/** What is open on the far side of a connection. */
const openThere = async (): Promise<{ readonly given: number; readonly running: number; readonly results: number }> => {
  const { getConnection } = await import("@x/across");
  const { referencesGiven, callsRunning, resultsHeld } = getConnection().status();
  return { given: referencesGiven, running: callsRunning, results: resultsHeld };
};

/** A chain of four steps with a fault before, between or behind these. */
function chainWith(face: Remote<Counter>, kind: "exit" | "kill" | "stop", at: number): PromiseLike<number> {
  let chain = face.add(0);
  for (let step = 0; step < 5; step++) chain = step === at ? chain.fault(kind) : chain.add(1);
  return chain.count as PromiseLike<number>;
}

/** Has a fault at each place in a chain, while others ask, too. */
async function faults(kind: "exit" | "kill" | "stop", byHand: boolean, options: Place): Promise<void> {
  for (let at = 0; at < 5; at++) {
    const counter = new Counter();
    const p = spawn.with(options)(byHand ? serveByHand : serve, counter);
    await counter.remote.untilListening();
    const { face } = counter.remote;
    const callers = [
      settled(chainWith(face, kind, at)),
      settled(face.add(1).later(1)),
      settled(passTo(face.add(1), (it) => it.count)),
      settled(keep(superOf(face.add(1)))),
    ];
    const byDefault = [get(face.add(1).count as never, -1), get(face.never() as never, -1, { timeout: 300 })];
    await Promise.all(callers);
    for (const value of await Promise.all(byDefault)) assert(typeof value === "number", String(value));
    await condition(() => !counter.remote.listening, "it is known");
    assertEquals(await settled(face.count), "refused");
    assertEquals(await settled(superOf(face)), "refused");
    assertEquals(await get(face.count, -1), -1);
    if (kind === "stop") p.kill();
    const how = kind === "exit" ? "exited with status 7" : options.worker ? "ended before" : "was killed by SIGKILL";
    await assertRejects(() => p.join(), DisconnectError, how);
    assertEquals(p.connection.status().callsInFlight, 0);
  }
}

for (const byHand of [false, true]) {
  const name = `between any two steps of a chain leaves nobody waiting [${byHand ? "by hand" : "background"}]`;
  await testEachPlace(`an owner that stops ${name}`, (options) => faults("stop", byHand, options));
  for (const kind of ["exit", "kill"] as const) {
    await testEachRuntime(
      `an owner that is gone (${kind}) ${name}`,
      noLeaks(({ path }) => faults(kind, byHand, { runtime: path, modules: [COUNTER] })),
      usual,
    );
  }
}

for (const background of [true, false]) {
  await testEachPlace(
    `10,000 requests meet a listener that closes and opens [background: ${background}]`,
    async (options) => {
      const counter: Counter = background ? new Counter() : new StrictCounter();
      let enough = false;
      const p = spawn.with(options)(flicker, counter, background, () => Promise.resolve(enough));
      const { face } = counter.remote;
      await counter.remote.untilListening();
      const there = await p.connection.call(openThere);
      const here = p.connection.status();
      const found = { value: 0, refused: 0 };
      let left = 10_000;
      const caller = async (): Promise<void> => {
        while (left-- > 0) {
          const result = left % 3 === 0
            ? settled(face.add(1).add(1).count)
            : left % 3 === 1
            ? settled(face.later(1))
            : settled(passTo(face, (it) => it.count));
          found[await result]++;
          // Else most would be refused here, without ever meeting the other side.
          if (!counter.remote.listening) await counter.remote.untilListening();
        }
      };
      await Promise.all(Array.from({ length: 16 }, caller));
      assertEquals(found.value + found.refused, 10_000);
      assert(found.value > 0);
      await condition(async () => {
        collectGarbage(); // what was only chained is given back when its promise is gone
        const { given, running, results } = await p.connection.call(openThere);
        const { callsInFlight, callsRunning, referencesHeld, referencesGiven } = p.connection.status();
        assert(
          given <= there.given + 1 && running <= there.running && results <= there.results + 1,
          `${given} ${running} ${results}`,
        );
        assert(callsInFlight <= here.callsInFlight && callsRunning <= here.callsRunning + 1);
        return referencesHeld <= here.referencesHeld + 1 && referencesGiven <= here.referencesGiven;
      }, "the tables of both ends are as they were");
      enough = true;
      assert(await p.result > 1);
      await p.join();
      assertEquals(p.connection.status().callsInFlight, 0);
    },
  );
}

Deno.test(
  "what listens and stops leaves nothing in the tables of both ends",
  noLeaks(async () => {
    await using conn = Connection.fromCommand(biosCommand());
    await conn.export(COUNTER);
    const served = new Served<Counter>(new Counter());
    const flash = async (it: Served<Counter>, times: number) => {
      for (let n = 0; n < times; n++) {
        it.listen();
        await new Promise((resolve) => setTimeout(resolve, 0));
        it.stop();
      }
    };
    await conn.call(flash, served as never, 2);
    const [here, there] = [conn.status(), await conn.call(openThere)];
    await conn.call(flash, served as never, 100);
    await condition(async () => {
      const { given, running } = await conn.call(openThere);
      return given <= there.given + 1 && running <= there.running;
    }, "what was given is given back");
    assert(conn.status().referencesHeld <= here.referencesHeld + 1);
    assertEquals(conn.status().callsInFlight, 0);
  }),
);

Deno.test(
  "an end waits for a module that is being read for the process, and nothing is read afterwards",
  inFolder(async (folder) => {
    const path = join(folder, "module.ts");
    const module = toFileUrl(path).href;
    const starts: Record<string, () => { end(): Promise<unknown> }> = {
      "a process": () => {
        const p = spawn.with({ modules: [module] })(() => 1);
        return { end: () => (p.kill(), p.join().catch(() => {})) };
      },
      "a pool": () => {
        const members = pool(1, { modules: [module] });
        const run = members.run(() => 1).catch(() => {});
        return { end: async () => (await members.terminate(), await run) };
      },
    };
    for (const [name, start] of Object.entries(starts)) {
      // A pipe gives what it holds when its writer is done.
      assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
      const it = start();
      const writer = await Deno.open(path, { write: true }); // as soon as it is read
      let ended = false;
      const end = it.end().then(() => ended = true);
      await condition(() => descendants().length === 0, "the process is gone");
      await new Promise((resolve) => setTimeout(resolve));
      assert(!ended, name);
      // What is imported here, for its names, is a file.
      await Deno.remove(path);
      await Deno.writeTextFile(path, "export const one = 1;\n");
      writer.close();
      await end;
      await Deno.remove(path);
    }
  }),
);
