/**
 * Calls between two connections in this process: what a call may be, and what becomes of its values.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { OperationError } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inPair } from "./support/pair.ts";

Deno.test("call() runs a function over there and copies arguments and result", () =>
  inPair(async (ends) => {
    assertEquals(await ends.left.call((a: number, b: number) => a + b, 1, 2), 3);
    const given = { list: [1, 2, 3], map: new Map([["a", new Set([1n])]]) };
    const result = await ends.left.call((value: typeof given) => value, given);
    assertEquals(result, given);
    assert(result !== given);
  }));

Deno.test("call() awaits asynchronous functions and passes on what they throw", () =>
  inPair(async (ends) => {
    assertEquals(await ends.left.call(async (n: number) => await Promise.resolve(n + 1), 1), 2);
    const error = await assertRejects(
      () =>
        ends.left.call(() => {
          throw Object.assign(new RangeError("too far"), { code: "E_FAR", cause: new TypeError("inner") });
        }),
      RangeError,
      "too far",
    );
    assertEquals((error as RangeError & { code: string }).code, "E_FAR");
    assertInstanceOf(error.cause, TypeError);
    assertStringIncludes(error.stack!, "Below lines obtained from host ");
    assertStringIncludes(error.stack!, "connection_calls_test.ts"); // the local part
  }));

Deno.test("call() rejects with falsy values that were thrown", () =>
  inPair(async (ends) => {
    for (const thrown of [undefined, null, 0, "", false]) {
      const result = await ends.left.call((value: unknown) => {
        throw value;
      }, thrown).then(() => "resolved", (error: unknown) => ({ error }));
      assertEquals(result, { error: thrown });
    }
  }));

Deno.test("call() finds functions by public name", () =>
  inPair(async (ends) => {
    assertEquals(await ends.left.call(Math.max, 1, 5, 3), 5);
    assertEquals(await ends.left.call(JSON.parse, "[1]"), [1]);
    assertEquals(await ends.left.call(structuredClone, { a: 1 }), { a: 1 });
  }));

Deno.test("call() constructs classes", () =>
  inPair(async (ends) => {
    assertEquals(await ends.left.call(Date, 0), new Date(0));
    using map = await ends.left.callRef(Map<string, number>, [["a", 1]]);
    assertEquals(await map.get("a"), 1);
    class Counter {
      value = 1;
      add(n: number): this {
        this.value += n;
        return this;
      }
    }
    using counter = await ends.left.callRef(Counter);
    assertEquals(await counter.value, 1);
    await counter.add(2);
    assertEquals(await counter.value, 3);
  }));

Deno.test("call() refuses methods, accessors, bound and native functions before anything is sent", () =>
  inPair(async (ends) => {
    const before = ends.left.status().messagesSent;
    const object = {
      method() {},
      get accessor() {
        return 1;
      },
    };
    const accessor = Object.getOwnPropertyDescriptor(object, "accessor")!.get!;
    for (const fn of [object.method, accessor, (() => {}).bind(null), new Map().get.bind(new Map())]) {
      await assertRejects(() => ends.left.call(fn as () => void), OperationError, "Cannot send");
    }
    assertEquals(ends.left.status().messagesSent, before);
  }));

Deno.test("call() explains a ReferenceError of a function that was sent by source", () =>
  inPair(async (ends) => {
    const factor = 2;
    const error = await assertRejects(() => ends.left.call((n: number) => n * factor, 1), ReferenceError);
    assertStringIncludes(error.message, "factor is not defined");
    assertStringIncludes(error.message, 'pass "factor" as a parameter, or export() its module');
  }));

Deno.test("one value that cannot travel fails one call", () =>
  inPair(async (ends) => {
    const { left } = ends;
    class Unknown {}
    const refused = await assertRejects(
      () => left.call((value: unknown) => value, { user: { socket: new Unknown() } }),
      OperationError,
    );
    assertStringIncludes(refused.message, "args[0].user.socket");
    assertStringIncludes(refused.message, "Unknown");
    await assertRejects(() => left.call(() => new WeakMap()), OperationError, "WeakMap");
    await assertRejects(
      () =>
        left.call((v: unknown) => v, {
          get bad() {
            throw new RangeError("getter");
          },
        }),
      RangeError,
      "getter",
    );
    await assertRejects(
      () =>
        left.call(() => ({
          get bad() {
            throw new RangeError("getter");
          },
        })),
      RangeError,
      "getter",
    );
    assertEquals(await left.call(() => 1), 1);
  }));

Deno.test("a getter that starts a call while arguments are read is refused", () =>
  inPair(async (ends) => {
    const { left } = ends;
    const inner: Promise<unknown>[] = [];
    const value = {
      get late() {
        inner.push(left.call(() => 1));
        return 1;
      },
    };
    await left.call((v: unknown) => v, value).catch(() => {});
    await Promise.allSettled(inner);
    assertEquals(await left.call(() => 2), 2);
  }));

Deno.test("ten thousand calls in flight all get their own answers", () =>
  inPair(async (ends) => {
    const results = await Promise.all(
      Array.from({ length: 10_000 }, (_, i) => ends.left.call((n: number) => n * 2, i)),
    );
    assertEquals(results, Array.from({ length: 10_000 }, (_, i) => i * 2));
  }));

Deno.test("large binary values travel whole while small calls pass between them", () =>
  inPair(async (ends) => {
    const size = 16 * 1024 * 1024;
    const bytes = new Uint8Array(size).map((_, i) => i * 31);
    const order: string[] = [];
    const large = ends.left.call((value: Uint8Array) => value, bytes).then((value) => (order.push("large"), value));
    const small = ends.left.call(() => 1).then((value) => (order.push("small"), value));
    const [back] = await Promise.all([large, small]);
    assertEquals(order, ["small", "large"]);
    assert(back.length === size && back.every((byte, i) => byte === bytes[i]));
  }));

Deno.test("a message that is larger than the other side takes fails its call only, as it is not sent", () =>
  inPair(
    async ({ left }) => {
      const size = (bytes: Uint8Array) => bytes.length;
      await assertRejects(() => left.call(size, new Uint8Array(2 << 20)), OperationError, "maxMessageSize is 1048576");
      assertEquals(await left.call(size, new Uint8Array(1000)), 1000);
    },
    { acceptCalls: true },
    { maxMessageSize: 1 << 20 },
  ));

Deno.test("the then of a result that is no Promise is called once, also where something is built upon it", () =>
  inPair(async ({ left }) => {
    const makeLazy = () => {
      const lazy = {
        asked: 0,
        then(resolve: (value: unknown) => void) {
          resolve({ asked: ++lazy.asked });
        },
      };
      return lazy;
    };
    const result = left.callRef(makeLazy) as unknown as { asked: Promise<number> };
    assertEquals(await result.asked, 1);
  }));

Deno.test("a message that is larger than maxMessageSize fails its call only", () =>
  inPair(
    async (ends) => {
      await assertRejects(
        () => ends.left.call((v: Uint8Array) => v, new Uint8Array(2 << 20)),
        OperationError,
        "maxMessageSize",
      );
      await assertRejects(
        () => ends.left.call((n: number) => new Uint8Array(n), 2 << 20),
        OperationError,
        "maxMessageSize",
      );
      assertEquals(await ends.left.call(() => 1), 1);
    },
    { maxMessageSize: 1 << 20 },
    { maxMessageSize: 1 << 20 },
  ));

Deno.test("execute() gives the value of the last expression", () =>
  inPair(async (ends) => {
    const { left } = ends;
    const cases: [string, Record<string, unknown> | undefined, unknown][] = [
      ["2 + 2", undefined, 4],
      ["two = 2; two + two", undefined, 4],
      ["const a = 1\nlet b = 2\na + b", undefined, 3],
      ["x + x", { x: 2 }, 4],
      ["arguments + source + scope + eval", { arguments: 1, source: 2, scope: 3, eval: 4 }, 10],
      ["this.a", { this: { a: 1 } }, 1],
      ["await Promise.resolve(5)", undefined, 5],
      ["const v = await Promise.resolve(5); v * x", { x: 2 }, 10],
      ["for (const v of [1, 2]) await v\n'done'", undefined, "done"],
      ["if (x) { 'yes' } else { 'no' }", { x: false }, "no"],
      ["typeof undeclared", undefined, "undefined"],
      ["// a comment\n1; // another", undefined, 1],
      ["await 1; // another", undefined, 1],
      ["`a;\n${await 1}`", undefined, "a;\n1"],
      ["({ a: await 1 })", undefined, { a: 1 }],
      ["let f = x => x\nf(await 3)", undefined, 3],
      ["", undefined, undefined],
      ["Promise.resolve(3)", undefined, 3],
    ];
    for (const [source, variables, expected] of cases) {
      assertEquals(await left.execute(source, variables), expected, source);
    }
  }));

Deno.test("execute() keeps nothing between calls", () =>
  inPair(async (ends) => {
    const { left } = ends;
    await left.execute("var a = 1; leaked = 2; function f() {} const c = 3; await 0; awaited = 1");
    await left.execute("leaked = 2; a2 ??= 1").catch(() => {});
    for (const name of ["a", "leaked", "f", "c", "awaited"]) {
      assertEquals(await left.execute(`typeof ${name}`), "undefined", name);
    }
    await assertRejects(() => left.execute("undeclared"), ReferenceError);
    await assertRejects(() => left.execute("syntax error here"), SyntaxError);
    await assertRejects(() => left.execute("await syntax error here"), SyntaxError);
  }));

Deno.test("import() gives a namespace as a proxy", () =>
  inPair(async (ends) => {
    using path = await ends.left.import<typeof import("node:path")>("node:path");
    assertEquals(await path.join("a", "b"), "a/b");
    await assertRejects(async () => await ends.left.import("./there_is_no_such_module.ts"));
  }));

Deno.test("a peer that does not accept calls may use only what it was handed", () =>
  inPair(
    async (ends) => {
      const { left, right } = ends;
      for (
        const attempt of [
          () => left.call(() => 1),
          () => left.call(Math.max, 1),
          () => left.callRef(Map),
          () => left.execute("1"),
          () => left.import("node:fs"),
          () => left.replicate(1),
        ] as (() => Promise<unknown>)[]
      ) {
        await assertRejects(async () => await attempt(), OperationError, "acceptCalls");
      }
      await assertRejects(
        () => left.export(import.meta.resolve("./fixtures/plain.mjs")),
        OperationError,
        "acceptExportedModules",
      );
      assertEquals(
        await right.call(
          async (f: (n: number) => Promise<number>) => await f(20),
          (n: number) => Promise.resolve(n + 1),
        ),
        21,
      );
      await assertRejects(async () => await left.root<{ a: number }>().a, OperationError, "expose");
    },
    {},
    { acceptCalls: false, acceptExportedModules: false },
  ));

Deno.test("root() reaches what the peer exposes, also where calls are not accepted", () => {
  const api = { version: "1", add: (a: number, b: number) => a + b, nested: { deep: () => Promise.resolve("deep") } };
  return inPair(
    async (ends) => {
      const root = ends.left.root<typeof api>();
      assertEquals(await root.version, "1");
      assertEquals(await root.add(1, 2), 3);
      assertEquals(await root.nested.deep(), "deep");
    },
    {},
    { acceptCalls: false, expose: api },
  );
});

Deno.test("a public class that arrives where calls are not accepted is refused by its name, also that of an instance", () =>
  inPair(
    async ({ left }) => {
      const refused = (name: string) => `class "${name}" where calls are not accepted`;
      await assertRejects(() => left.call(() => Map), OperationError, refused("Map"));
      await assertRejects(
        () => left.call(async () => (await import("node:fs")).readdirSync("/", { withFileTypes: true })),
        OperationError,
        refused("node:fs#Dirent"),
      );
      assertEquals(await left.call(() => new Map([[1, 2]])), new Map([[1, 2]]));
    },
    { acceptCalls: false },
  ));
