/**
 * What a log record is here, as text and on its way: LogTape's shape, and the mark that tells over which connections it came.
 *
 * @module
 */

/** How important a record is, in rising order. */
export type LogLevel = "trace" | "debug" | "info" | "warning" | "error" | "fatal";

/** All levels, in rising order. */
export const LEVELS: readonly LogLevel[] = ["trace", "debug", "info", "warning", "error", "fatal"];

/** A log record, in the shape that LogTape gives them. */
export interface LogRecord {
  /** The logger that it belongs to: its names from the outermost to the innermost. */
  readonly category: readonly string[];
  /** How important it is. */
  readonly level: LogLevel;
  /** Texts at even places, values between them. */
  readonly message: readonly unknown[];
  /** The message before values were put into it. */
  readonly rawMessage: string | TemplateStringsArray;
  /** When it was made, in milliseconds since 1970. */
  readonly timestamp: number;
  /** What else was said. */
  readonly properties: Record<string, unknown>;
}

/** Takes records, as LogTape's `Sink` does. */
export type RecordSink = (record: LogRecord) => void;

/** Under this symbol a record carries the ids of the ends of connections that it was sent from. Copies of it keep it. */
export const VIA: symbol = Symbol.for("across.via");
/** What the same is called where records are plain fields, as in pino's lines. */
export const VIA_FIELD = "acrossVia";
/** Connections that a record may cross. */
const LONGEST_WAY = 16;

/** Way of the record that is being delivered: what is logged meanwhile is taken for a consequence of it. */
let delivering: readonly string[] = [];

/**
 * The way of a record that is about to leave.
 *
 * @param record The record.
 * @param end The id of our end of the connection.
 * @returns Nothing if it must not leave, as it was sent from there before.
 */
export function wayOut(record: object, end: string): readonly string[] | undefined {
  const way: unknown = (record as Record<symbol, unknown>)[VIA] ?? delivering;
  return !Array.isArray(way) ? [end] : way.includes(end) ? undefined : [...way, end];
}

/**
 * The way of a record that arrived.
 *
 * @param way What the peer sent as that.
 * @param end The id of our end of the connection.
 * @returns Nothing if it must not go on, as we sent it.
 */
export function wayIn(way: unknown, end: string): readonly string[] | undefined {
  if (!Array.isArray(way) || way.length > LONGEST_WAY || way.includes(end)) return undefined;
  return way.every((id) => typeof id === "string" && id.length <= 64) ? way : undefined;
}

const ends = new WeakMap<object, string>();

/** The id of our end of a connection. */
export function endOf(connection: object): string {
  let id = ends.get(connection);
  if (id === undefined) ends.set(connection, id = crypto.randomUUID());
  return id;
}

/** Runs `body`, with what it logs marked as having come this way. */
export function duringDelivery(way: readonly string[], body: () => void): void {
  const outer = delivering;
  delivering = way;
  try {
    body();
  } finally {
    delivering = outer;
  }
}

/** A value as a part of a text. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.stack ?? `${value.name}: ${value.message}`;
  try {
    return typeof value === "object" && value !== null ? JSON.stringify(value) ?? String(value) : String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** The message of a record as one text. */
export function messageText({ message }: Pick<LogRecord, "message">): string {
  return message.map(textOf).join("");
}

/**
 * The place of a level in {@linkcode LEVELS}.
 *
 * @throws {TypeError} If it is none.
 */
export function levelNumber(level: unknown): number {
  const number = LEVELS.indexOf(level as LogLevel);
  if (number < 0) throw new TypeError(`Cannot use ${String(level)} as a level: it takes ${LEVELS.join(", ")}`);
  return number;
}
