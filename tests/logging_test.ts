/**
 * Log records over a connection of two ends in this process: what arrives of them, what is dropped, and what a peer that is none of ours can send.
 * Libraries and remote ends are the business of `logging_libraries_test.ts`.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { ConnectionSink, LogLevel, LogRecord } from "../logging.ts";
import { connectionSink, consoleSink, receiveRecords, toConsole } from "../logging.ts";
import { Connection, ref } from "../mod.ts";
import { sendRecords } from "../session/records.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { inPair } from "./support/pair.ts";

function record(text: string, more: Partial<LogRecord> = {}): LogRecord {
  return {
    category: ["app", "db"],
    level: "info",
    message: [text],
    rawMessage: text,
    timestamp: 1_000_000_000_000,
    properties: {},
    ...more,
  };
}

/** Collects what arrives while `body` runs. */
async function collected(body: (records: LogRecord[]) => Promise<void>): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  using _receiving = receiveRecords((it) => records.push(it));
  await body(records);
  return records;
}

const texts = (records: readonly LogRecord[]): string[] => records.map(({ message }) => message.join(""));

Deno.test(
  "a record arrives with its category, level, message, time, properties and errors",
  noLeaks(() =>
    inPair(async ({ left }) => {
      class Broken extends TypeError {
        override name = "Broken";
        code = "E_BROKEN";
      }
      const error = new Broken("It broke", { cause: new RangeError("Too far") });
      const properties = { user: { id: 7, tags: new Set(["a"]) }, when: new Date(5), big: 12n, error };
      const sent = record("", {
        message: ["Hi ", { name: "Ada" }, "!"],
        rawMessage: "Hi {name}!",
        level: "warning",
        properties,
      });
      const [got] = await collected(async (records) => {
        await using sink = connectionSink(left);
        sink(sent);
        await condition(() => records.length === 1, "it arrives");
      });
      assertEquals(got!.category, sent.category);
      assertEquals(got!.level, "warning");
      assertEquals(got!.message, sent.message);
      assertEquals(got!.rawMessage, "Hi {name}!");
      assertEquals(got!.timestamp, sent.timestamp);
      assertEquals(got!.properties.user, properties.user);
      assertEquals(got!.properties.when, properties.when);
      assertEquals(got!.properties.big, "12");
      const arrived = got!.properties.error as Broken;
      assertInstanceOf(arrived, Error);
      assertEquals([arrived.name, arrived.message, arrived.code], ["Broken", "It broke", "E_BROKEN"]);
      assertStringIncludes(arrived.stack!, "logging_test.ts");
      assertInstanceOf(arrived.cause, RangeError);
    })
  ),
);

Deno.test(
  "connectionSink() copies a record when it is logged",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const list = [1];
      const [got] = await collected(async (records) => {
        await using sink = connectionSink(left);
        sink(record("x", { properties: { list } }));
        list.push(2);
        await condition(() => records.length === 1, "it arrives");
      });
      assertEquals(got!.properties.list, [1]);
    })
  ),
);

Deno.test(
  "values that cannot travel become text, and nothing is passed by reference",
  noLeaks(() =>
    inPair(async ({ left, right }) => {
      class Point {
        x = 1;
        #y = 2;
        sum(): number {
          return this.x + this.#y;
        }
      }
      const cyclic: Record<string, unknown> = { name: "loop" };
      cyclic.self = cyclic;
      const properties = {
        fn: function greet() {},
        point: new Point(),
        symbol: Symbol("s"),
        weak: new WeakMap(),
        promise: Promise.resolve(),
        referred: ref({ a: 1 }),
        bytes: new Uint8Array(1000),
        get thrower(): never {
          throw new Error("no");
        },
        cyclic,
        long: "x".repeat(1 << 20),
      };
      const [got] = await collected(async (records) => {
        await using sink = connectionSink(left);
        sink(record("x", { properties }));
        assertEquals(sink.dropped, 0);
        await condition(() => records.length === 1, "it arrives");
      });
      const all = got!.properties;
      assertEquals(all.fn, "[Function greet]");
      assertEquals(all.point, "Point { x: 1 }");
      assertEquals(all.symbol, "Symbol(s)");
      assertEquals(all.weak, "[WeakMap]");
      assertEquals(all.promise, "[Promise]");
      assertEquals(all.bytes, "[Uint8Array of 1000 bytes]");
      assertEquals(all.thrower, "[Getter that throws]");
      assertEquals(typeof all.referred, "string");
      const loop = all.cyclic as Record<string, unknown>;
      assertStrictEquals(loop.self, loop);
      assert((all.long as string).length < 100_000);
      assertStringIncludes(all.long as string, "(1048576 characters)");
      assertEquals(left.status().referencesGiven + right.status().referencesHeld, 0);
    })
  ),
);

