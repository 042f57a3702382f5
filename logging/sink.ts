/**
 * Sending: a sink that hands what is logged here to the other side of a connection. It never throws and never waits; what does not fit is counted, and
 * the count is sent when there is room.
 *
 * @module
 */

import type { Connection } from "../mod.ts";
import { getConnection } from "../mod.ts";
import { sendRecords } from "../session/records.ts";
import type { PortableRecord } from "./portable.ts";
import { portable } from "./portable.ts";
import type { LogLevel, LogRecord } from "./record.ts";
import { endOf, levelNumber, wayOut } from "./record.ts";

/** Records that wait while earlier ones leave. */
const WAITING = 1_000;
/** Records of one message. */
const BATCH = 100;

/** What a sink is told. */
export interface SinkInit {
  /** The lowest level that is sent; `"trace"`, which is everything, by default. */
  readonly level?: LogLevel;
}

/** Sends records over a connection. A function, as LogTape wants it. */
export interface ConnectionSink extends AsyncDisposable {
  /** Sends a record. */
  (record: LogRecord): void;
  /** Records that were dropped since the sink was made, as there was no room for them. */
  readonly dropped: number;
}

/** What waits for one connection. All sinks of it share one, so that records keep their order. */
class Queue {
  readonly #connection: Connection;
  /** The id of our end of it. */
  readonly end: string;
  #waiting: PortableRecord[] = [];
  #scheduled = false;
  #sending: Promise<void> | undefined;
  #unreported = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.end = endOf(connection);
  }

  /** Takes a record. Returns false if there is no room for it. */
  push(record: PortableRecord): boolean {
    if (this.#waiting.length >= WAITING) {
      this.#unreported++;
      return false;
    }
    this.#waiting.push(record);
    if (record.level === "error" || record.level === "fatal") this.#send(true);
    else if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        this.#send(false);
      });
    }
    return true;
  }

  /** Sends what there is; errors do not wait for what is leaving. */
  #send(urgent: boolean): void {
    if (this.#sending && !urgent || this.#waiting.length === 0) return;
    const batch = this.#waiting.splice(0, urgent ? this.#waiting.length : BATCH);
    if (this.#unreported > 0) {
      batch.push(dropNote(this.#unreported, this.end));
      this.#unreported = 0;
    }
    let sent: Promise<void> | undefined;
    try {
      sent = sendRecords(this.#connection, batch, urgent);
    } catch {
      // A message is being encoded, and one of its getters logs; or one of the records cannot travel after all.
      if (urgent) this.#retry(batch);
      else this.#unreported += batch.length;
      return;
    }
    if (!sent) { // the connection is over: nobody is interested any more
      this.#waiting.length = 0;
      return;
    }
    const sending = this.#sending = sent.then(() => {
      if (this.#sending !== sending) return;
      this.#sending = undefined;
      this.#send(false);
    });
  }

  #retry(batch: PortableRecord[]): void {
    this.#waiting.unshift(...batch);
    queueMicrotask(() => this.#send(false));
  }

  /** Resolves when all that was taken has left, or the connection is over. */
  async empty(): Promise<void> {
    while (this.#scheduled || this.#sending || this.#waiting.length > 0) await this.#sending;
  }
}

/** What is said of records that were dropped. */
function dropNote(count: number, end: string): PortableRecord {
  const message = `${count} log record${count === 1 ? " was" : "s were"} dropped as the connection did not keep up`;
  return portable({
    category: ["across", "logging"],
    level: "warning",
    message: [message],
    rawMessage: message,
    timestamp: Date.now(),
    properties: { dropped: count },
  }, [end]);
}

const queues = new WeakMap<object, Queue>();

function queueOf(connection: Connection): Queue {
  const known = queues.get(connection);
  if (known) return known;
  const queue = new Queue(connection);
  queues.set(connection, queue);
  return queue;
}

/** The connection of the call that is running, if one is. */
export function currentConnection(): Connection | undefined {
  try {
    return getConnection();
  } catch {
    return undefined;
  }
}

/**
 * Makes a sink that sends records to the other side of a connection, where {@linkcode receiveRecords} takes them. It fits LogTape's `Sink`, never
 * throws and never waits: values that cannot travel become text, and records for which there is no room are counted. Disposing of it waits until all
 * has left.
 *
 * @param connection Where to. Without it, the connection of the call in which the sink is made or, where that is none, of the call in which a record is.
 * @param init The lowest level.
 * @throws {TypeError} If the level is none.
 *
 * @example A logger of a remote function that is the caller's
 * ```ts
 * import { biosCommand, Connection } from "@x/across";
 * import { type LogRecord, receiveRecords } from "@x/across/logging";
 * import { assertEquals } from "@std/assert";
 *
 * const records: LogRecord[] = [];
 * using _receiving = receiveRecords((record) => records.push(record));
 * await using conn = Connection.fromCommand(biosCommand());
 * await conn.call(async () => {
 *   const { connectionSink } = await import("@x/across/logging");
 *   await using sink = connectionSink();
 *   sink({ category: ["app"], level: "info", message: ["Hi"], rawMessage: "Hi", timestamp: Date.now(), properties: {} });
 * });
 * assertEquals(records.map(({ message }) => message), [["Hi"]]);
 * ```
 */
export function connectionSink(connection?: Connection, init: SinkInit = {}): ConnectionSink {
  const lowest = levelNumber(init.level ?? "trace");
  const fixed = connection ?? currentConnection();
  const used = new Set<Queue>();
  let open = true, dropped = 0;
  const sink = (record: LogRecord): void => {
    try {
      if (!open || !(levelNumber(record.level) >= lowest)) return;
      const target = fixed ?? currentConnection();
      if (!target) return;
      const queue = queueOf(target);
      if (fixed) used.add(queue);
      const way = wayOut(record, queue.end);
      if (way && !queue.push(portable(record, way))) dropped++;
    } catch {
      dropped++; // a record that makes no sense: whoever logs must not suffer from it
    }
  };
  return Object.defineProperties(sink, {
    dropped: { get: () => dropped },
    [Symbol.asyncDispose]: {
      value: async () => {
        open = false;
        for (const queue of used) await queue.empty();
      },
    },
  }) as ConnectionSink;
}
