/**
 * Sending what other logging libraries log: a destination for pino, a transport for winston.
 *
 * @module
 */

import type { Connection } from "../mod.ts";
import { builtinNow } from "../runtime/host.ts";
import type { LogLevel, LogRecord } from "./record.ts";
import { VIA, VIA_FIELD } from "./record.ts";
import type { SinkInit } from "./sink.ts";
import { connectionSink } from "./sink.ts";

/** Makes a record of what a library logged as fields. */
function recordOf(
  level: LogLevel,
  text: unknown,
  time: unknown,
  fields: Record<string, unknown>,
  library: string,
): LogRecord {
  const { category, [VIA_FIELD]: way, ...properties } = fields;
  const message = typeof text === "string" ? text : "";
  const timestamp = new Date(typeof time === "string" || typeof time === "number" ? time : NaN).getTime();
  return {
    category: typeof category === "string" ? category.split(".") : [library],
    level,
    message: [message],
    rawMessage: message,
    timestamp: timestamp >= 0 ? timestamp : Date.now(),
    properties,
    ...(Array.isArray(way) ? { [VIA]: way } : {}),
  };
}

/** What pino writes its lines to. */
export interface PinoDestination extends AsyncDisposable {
  /** Takes one line of JSON. */
  write(line: string): void;
}

/** The level of a number of pino's. */
function pinoLevel(level: unknown): LogLevel {
  const number = typeof level === "number" ? level : 30;
  return number < 20
    ? "trace"
    : number < 30
    ? "debug"
    : number < 40
    ? "info"
    : number < 50
    ? "warning"
    : number < 60
    ? "error"
    : "fatal";
}

/** An error as pino's serializer writes it, as an error. */
function revive(value: unknown): unknown {
  const { type, message, stack, ...rest } = Object(value) as Record<string, unknown>;
  if (typeof type !== "string" || typeof message !== "string" || typeof stack !== "string") return value;
  const error = Object.assign(new Error(message), rest);
  for (const [key, text] of [["name", type], ["stack", stack]] as const) {
    Object.defineProperty(error, key, { value: text, configurable: true, writable: true });
  }
  return error;
}

/**
 * A destination for pino, which sends what is logged over a connection: `pino({ level: "debug" }, pinoDestination(conn))`. The logger's `name` is the
 * category, fields are properties, `err` is an error again.
 *
 * @param connection As of {@linkcode connectionSink}.
 * @param init The lowest level.
 */
export function pinoDestination(connection?: Connection, init: SinkInit = {}): PinoDestination {
  const sink = connectionSink(connection, init);
  return {
    write(line) {
      let entry: unknown;
      try {
        entry = JSON.parse(line);
      } catch {
        return; // not one of pino's
      }
      const { level, time, msg, name, err, pid: _pid, hostname: _hostname, ...fields } = Object(entry);
      if (err !== undefined) fields.err = revive(err);
      if (typeof name === "string") fields.category ??= name;
      sink(recordOf(pinoLevel(level), msg, time, fields, "pino"));
    },
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

/** A stream of Node's, as winston takes it. */
export interface WinstonTransport extends AsyncDisposable {
  /** Takes one entry. */
  log(entry: object, done: () => void): void;
  /** Tells listeners. */
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** Levels of winston's sets. */
const WINSTON: { readonly [name: string]: LogLevel } = {
  emerg: "fatal",
  alert: "fatal",
  crit: "fatal",
  fatal: "fatal",
  error: "error",
  warning: "warning",
  warn: "warning",
  notice: "info",
  info: "info",
  http: "debug",
  verbose: "debug",
  debug: "debug",
  silly: "trace",
  trace: "trace",
};

/** Where winston keeps the level of an entry whatever formats did to it. */
const LEVEL = Symbol.for("level");

/**
 * A transport for winston, which sends what is logged over a connection: `createLogger({ transports: [winstonTransport(conn)] })`.
 *
 * @param connection As of {@linkcode connectionSink}.
 * @param init The lowest level.
 * @throws {Error} If the runtime has no streams of Node's, which winston needs, too.
 */
export function winstonTransport(connection?: Connection, init: SinkInit = {}): WinstonTransport {
  const sink = connectionSink(connection, init);
  const log = (entry: object, done: () => void): void => {
    const { level, message, timestamp, ...fields } = entry as Record<string, unknown>;
    const name = (entry as Record<symbol, unknown>)[LEVEL] ?? level;
    sink(recordOf(WINSTON[String(name)] ?? "info", message, timestamp, fields, "winston"));
    done();
  };
  type Streams = { Writable: new (init: object) => object };
  const streams = builtinNow<Streams>("node:stream");
  if (!streams) throw new Error("Cannot make a transport for winston as there are no streams of Node's here");
  const stream = new streams.Writable({
    objectMode: true,
    write: (entry: object, _encoding: string, done: () => void) => log(entry, done),
  });
  return Object.assign(stream, {
    log,
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  }) as unknown as WinstonTransport;
}