Deno.test(
  "connectionSink() never throws, whatever a record is",
  noLeaks(() =>
    inPair(async ({ left }) => {
      await using sink = connectionSink(left);
      const thrower = new Proxy({}, {
        get(): never {
          throw new Error("no");
        },
      });
      const hostile = [undefined, null, 1, {}, thrower, record("x", { level: "loud" as LogLevel })];
      for (const each of hostile) sink(each as LogRecord);
      assertEquals(sink.dropped, hostile.length);
    })
  ),
);

Deno.test(
  "connectionSink() sends nothing below its level",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const records = await collected(async (records) => {
        await using sink = connectionSink(left, { level: "warning" });
        for (const level of ["trace", "debug", "info", "warning", "error", "fatal"] as const) {
          sink(record(level, { level }));
        }
        await condition(() => records.length >= 3, "they arrive");
      });
      assertEquals(texts(records), ["warning", "error", "fatal"]);
      assertThrows(() => connectionSink(left, { level: "loud" as LogLevel }), TypeError, '"loud"'.slice(1, 5));
    })
  ),
);

Deno.test(
  "records keep their order, errors included, and many leave in few messages",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const before = left.status().messagesSent;
      const records = await collected(async (records) => {
        await using sink = connectionSink(left);
        for (let i = 0; i < 500; i++) sink(record(String(i), i === 250 ? { level: "error" } : {}));
        await condition(() => records.length === 500, "they arrive");
      });
      assertEquals(texts(records), Array.from({ length: 500 }, (_, i) => String(i)));
      assert(left.status().messagesSent - before <= 10, `${left.status().messagesSent - before} messages`);
    })
  ),
);

Deno.test(
  "an error leaves at once, not at the end of the turn",
  noLeaks(() =>
    inPair(async ({ left }) => {
      await using sink = connectionSink(left);
      const before = left.status().bytesSent;
      sink(record("later"));
      assertEquals(left.status().bytesSent, before);
      sink(record("now", { level: "error" }));
      assert(left.status().bytesSent > before);
    })
  ),
);

Deno.test(
  "records for which there is no room are dropped and counted, and the count arrives",
  noLeaks(async () => {
    const there = new TransformStream<Uint8Array, Uint8Array>();
    const back = new TransformStream<Uint8Array, Uint8Array>();
    // Nobody reads yet, so nothing leaves.
    const left = Connection.fromPipes(back.readable, there.writable);
    const sink = connectionSink(left);
    for (let i = 0; i < 5000; i++) sink(record(String(i)));
    assert(sink.dropped >= 3900 && sink.dropped < 5000, `${sink.dropped} were dropped`);
    const records = await collected(async (records) => {
      const right = Connection.fromPipes(there.readable, back.writable);
      await right.ready();
      await condition(() => records.some(({ properties }) => "dropped" in properties), "the count arrives");
      await condition(() => records.length === 5000 - sink.dropped + 1, "the others do, too");
      await left.close();
      await right.close();
    });
    const note = records.find(({ properties }) => "dropped" in properties)!;
    assertEquals(note.properties.dropped, sink.dropped);
    assertEquals(note.level, "warning");
    assertEquals(note.category, ["across", "logging"]);
  }),
);

Deno.test(
  "a sink of a connection that is over is silent",
  noLeaks(async () => {
    let sink: ConnectionSink | undefined;
    await inPair(({ left }) => {
      sink = connectionSink(left);
      return Promise.resolve();
    });
    for (const level of ["info", "error"] as const) sink!(record("late", { level }));
    await sink![Symbol.asyncDispose]();
  }),
);

