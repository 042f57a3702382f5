/**
 * Spreading work over gateways: orders, failures, gateways that are lost, and sources that do not behave.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { GatewayLostError, Group } from "../gateways/mod.ts";
import type { MapInit } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition } from "./support/leaks.ts";

const square = (n: number): number => n * n;
const never = (): Promise<never> => new Promise(() => {});
/** Ends its process where that was started with `env:DOOMED=`. */
async function dieIfDoomed(n: number): Promise<number> {
  const { default: process } = await import("node:process");
  if (!process.env["DOOMED"]) return n;
  process.kill(process.pid, "SIGKILL");
  return await new Promise<never>(() => {});
}
/** Ends its process. */
async function die(): Promise<never> {
  const { default: process } = await import("node:process");
  process.kill(process.pid, "SIGKILL");
  return await new Promise<never>(() => {});
}

async function all<T>(results: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const result of results) list.push(result);
  return list;
}

Deno.test(
  "map() gives results in the order of the items, or as they are there",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen"]);
    const items = Array.from({ length: 40 }, (_, i) => i);
    const progress: number[] = [];
    const onProgress: MapInit["onProgress"] = ({ done, gateways }) => void progress.push(done, gateways);
    assertEquals(await all(group.map(items, square, { concurrency: 2, onProgress })), items.map(square));
    assertEquals(progress, items.flatMap((n) => [n + 1, 2]));
    const any = await all(group.map(items, square, { order: "completion" }));
    assertEquals(any.sort((a, b) => a - b), items.map(square));
    assertEquals(await all(group.map([], square)), []);
    assertEquals(await all(group.map("abc", (letter: string) => letter.toUpperCase())), ["A", "B", "C"]);
    assertEquals(await all(group.map([1], () => undefined)), [undefined]);
  }),
);

Deno.test(
  "map() in order of completion does not wait for what takes long",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen"]);
    const results = group.map([0, 1, 2, 3], (n: number) => n || new Promise<never>(() => {}), { order: "completion" });
    const first: unknown[] = [];
    for (let i = 0; i < 3; i++) first.push((await results.next()).value);
    assertEquals(first, [1, 2, 3]);
    await results.return();
  }),
);

Deno.test(
  "map() ends with the first failure, with what fn threw",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen"]);
    const failing = group.map([1, 2, 3], (n: number) => {
      if (n === 2) throw new RangeError("two");
      return n;
    });
    // Whether what comes before it in order is there by then or not.
    const before: number[] = [];
    await assertRejects(
      async () => {
        for await (const n of failing) before.push(n);
      },
      RangeError,
      "two",
    );
    assert(before.every((n) => n === 1), String(before));
    const failsHere = group.map([1], square, {
      onProgress() {
        throw new Error("no progress");
      },
    });
    await assertRejects(() => all(failsHere), Error, "no progress");
    assertEquals(await all(group.map([3], square)), [9], "the gateways are as good as before");
  }),
);

Deno.test(
  "map() says at once what makes no sense",
  inGroup(async (group) => {
    assertThrows(() => group.map([], square, { order: "random" as "input" }), RangeError, "order");
    assertThrows(() => group.map([], square, { concurrency: 0 }), RangeError, "concurrency");
    assertThrows(() => group.map([], square, { retries: -1 }), RangeError, "retries");
    assertThrows(() => group.map([], square, { retry: 1 } as MapInit), TypeError, '"retry"');
    await assertRejects(() => all(new Group().map([1], square)), Error, "without gateways");
    await assertRejects(() => all(group.map([1], square, { signal: AbortSignal.abort() })), DOMException);
  }),
);

Deno.test(
  "map() closes its source when the loop is left, and not when the source is at its end or has failed",
  inGroup(async (group) => {
    await group.makeGateway();
    let closed = 0;
    const source = (end: () => IteratorResult<number>): Iterable<number> => ({
      [Symbol.iterator]() {
        let n = 0;
        return {
          next: () => n < 3 ? { done: false, value: n++ } : end(),
          return: () => ({ done: true, value: closed++ }),
        };
      },
    });
    const done = source(() => ({ done: true, value: undefined }));
    assertEquals(await all(group.map(done, square)), [0, 1, 4]);
    assertEquals(closed, 0);
    for await (const _ of group.map(done, square)) break;
    assertEquals(closed, 1);
    const failing = source(() => {
      throw new RangeError("out of items");
    });
    await assertRejects(() => all(group.map(failing, square)), RangeError, "out of items");
    assertEquals(closed, 1);
  }),
);

