/**
 * Signals that cross a connection: in arguments, fields and results, and how long they are connected. Calls under a signal are in
 * `cancellation_test.ts`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { countListeners } from "./support/listeners.ts";
import { inPair, pair } from "./support/pair.ts";

Deno.test("no listener stays when the connection ends", async () => {
  const { controller, listeners } = countListeners();
  const { left, right } = await pair();
  const call = assertRejects(() => left.with({ signal: controller.signal }).call(() => new Promise<void>(() => {})));
  const passed = assertRejects(() =>
    left.call(async (signal: AbortSignal) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await new Promise(() => {});
    }, controller.signal)
  );
  await left.call(() => 1);
  assertEquals(listeners(), 1);
  await left.close();
  await right.close();
  await Promise.all([call, passed]);
  assertEquals(listeners(), 0);
});

Deno.test("a signal that is passed is aborted over there when it is here, with its reason, in arguments, fields and results", () =>
  inPair(async ({ left }) => {
    const controller = new AbortController();
    const wait = async ({ signal }: { signal: AbortSignal }) => {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return [(signal.reason as Error).name, (signal.reason as Error).message];
    };
    const waiting = [1, 2].map(() => left.call(wait, { signal: controller.signal }));
    const again = left.call(async (a: AbortSignal, b: AbortSignal) => await Promise.resolve(a === b), ...[
      controller.signal,
      controller.signal,
    ] as [AbortSignal, AbortSignal]);
    assertEquals(await again, true, "one signal is one over there");
    controller.abort(new RangeError("both"));
    assertEquals(await Promise.all(waiting), [["RangeError", "both"], ["RangeError", "both"]]);
    assertEquals(await left.call(wait, { signal: controller.signal }), ["RangeError", "both"], "aborted already");
    const [name] = await left.call(wait, { signal: AbortSignal.abort({ cannot: new WeakMap() }) });
    assertEquals(name, "AbortError", "its reason cannot travel");
    // The other way round.
    using there = await left.callRef(() => {
      const controller = new AbortController();
      return { signal: controller.signal, abort: (why: string) => controller.abort(new TypeError(why)) };
    });
    const theirs = await there.signal;
    assert(theirs instanceof AbortSignal);
    assertEquals(theirs.aborted, false);
    assert(await left.call((signal: AbortSignal, it: { signal: AbortSignal }) => signal === it.signal, theirs, there));
    await there.abort("over there");
    await condition(() => theirs.aborted, "it arrives");
    assertEquals(theirs.reason.message, "over there");
    assertEquals((await there.signal).reason.message, "over there");
  }));

Deno.test("a signal outlives the call that it was passed to, also if only its listeners are left", () =>
  inPair(async ({ left }) => {
    const controller = new AbortController();
    using noted = await left.callRef((signal: AbortSignal) => {
      const noted: string[] = [];
      signal.addEventListener("abort", () => noted.push((signal.reason as Error).message));
      return noted;
    }, controller.signal);
    for (let i = 0; i < 5; i++) {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
    }
    controller.abort(new Error("much later"));
    await condition(async () => (await noted.length) === 1, "the listener is called");
    assertEquals(await noted[0], "much later");
  }));

Deno.test("to cancel a call aborts the signals among its arguments, and not those of other calls", () =>
  inPair(async ({ left }) => {
    const { signal } = new AbortController();
    const reasons: string[] = [];
    const note = (reason: string) => Promise.resolve(void reasons.push(reason));
    const wait = async (signal: AbortSignal, note: (reason: string) => Promise<void>) => {
      await note("started");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await note((signal.reason as Error).name);
    };
    const other = new AbortController();
    const unharmed = left.with({ signal: other.signal }).call(wait, signal, note);
    const rejected = assertRejects(() => unharmed, DOMException);
    await assertRejects(() => left.with({ timeout: 50 }).call(wait, signal, note), DOMException, "50 ms");
    await condition(() => reasons.length === 3, "one is told");
    assertEquals(reasons, ["started", "started", "TimeoutError"]);
    assertEquals(left.status().callsInFlight, 1);
    other.abort();
    await rejected;
    await condition(() => reasons.length === 4, "the other one is told");
  }));

Deno.test("the abort of a signal does not overtake the large message that carries it", () =>
  inPair(async ({ left }) => {
    const controller = new AbortController();
    const result = left.call(
      async (signal: AbortSignal, bytes: Uint8Array) => {
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return bytes.length;
      },
      controller.signal,
      new Uint8Array(8 << 20),
    );
    await condition(() => left.status().bytesSent > 1 << 20, "it is on its way");
    controller.abort();
    assertEquals(await result, 8 << 20);
  }));

Deno.test("signals that are collected are forgotten on both sides", () =>
  inPair(async ({ left }) => {
    const passed = new Set<number>();
    const registry = new FinalizationRegistry<number>((i) => passed.delete(i));
    await (async () => {
      for (let i = 0; i < 100; i++) {
        const { signal } = new AbortController();
        registry.register(signal, i);
        passed.add(i);
        await left.call((signal: AbortSignal) => signal.aborted, signal);
      }
    })();
    await left.call(() => 1);
    await condition(async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return passed.size === 0;
    }, "they are collected here, passed or not");
  }));
