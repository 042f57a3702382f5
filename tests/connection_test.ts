import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  Connection,
  copy,
  DisconnectError,
  getConnection,
  getProxyConnection,
  has,
  isProxy,
  keep,
  OperationError,
  Options,
  ref,
  release,
  set,
} from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import type { Remote } from "../mod.ts";
import { condition } from "./support/leaks.ts";
import { baseline, inPair, pair, pipes } from "./support/pair.ts";

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
    assertStringIncludes(error.stack!, "connection_test.ts"); // the local part
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

Deno.test("functions as arguments are callbacks that run where they came from", () =>
  inPair(async (ends) => {
    let sum = 0;
    const result = await ends.left.call(
      async (add: (n: number) => Promise<number>) => await add(1) + await add(2),
      (n: number) => Promise.resolve(sum += n),
    );
    assertEquals([sum, result], [3, 4]);
    await assertRejects(
      () =>
        ends.left.call(async (fail: () => Promise<never>) => await fail(), () =>
          Promise.reject(new RangeError("from the callback"))),
      RangeError,
      "from the callback",
    );
  }));

Deno.test("functions as results become proxies, the same one for the same function", () =>
  inPair(async (ends) => {
    const double = await ends.left.call(() => (n: number) => n * 2);
    assert(isProxy(double));
    assertEquals(typeof double, "function");
    assertEquals(await double(4), 8);
    assertEquals(await ends.left.call(double, 5), 10);
    const [a, b] = await ends.left.call(() => {
      const f = () => 1;
      return [f, f];
    });
    assertStrictEquals(a, b);
  }));

Deno.test("a proxy that is sent home is the original object there", () =>
  inPair(async (ends) => {
    const own = { name: "original" };
    assertEquals(
      await ends.left.call(
        async (it: unknown, same: (value: unknown) => Promise<boolean>) => await same(it),
        ref(own),
        (it: unknown) => Promise.resolve(it === own),
      ),
      true,
    );
    using there = await ends.left.replicate([1, 2, 3]);
    assertEquals(await ends.left.call((list: number[]) => Array.isArray(list) && list.length, there), 3);
  }));

Deno.test("ref() passes by reference in arguments and results, replicate() copies and gives a proxy", () =>
  inPair(async (ends) => {
    const cheeses = ["Feta"];
    await ends.left.call(async (list: Remote<string[]>) => void await list.push("Brie"), ref(cheeses));
    assertEquals(cheeses, ["Feta", "Brie"]);
    using copied = await ends.left.replicate({ list: [1] });
    await copied.list.push(2);
    assertEquals(await copied.list, [1, 2]);
    assertEquals(await copy(copied), { list: [1, 2] });
    await set(copied, "list", [7]);
    assertEquals(await copied.list, [7]);
    assertEquals(await has(copied, "list"), true);
  }));

Deno.test("proxies print as what they are without asking, and refuse what would look local", () =>
  inPair(async (ends) => {
    using map = await ends.left.callRef(Map);
    assertEquals(String(map), "Remote <Map>");
    assertEquals(Deno.inspect(map), "Remote <Map>");
    assertThrows(() => JSON.stringify(map), TypeError, "copy()");
    assertThrows(() => Object.assign(map, { a: 1 }), TypeError, "set(");
    assertThrows(() => "a" in map, TypeError, "has(");
    assertThrows(() => delete (map as { size?: unknown }).size, TypeError, "del(");
    assert(!((map as unknown) instanceof Map));
    assertStrictEquals(getProxyConnection(map), ends.left);
    assertThrows(() => getProxyConnection({}), TypeError);
  }));

Deno.test("hidden names are not looked up, and refused where a peer sends them all the same", () =>
  inPair(async (ends) => {
    using object = await ends.left.callRef(() => ({ _secret: 1, open: 2 }));
    const loose = object as unknown as Record<string, unknown>;
    for (const name of ["_secret", "constructor", "prototype", "then"]) assertEquals(loose[name], undefined);
    for (const name of ["hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"]) {
      await assertRejects(async () => await (loose[name] as () => Promise<unknown>)(), OperationError, "not public");
    }
    using fn = await ends.left.callRef(() => (a: number) => a);
    for (const name of ["apply", "bind"]) {
      await assertRejects(
        async () => await (fn as unknown as Record<string, () => Promise<unknown>>)[name]!(),
        OperationError,
        "not public",
      );
    }
    assertEquals(await (fn as unknown as { length: Promise<number> }).length, 1);
  }));