Deno.test(
  "map() does not read further ahead than it has room for results",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen"]);
    let read = 0;
    function* endless() {
      for (;;) yield read++;
    }
    const slow = group.map(endless(), (n: number) => n === 0 ? new Promise<never>(() => {}) : n);
    const first = slow.next();
    await condition(() => read >= 16, "it reads ahead");
    assertEquals(await all(group.map([1, 2], square)), [1, 4], "others can use the gateways meanwhile");
    assertEquals(read, 16);
    const left = assertRejects(() => first, Error, "lost");
    await group.terminate();
    await left;
  }),
);

Deno.test(
  "map() is ended by its signal, in fn, and where the source does not answer",
  inGroup(async (group) => {
    await group.makeGateway();
    const controller = new AbortController();
    const { signal } = controller;
    async function* silent() {
      yield 1;
      await never();
    }
    const inCall = assertRejects(() => all(group.map([1], never, { signal })), Error, "enough");
    const results = group.map(silent(), square, { signal });
    assertEquals((await results.next()).value, 1);
    const inSource = assertRejects(() => results.next(), Error, "enough");
    controller.abort(new Error("enough"));
    await inCall;
    await inSource;
    assertEquals(await all(group.map([3], square)), [9]);
  }),
);

Deno.test(
  "map() gives what a dying gateway had in hand to another one",
  inGroup(async (group) => {
    await group.makeGateways(["popen//id=doomed//env:DOOMED=1", "popen"]);
    let left = 0;
    const onProgress: MapInit["onProgress"] = ({ gateways }) => void (left = gateways);
    assertEquals(await all(group.map([1, 2, 3, 4, 5, 6], dieIfDoomed, { onProgress })), [1, 2, 3, 4, 5, 6]);
    assertEquals(left, 1);
    await condition(() => !group.has("doomed"), "it has left");
  }),
);

Deno.test(
  "map() gives all of several items of a dying gateway to others, and none to its idle hands",
  inGroup(async (group) => {
    // One item each: the second hand of the doomed one waits when the first one is lost, and must not count as another loss.
    await group.makeGateways(["popen//env:DOOMED=1", "popen"]);
    assertEquals(await all(group.map([1], dieIfDoomed, { concurrency: 3 })), [1]);
    await group.makeGateways(["popen//env:DOOMED=1", "popen//env:DOOMED=1"]);
    const items = Array.from({ length: 30 }, (_, i) => i);
    const results = await all(group.map(items, dieIfDoomed, { concurrency: 3, order: "completion", retries: 2 }));
    assertEquals(results.sort((a, b) => a - b), items);
  }),
);

Deno.test(
  "map() passes over a gateway that has ended, and that is no retry",
  inGroup(async (group) => {
    const [first] = await group.makeGateways(["popen", "popen"]);
    const results = group.map([1, 2, 3], square, { retries: 0 });
    first!.exit();
    await first!.join(SOON);
    assertEquals(await all(results), [1, 4, 9]);
  }),
);

Deno.test(
  "map() gives an item that kills whoever gets it to no more gateways than it is told",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen", "popen"]);
    await assertRejects(() => all(group.map([1], die)), GatewayLostError, "others lost before it");
    await condition(() => group.length === 1, "two have left");
    await assertRejects(() => all(group.map([1], die, { retries: 0 })), GatewayLostError, "may not be given");
    await condition(() => group.length === 0, "the third has left");
  }),
);

Deno.test(
  "map() gives an item to another gateway though its source waits for the result",
  inGroup(async (group) => {
    await group.makeGateways(["popen//env:DOOMED=1", "popen"]);
    let proceed = () => {};
    async function* stepwise() {
      for (let n = 0; n < 3; n++) {
        const taken = new Promise<void>((resolve) => proceed = resolve);
        yield n;
        await taken;
      }
    }
    const results: number[] = [];
    for await (const n of group.map(stepwise(), dieIfDoomed)) {
      results.push(n);
      proceed();
    }
    assertEquals(results, [0, 1, 2]);
  }),
);

Deno.test(
  "map() tells that all gateways are lost, also where none of them has anything in hand",
  inGroup(async (group) => {
    const gateways = await group.makeGateways(["popen", "popen"]);
    async function* silent() {
      yield 1;
      await never();
    }
    const results = group.map(silent(), square);
    assertEquals((await results.next()).value, 1);
    const lost = assertRejects(() => results.next(), GatewayLostError, "All gateways were lost");
    for (const gateway of gateways) Deno.kill((await gateway.remoteInfo()).pid!, "SIGKILL");
    await lost;
  }),
);
