/**
 * Log records with the real LogTape, pino and winston, and from real remote ends.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
// deno-lint-ignore-file no-import-prefix -- nothing but this test needs them
import { configure, getLogger, reset } from "npm:@logtape/logtape@2.4.2";
import type { LogRecord as LogTapeRecord, Sink } from "npm:@logtape/logtape@2.4.2";
import { pino } from "npm:pino@10.4.0";
import winston from "npm:winston@3.19.0";
import type { LogRecord } from "../logging.ts";
import {
  connectionSink,
  pinoDestination,
  receiveRecords,
  toLogTape,
  toPino,
  toWinston,
  winstonTransport,
} from "../logging.ts";
import { work } from "./fixtures/remote/logs.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { inPair } from "./support/pair.ts";
import { onRemote, printed, ways } from "./support/remote.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const LOGS = import.meta.resolve("./fixtures/remote/logs.ts");

async function one(records: readonly LogRecord[]): Promise<LogRecord> {
  await condition(() => records.length > 0, "a record arrives");
  return records[0]!;
}

Deno.test(
  "LogTape: a record arrives in the logger of the same category, and does not come back",
  noLeaks(() =>
    inPair(async ({ left }) => {
      await using sink = connectionSink(left);
      const arrived: LogTapeRecord[] = [];
      // What is logged under "app" crosses; what arrives does so in the same logger, as both ends are in this process.
      const asSink: Sink = sink;
      await configure({
        sinks: { across: asSink, list: (it) => void arrived.push(it) },
        loggers: [
          { category: ["app"], sinks: ["across", "list"], lowestLevel: "trace" },
          { category: ["logtape", "meta"], lowestLevel: "fatal" },
        ],
      });
      try {
        using _receiving = receiveRecords(toLogTape(getLogger));
        const error = new RangeError("Too far");
        getLogger(["app", "db"]).error("Query {query} failed", { query: "q", error });
        await condition(() => arrived.length >= 2, "it arrives");
        for (let i = 0; i < 10; i++) await left.call(() => {});
        assertEquals(arrived.length, 2);
        const [sent, got] = arrived;
        assertEquals(got!.category, ["app", "db"]);
        assertEquals(got!.level, "error");
        assertEquals(got!.message, sent!.message);
        assertEquals(got!.rawMessage, sent!.rawMessage);
        assertEquals(got!.timestamp, sent!.timestamp);
        assertEquals(got!.properties.query, "q");
        assertInstanceOf(got!.properties.error, RangeError);
        assertEquals((got!.properties.error as Error).stack, error.stack);
      } finally {
        await reset();
      }
    })
  ),
);

Deno.test(
  "pino: properties of a record take the place of nothing that pino writes",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const lines: string[] = [];
      using _receiving = receiveRecords(toPino(pino({}, { write: (line: string) => void lines.push(line) })));
      await using sink = connectionSink(left);
      const properties = { level: "none", time: 0, pid: 1, hostname: "elsewhere", msg: "?", item: 5 };
      sink({ category: ["shop"], level: "error", message: ["Out"], rawMessage: "Out", timestamp: 1e12, properties });
      await condition(() => lines.length > 0, "a line is written");
      assertEquals(lines[0]!.match(/"(level|time|pid|hostname|msg)":/g)!.length, 5);
      const line = JSON.parse(lines[0]!);
      assertEquals([line.level, line.pid, line.msg, line.item], [50, Deno.pid, "Out", 5]);
      assertEquals([line.level_, line.time_, line.pid_, line.hostname_, line.msg_], ["none", 0, 1, "elsewhere", "?"]);
    })
  ),
);

Deno.test(
  "pino: from a destination to a logger",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const records: LogRecord[] = [], lines: string[] = [];
      using _collecting = receiveRecords((it) => records.push(it));
      using _receiving = receiveRecords(
        toPino(pino({ level: "trace" }, { write: (line: string) => void lines.push(line) })),
      );
      await using destination = pinoDestination(left);
      const logger = pino({ name: "shop", level: "trace" }, destination);
      logger.warn({ item: 5, err: new TypeError("Out of cheese") }, "Low on %s", "Feta");
      const { category, level, message, properties, timestamp } = await one(records);
      assertEquals([category, level, message], [["shop"], "warning", ["Low on Feta"]]);
      assertEquals(properties.item, 5);
      assertInstanceOf(properties.err, Error);
      assertEquals((properties.err as Error).name, "TypeError");
      assertStringIncludes((properties.err as Error).stack!, "logging_libraries_test.ts");
      const line = JSON.parse(lines[0]!);
      assertEquals([line.level, line.msg, line.category, line.item, line.loggedAt], [
        40,
        "Low on Feta",
        "shop",
        5,
        timestamp,
      ]);
      assertEquals(line.err.message, "Out of cheese");
    })
  ),
);

Deno.test(
  "winston: from a transport to a logger",
  noLeaks(() =>
    inPair(async ({ left }) => {
      const records: LogRecord[] = [];
      const entries: Record<string, unknown>[] = [];
      const { Writable } = await import("node:stream");
      const target = new winston.transports.Stream({
        stream: new Writable({
          write(chunk, _, done) {
            entries.push(JSON.parse(String(chunk)));
            done();
          },
        }),
      });
      const receiver = winston.createLogger({ level: "silly", format: winston.format.json(), transports: [target] });
      using _collecting = receiveRecords((it) => records.push(it));
      using _receiving = receiveRecords(toWinston(receiver));
      await using transport = winstonTransport(left);
      const logger = winston.createLogger({ level: "silly", transports: [transport as unknown as winston.transport] });
      logger.warn("Low on Feta", { item: 5 });
      logger.silly("hm");
      const { category, level, message, properties } = await one(records);
      assertEquals([category, level, message], [["winston"], "warning", ["Low on Feta"]]);
      assertEquals(properties.item, 5);
      await condition(() => records.length === 2 && entries.length === 2, "both arrive");
      assertEquals(records[1]!.level, "trace");
      assertEquals([entries[0]!.level, entries[0]!.message, entries[0]!.category], ["warn", "Low on Feta", "winston"]);
      logger.close();
      receiver.close();
    })
  ),
);

await testEachRuntime(
  "a remote function logs into the program that called it",
  async (runtime) => {
    for (const { args } of ways(runtime)) {
      const records: LogRecord[] = [];
      using _receiving = receiveRecords((it) => records.push(it));
      await onRemote(args, async (conn) => {
        await conn.export(LOGS);
        assertEquals(await conn.call(work, "Feta"), 3);
        await condition(() => records.length === 3, "they arrive");
      });
      assertEquals(records.map(({ level, message }) => [level, message.join("")]), [
        ["info", "Looking for Feta"],
        ["info", "by console"],
        ["error", "Out of Feta"],
      ]);
      assertEquals((records[2]!.properties.error as Error).message, "No Feta");
    }
  },
);

Deno.test(
  "warnings and errors are printed where nobody takes records",
  noLeaks(async () => {
    const output = printed();
    const code = `
    import { Connection } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
    import { connectionSink } from ${JSON.stringify(import.meta.resolve("../logging.ts"))};
    const there = new TransformStream(), back = new TransformStream();
    const left = Connection.fromPipes(back.readable, there.writable);
    const right = Connection.fromPipes(there.readable, back.writable);
    const sink = connectionSink(left);
    for (const level of ["info", "warning", "error"]) {
      sink({ category: ["a", "b"], level, message: ["see \\u001b[31m", level, "\\nnext"], rawMessage: "", timestamp: 1, properties: {} });
    }
    await sink[Symbol.asyncDispose]();
    await right.call(() => {});
    await left.close();
    await right.close();`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=ts", code],
      stderr: "piped",
      stdin: "null",
    }).spawn();
    await child.stderr.pipeTo(output.stderr);
    assertEquals((await child.status).code, 0);
    const lines = output.text().split("\n").filter((line) => line.startsWith("host "));
    assertEquals(lines.length, 2);
    assert(/^host "[^"]*", process \d+: warning a\.b: see {2}\[31mwarning next$/.test(lines[0]!), lines[0]);
  }),
);