Deno.test("a chain is one expression over there", () =>
  inPair(async (ends) => {
    const { left } = ends;
    const before = left.status().messagesReceived;
    assertEquals(
      await left.callRef(() => ({ find: (name: string) => ({ profile: { name } }) })).find("alice").profile.name,
      "alice",
    );
    assertEquals(left.status().messagesReceived, before + 1);
    await assertRejects(
      async () => await left.callRef(() => ({ a: undefined as unknown as { b: { c: number } } })).a.b.c,
      TypeError,
    );
    using made = await keep(left.call(() => ({ list: [1] })));
    assertEquals(await made.list, [1]);
  }));

Deno.test("to go on from a result that was awaited is an error that says what to do", () =>
  inPair(async (ends) => {
    const result = ends.left.call(() => ({ a: 1 }));
    await result;
    assertThrows(() => (result as unknown as { a: unknown }).a, OperationError, "use keep()");
  }));

Deno.test("results that are not there yet can be arguments", () =>
  inPair(async (ends) => {
    const { left } = ends;
    const one = left.call(() => Promise.resolve(1));
    assertEquals(await left.call((a: { deep: number[] }) => a.deep[0]! + 1, { deep: [one as unknown as number] }), 2);
    const failing = left.call(() => Promise.reject(new RangeError("base")));
    await assertRejects(async () => await left.call((x: unknown) => x, failing), RangeError, "base");
  }));

Deno.test("references are given back when their proxies are collected", () =>
  inPair(async (ends) => {
    const { left, right } = ends;
    await (async () => {
      for (let i = 0; i < 100; i++) await left.callRef(() => ({}));
    })();
    await condition(async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return left.status().referencesHeld === 0 && right.status().referencesGiven === 0;
    }, "references are given back");
    using kept = await left.callRef(() => ({ alive: true }));
    collectGarbage();
    assertEquals(await kept.alive, true);
    release(kept);
    release(kept);
    await assertRejects(async () => await kept.alive, OperationError, "released");
  }));

Deno.test("a proxy that goes home again and again while garbage is collected is always the original", () =>
  inPair(async (ends) => {
    const original = {};
    const mine = ref(original);
    let wrong = 0;
    const check = (it: unknown) => Promise.resolve(void (it === original || wrong++));
    for (let i = 0; i < 300; i++) {
      await ends.left.call(async (it: unknown, check: (it: unknown) => Promise<void>) => await check(it), mine, check);
      if (i % 10 === 0) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    assertEquals(wrong, 0);
  }));

Deno.test("calls nest in both directions, and getConnection() follows them across await", async () => {
  const shared = globalThis as unknown as { testGetConnection?: () => Connection };
  shared.testGetConnection = getConnection;
  try {
    await inPair(async (ends) => {
      const down = async (depth: number): Promise<number> => {
        // deno-lint-ignore no-explicit-any -- looked up where it runs
        const connection = (globalThis as any).testGetConnection() as Connection;
        await Promise.resolve();
        return depth === 0
          ? 0
          : 1 + await connection.call((globalThis as unknown as { testDown: typeof down }).testDown, depth - 1);
      };
      Object.assign(shared, { testDown: down });
      assertEquals(await ends.left.call(down, 20), 20);
    });
    assertThrows(() => getConnection(), Error, "no call");
  } finally {
    delete shared.testGetConnection;
    delete (shared as { testDown?: unknown }).testDown;
  }
});

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

Deno.test("operations that are issued before the handshake wait for it", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const asked = (() => Promise.all([left.call((n: number) => n + 1, 1), left.callRef(() => ({ a: { b: 2 } })).a.b]))();
  const right = Connection.fromPipes(there.readable, back.writable);
  assertEquals(await asked, [2, 2]);
  await baseline(left, right);
  await left.close();
  await right.close();
});