Deno.test(
  "a disposed sink has sent everything, and sends nothing more",
  noLeaks(() =>
    inPair(async ({ left, right }) => {
      const records = await collected(async () => {
        const sink = connectionSink(left);
        for (let i = 0; i < 300; i++) sink(record(String(i)));
        await sink[Symbol.asyncDispose]();
        sink(record("late"));
        await right.call(() => {}); // what was sent before has arrived by then
      });
      assertEquals(records.length, 300);
    })
  ),
);

Deno.test(
  "records do not go round in circles",
  noLeaks(() =>
    inPair(async ({ left, right }) => {
      await using there = connectionSink(left);
      await using back = connectionSink(right);
      let delivered = 0;
      using _receiving = receiveRecords((it) => {
        delivered++;
        // Copies keep the mark, and what a receiver logs itself is taken for the same.
        there({ ...it });
        back(structuredClone({ ...it }));
        back(record("a consequence"));
      });
      there(record("first"));
      await condition(() => delivered > 0, "it arrives");
      // Each of these calls is answered after the records that were sent before it.
      for (let i = 0; i < 20; i++) await Promise.all([left.call(() => {}), right.call(() => {})]);
      assert(delivered <= 4, `delivered ${delivered} times`);
    }, { acceptCalls: true })
  ),
);

Deno.test(
  "a receiver that throws harms neither others nor the connection",
  noLeaks(() =>
    inPair(async ({ left }) => {
      using _bad = receiveRecords(() => {
        throw new Error("no");
      });
      const records = await collected(async (records) => {
        await using sink = connectionSink(left);
        sink(record("x"));
        await condition(() => records.length === 1, "it arrives");
      });
      assertEquals(texts(records), ["x"]);
      assertEquals(await left.call(() => 1), 1);
      assertThrows(() => receiveRecords(undefined as never), TypeError, "pass a function");
    })
  ),
);

Deno.test(
  "what a hostile peer sends as records is skipped",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const via = ["x"];
      const odd = [
        1,
        null,
        {},
        { via },
        { ...record("long way"), via: Array(100).fill("x") },
        { ...record("no list"), via: "x" },
        { ...record("odd ids"), via: [{}] },
        { ...record("loud"), level: "loud", via },
        { ...record("no category"), category: "app", via },
      ];
      const records = await collected(async (records) => {
        await sendRecords(left, odd, false);
        await sendRecords(left, ["not a record", { ...record("good"), message: [5, {}], properties: 3, via }], true);
        await condition(() => records.length === 1, "the good one arrives");
      });
      assertEquals(records[0]!.message, ["5", {}, ""]);
      assertEquals(records[0]!.properties, {});
      assertEquals(await left.call(() => 1), 1);
    })
  ),
);

Deno.test(
  "a restricted peer may send records, too",
  noLeaks(() =>
    inPair(async ({ right }) => {
      const records = await collected(async (records) => {
        await using sink = connectionSink(right);
        sink(record("from one that may not call"));
        await condition(() => records.length === 1, "it arrives");
      });
      assertEquals(records.length, 1);
    }, { acceptCalls: false })
  ),
);

Deno.test(
  "consoleSink() forwards the console, and toConsole() prints what arrives",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const printed: string[] = [];
      const original = console.warn;
      console.warn = (...args: unknown[]) => void printed.push(args.join(" "));
      try {
        const records = await collected(async (records) => {
          await using _forwarding = consoleSink(left);
          console.log("plain", { a: 1 }, "end");
          console.error(new TypeError("bad"));
          await condition(() => records.length === 2, "they arrive");
        });
        assertEquals(records.map(({ level }) => level), ["info", "error"]);
        assertEquals(records[0]!.message, ["plain ", { a: 1 }, " end"]);
        assertInstanceOf(records[1]!.message[1], TypeError);
        assertEquals(records[0]!.category, ["console"]);
        toConsole()(record("look", { level: "warning" }));
        assertEquals(printed, ["2001-09-09T01:46:40.000Z WARNING app.db: look"]);
      } finally {
        console.warn = original;
      }
    })
  ),
);
