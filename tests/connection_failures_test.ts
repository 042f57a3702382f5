/**
 * One value fails one call: whatever cannot be sent, read, thrown or reached, the connection lives, nothing is left over, and the next call is
 * answered.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Remote } from "../mod.ts";
import { OperationError, ref } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inPair } from "./support/pair.ts";

const echo = (value: unknown): unknown => value;

Deno.test("a function whose first call could not be sent can be called", () =>
  inPair(async ({ left }) => {
    await assertRejects(() => left.call(echo, new WeakMap()), OperationError, "WeakMap");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("a function whose first call was too large can be called", () =>
  inPair(
    async ({ left }) => {
      await assertRejects(() => left.call(echo, new Uint8Array(1 << 20)), OperationError, "maxMessageSize");
      assertEquals(await left.call(echo, 1), 1);
    },
    { maxMessageSize: 1 << 19 },
  ));

Deno.test("a function whose source is too long fails each of its calls, and others that come with it do not", () =>
  inPair(async ({ left }) => {
    const long = new Function(`return "${"x".repeat(300_000)}"`) as () => string;
    for (let i = 0; i < 2; i++) await assertRejects(() => left.call(long), OperationError, "in one piece");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("a call that could not be sent fails what it is an argument of, with its own error", () =>
  inPair(async ({ left }) => {
    const bad = left.call(echo, new WeakMap());
    await assertRejects(() => left.call(echo, bad), OperationError, "Cannot send args[0]");
    await assertRejects(() => left.call(echo, [{ inside: bad }]), OperationError, "Cannot send args[0]");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("a path of more names than allowed fails the one call, before anything is sent", () =>
  inPair(async ({ left }) => {
    using remote = await left.callRef(() => ({ ping: () => 1 }));
    const before = left.status().messagesSent;
    // deno-lint-ignore no-explicit-any -- nobody would write down a type for this
    let path = remote as any;
    for (let i = 0; i < 1001; i++) path = path.a;
    await assertRejects(async () => await path, OperationError, "Cannot follow a path of more than 1000 names");
    assertEquals(left.status().messagesSent, before);
    assertEquals(await remote.ping(), 1);
  }));

Deno.test("a path to nothing that is an argument fails the one call with what was found there", () =>
  inPair(async ({ left }) => {
    using remote = await left.callRef(() => ({ nothing: undefined as unknown as { more: { name: string } } }));
    const callback = () => {};
    await assertRejects(() => left.call(echo, [remote.nothing.more.name, callback]), TypeError, "undefined");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("a call that is refused gives back what its arguments refer to", () =>
  inPair(
    async ({ left }) => {
      await assertRejects(() => left.call(echo, () => 1), OperationError, "acceptCalls");
      assertEquals(left.status().referencesGiven, 1); // until the other side has collected it, which is awaited at the end
    },
    {},
    { acceptCalls: false },
  ));

Deno.test("a Blob arrives also when the message that announces it is large", () =>
  inPair(async ({ left }) => {
    const read = async (bytes: Uint8Array, blob: Blob) => [bytes.length, await blob.text()];
    assertEquals(await left.call(read, new Uint8Array(4 << 20), new Blob(["text"])), [4 << 20, "text"]);
  }));

Deno.test("a Blob that is larger than a message may be fails the one call", () =>
  inPair(
    async ({ left }) => {
      const blob = new Blob([new Uint8Array(1 << 20)]);
      await assertRejects(() => left.call((blob: Blob) => blob.size, blob), Error, "maxMessageSize");
      assertEquals(await left.call(echo, 1), 1);
    },
    { maxMessageSize: 1 << 19 },
  ));

Deno.test("an error whose message is larger than a message may be arrives with the beginning of it", () =>
  inPair(
    async ({ left }) => {
      const fail = (size: number) => {
        throw new RangeError("x".repeat(size));
      };
      const error = await assertRejects(() => left.call(fail, 1 << 20), Error);
      assertEquals(error.message, "x".repeat(10_000));
      assertEquals(await left.call(echo, 1), 1);
    },
    {},
    { maxMessageSize: 1 << 19 },
  ));

Deno.test("proxies with traps that throw, thrown, returned and started from, fail the one call", () =>
  inPair(async ({ left }) => {
    const make = () => {
      const trap = () => {
        throw new RangeError("trap");
      };
      return new Proxy({}, {
        get: trap,
        getPrototypeOf: trap,
        ownKeys: trap,
        has: trap,
        getOwnPropertyDescriptor: trap,
      });
    };
    const source = `(${make})()`;
    await assertRejects(() => left.execute(`throw ${source}`), Error, "The call threw something that cannot travel");
    await assertRejects(() => left.execute(`(async () => { throw ${source} })()`), Error, "cannot travel");
    await assertRejects(() => left.execute(source), RangeError, "trap");
    await assertRejects(() => left.execute(`[{ inside: ${source} }]`), RangeError, "trap");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("proxies of proxies, as arguments and back again, are what they stand for", () =>
  inPair(async ({ left }) => {
    const target = { name: "target" };
    const local = new Proxy(new Proxy(target, {}), {});
    assertEquals(await left.call(echo, local), target);
    using remote = await left.callRef((it: Remote<typeof target>) => ({ it }), ref(local));
    // Wrapped twice, and a reference to a proxy of the other side: it is still that object there.
    assertEquals(await left.call((it: unknown) => typeof it, ref(remote)), "object");
    assertEquals(await left.call((it: unknown) => typeof it, ref(ref(local) as unknown)), "function");
    assertEquals(await left.call((it: unknown) => typeof (it as { it: unknown }).it, remote as unknown), "function");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("falsy values that are thrown arrive as they are, also by callbacks and in chains", () =>
  inPair(async ({ left }) => {
    for (const thrown of [undefined, null, 0, -0, NaN, "", false, 0n]) {
      const relay = async (f: () => Promise<never>) => {
        try {
          await f();
        } catch (error) {
          throw error;
        }
      };
      const got = await left.call(relay as (f: () => Promise<unknown>) => Promise<void>, () => Promise.reject(thrown))
        .then(() => "resolved", (error: unknown) => ({ error }));
      assertEquals(got, { error: thrown });
      const chain = left.callRef((value: unknown): { more: { still: () => number } } => {
        throw value;
      }, thrown).more.still();
      assertEquals(await chain.then(() => "resolved", (error: unknown) => ({ error })), { error: thrown });
    }
  }));

Deno.test("getters that throw, deep in arguments and results, fail the one call with what they threw", () =>
  inPair(async ({ left }) => {
    const getter = (error: unknown) => ({
      list: [
        new Map([["key", {
          get bad() {
            throw error;
          },
        }]]),
      ],
    });
    await assertRejects(() => left.call(echo, getter(new RangeError("here"))), RangeError, "here");
    const thrown = await left.call(echo, getter(undefined)).then(() => "resolved", (error: unknown) => ({ error }));
    assertEquals(thrown, { error: undefined });
    const there = left.call(() => ({
      get bad() {
        throw new RangeError("there");
      },
    }));
    await assertRejects(async () => await there, RangeError, "there");
    assertEquals(await left.call(echo, 1), 1);
  }));

Deno.test("a large call that is cancelled gives back no references of the call behind it", () =>
  inPair(async ({ left }) => {
    const controller = new AbortController();
    const large = left.with({ signal: controller.signal }).call(echo, new Uint8Array(8 << 20));
    const next = left.call(async (back: () => Promise<number>) => await back(), () => Promise.resolve(5));
    controller.abort(new RangeError("enough"));
    await assertRejects(async () => await large, RangeError, "enough");
    assertEquals(await next, 5);
  }));