Deno.test("close() rejects local calls at once, and the peer's end is clean", async () => {
  const { left, right } = await pair();
  const open = left.call(() => new Promise<void>(() => {}));
  const rejected = assertRejects(async () => await open, DisconnectError, "Connection is closed");
  await left.call(() => 0); // the other one runs by now
  await left.close();
  await rejected;
  await right.wait();
  await right.close();
  assertEquals([left.isConnected(), right.isConnected()], [false, false]);
  await assertRejects(async () => await left.call(() => 1), DisconnectError, "Connection is closed");
  await assertRejects(async () => await right.call(() => 1), DisconnectError, "Connection was remotely closed");
  await left.close();
});

Deno.test("close() on both sides at once is clean", async () => {
  const { left, right } = await pair();
  await Promise.all([left.close(), right.close(), left.close()]);
});

Deno.test("close() while connecting makes ready() reject", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const ready = assertRejects(() => left.ready(), DisconnectError, "Connection is closed");
  await left.close();
  await ready;
  await there.readable.cancel().catch(() => {});
});

Deno.test("cancel() rejects everything at once, and the peer sees a failure", async () => {
  const { left, right } = await pair();
  const open = assertRejects(
    async () => await left.call(() => new Promise<void>(() => {})),
    DisconnectError,
    "Connection was cancelled",
  );
  const theirs = assertRejects(
    async () => await right.call(() => new Promise<void>(() => {})),
    DisconnectError,
    "Connection was aborted due to ",
  );
  await left.call(() => 0);
  left.cancel();
  left.cancel();
  await open;
  await theirs;
  await left.close();
  await right.wait();
  await assertRejects(() => right.close(), Error);
  await right.close();
});

Deno.test("cancel() while connecting makes ready() reject", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const ready = assertRejects(() => left.ready(), DisconnectError, "Connection was cancelled");
  left.cancel();
  await ready;
  await left.close();
  await there.readable.cancel().catch(() => {});
});

Deno.test("garbage from the peer is a ProtocolError that close() reports once", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const writer = back.writable.getWriter();
  const drained = there.readable.pipeTo(new WritableStream()).catch(() => {});
  const call = assertRejects(
    async () => await left.call(() => 1),
    DisconnectError,
    "Connection was aborted due to ProtocolError",
  );
  await writer.write(new Uint8Array(70 * 1024).fill(65)).catch(() => {});
  await call;
  await assertRejects(() => left.close(), Error, "superblock");
  await left.close();
  await drained;
});

Deno.test("a peer that never answers is given up after the timeout", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable, { timeout: 50 });
  const error = await assertRejects(() => left.ready(), DOMException, "did not answer within 50 ms");
  assertEquals(error.name, "TimeoutError");
  await left.close();
  await there.readable.cancel().catch(() => {});
});

Deno.test("[Symbol.asyncDispose] does not throw what a call threw already", async () => {
  const { left, right } = await pair();
  const failed = assertRejects(
    async () => await left.call(() => new Promise<void>(() => {})),
    DisconnectError,
    "aborted",
  );
  await left.call(() => 0);
  right.cancel();
  await failed;
  await left[Symbol.asyncDispose]();
  await right.close();
});

Deno.test("options are checked", () => {
  assertThrows(() => new Options({ timeuot: 1 } as never), TypeError, 'Cannot use option "timeuot"');
  assertThrows(() => new Options({ timeout: NaN }), RangeError, "timeout");
  assertThrows(() => new Options({ timeout: "1" as never }), TypeError, "timeout");
  assertThrows(() => new Options({ maxMessageSize: 1 }), RangeError, "maxMessageSize");
  assertThrows(() => Connection.fromCommand(["true"], { timeuot: 1 } as never), TypeError, "timeuot");
  assertEquals(new Options({ timeout: 0 }).timeout, 1);
  assertEquals(new Options({ timeout: 1e12 }).timeout, 86_400_000);
  assertEquals(new Options({ timeout: Infinity }).timeout, Infinity);
  const options = new Options({ timeout: 5, acceptCalls: false });
  assertEquals(options.copy({ timeout: 6 }).acceptCalls, false);
  assertEquals(options.copy({ timeout: 6 }).timeout, 6);
});
