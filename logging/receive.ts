/**
 * Receiving: where records go that arrive from the other sides of connections, of all of this process.
 *
 * @module
 */

import { takeRecords } from "../session/records.ts";
import type { LogLevel, LogRecord, RecordSink } from "./record.ts";
import { duringDelivery, endOf, LEVELS, messageText, VIA, VIA_FIELD, wayIn } from "./record.ts";

const sinks = new Set<{ readonly sink: RecordSink }>();
/** What is done with records as long as nobody takes them; known once somebody did. */
let undo: (() => void) | undefined;

/**
 * Has records that arrive over any connection handed to `sink`, each with the level, category, properties, time and errors that it was logged with. As
 * long as nobody takes them, warnings and errors are printed on stderr, a line each.
 *
 * @param sink Gets each record, such as {@linkcode toLogTape}, {@linkcode toPino}, {@linkcode toWinston} and {@linkcode toConsole} make. What it throws is ignored.
 * @returns What ends it.
 *
 * @example
 * ```ts
 * import { receiveRecords, toConsole } from "@x/across/logging";
 *
 * using _receiving = receiveRecords(toConsole());
 * ```
 */
export function receiveRecords(sink: RecordSink): Disposable {
  if (typeof sink !== "function") throw new TypeError(`Cannot hand records to a ${typeof sink}: pass a function`);
  const entry = { sink };
  sinks.add(entry);
  undo ??= takeRecords(deliver);
  return {
    [Symbol.dispose]() {
      sinks.delete(entry);
      if (sinks.size > 0) return;
      undo?.();
      undo = undefined;
    },
  };
}

function deliver(records: readonly unknown[], _peer: string, connection: object): void {
  const end = endOf(connection);
  for (const given of records) {
    const way = wayIn(Object(given).via, end);
    const record = way && recordFrom(given as Partial<LogRecord>, way);
    if (!record) continue;
    duringDelivery(way, () => {
      for (const { sink } of [...sinks]) {
        try {
          sink(record);
        } catch { /* a logger that fails must not break what is logged, least of all its connection */ }
      }
    });
  }
}

/** Makes a record of what the peer sent; nothing if that is none. */
function recordFrom(given: Partial<LogRecord>, way: readonly string[]): LogRecord | undefined {
  const { category, level, message, rawMessage, timestamp, properties } = given;
  if (!Array.isArray(category) || !Array.isArray(message) || !LEVELS.includes(level as LogLevel)) return undefined;
  const parts = message.length % 2 === 1 ? message : [...message, ""];
  const raw = Array.isArray(rawMessage) ? Object.assign(rawMessage, { raw: [...rawMessage] }) : rawMessage;
  return {
    category: category.map(String),
    level: level!,
    message: parts.map((part, i) => i % 2 === 0 ? String(part) : part),
    rawMessage: typeof raw === "string" || Array.isArray(raw) ? raw as LogRecord["rawMessage"] : "",
    timestamp: typeof timestamp === "number" ? timestamp : Date.now(),
    properties: typeof properties === "object" && properties !== null ? properties : {},
    [VIA]: way,
  } as LogRecord;
}

/** What is used of LogTape's loggers. */
export interface LogTapeLogger {
  /** Emits a record as it is. */
  emit(record: LogRecord): void;
}

/**
 * Hands records to LogTape: each to the logger of its category.
 *
 * @param getLogger LogTape's function of that name.
 */
export function toLogTape(getLogger: (category: readonly string[]) => LogTapeLogger): RecordSink {
  return (record) => getLogger(record.category).emit(record);
}

/** What is used of pino's loggers. */
export interface PinoLogger {
  /** Logs an object and a text. */
  trace(fields: object, text?: string): void;
  /** As `trace`. */
  debug(fields: object, text?: string): void;
  /** As `trace`. */
  info(fields: object, text?: string): void;
  /** As `trace`. */
  warn(fields: object, text?: string): void;
  /** As `trace`. */
  error(fields: object, text?: string): void;
  /** As `trace`. */
  fatal(fields: object, text?: string): void;
}

/** What records carry into libraries that know nothing but fields. */
function fieldsOf(record: LogRecord): Record<string, unknown> {
  return {
    ...record.properties,
    category: record.category.join("."),
    [VIA_FIELD]: (record as unknown as Record<symbol, unknown>)[VIA],
  };
}

/** What pino writes into each line itself: it does not keep others from writing it once more, and of two the last counts. */
const PINO = ["level", "time", "pid", "hostname", "msg"];

/**
 * Hands records to a pino logger: the category as a field, an error in `properties.error` as `err`, too. Properties of the names that pino's own fields
 * have get a `_` behind them: a peer decides neither the level nor the host of a line.
 *
 * @param logger The logger.
 */
export function toPino(logger: PinoLogger): RecordSink {
  return (record) => {
    const fields = fieldsOf(record);
    if (fields.error instanceof Error && !("err" in fields)) fields.err = fields.error;
    for (const name of PINO.filter((it) => Object.hasOwn(fields, it))) {
      fields[`${name}_`] = fields[name];
      delete fields[name];
    }
    logger[record.level === "warning" ? "warn" : record.level](
      { ...fields, loggedAt: record.timestamp },
      messageText(record),
    );
  };
}

/** What is used of winston's loggers. */
export interface WinstonLogger {
  /** The levels that it knows. */
  readonly levels: object;
  /** Logs one entry. */
  log(entry: { level: string; message: string } & Record<string, unknown>): unknown;
}

/** Names of levels in winston's sets, the first that a logger knows counts. */
const WINSTON: { readonly [L in LogLevel]: readonly string[] } = {
  trace: ["trace", "silly", "debug"],
  debug: ["debug"],
  info: ["info"],
  warning: ["warning", "warn"],
  error: ["error"],
  fatal: ["fatal", "crit", "error"],
};

/**
 * Hands records to a winston logger: the category and time as fields, the levels as its set of levels calls them.
 *
 * @param logger The logger.
 */
export function toWinston(logger: WinstonLogger): RecordSink {
  return (record) => {
    const level = WINSTON[record.level].find((name) => Object.hasOwn(logger.levels, name)) ?? "info";
    logger.log({
      ...fieldsOf(record),
      timestamp: new Date(record.timestamp).toISOString(),
      level,
      message: messageText(record),
    });
  };
}

/** Prints records on the console, with time, level and category. */
export function toConsole(): RecordSink {
  return (record) => {
    const { category, level, timestamp, properties } = record;
    const method = level === "warning" ? "warn" : level === "fatal" ? "error" : level === "trace" ? "debug" : level;
    const heading = `${new Date(timestamp).toISOString()} ${level.toUpperCase()} ${category.join(".")}:`;
    const more = Object.keys(properties).length > 0 ? [properties] : [];
    console[method](heading, messageText(record), ...more);
  };
}
