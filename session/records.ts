/**
 * Log records on their way over a connection: sending them, and handing on those that arrive. Either side may send them, whatever it may call. What a
 * record looks like, and where it comes from and goes to, is in `logging/`; until that is loaded, warnings and errors of the peer go to stderr.
 *
 * @module
 */

import type { Decoder } from "../protocol/decoder.ts";
import { OperationError } from "../protocol/errors.ts";
import { MESSAGE } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import { writeStderr } from "../runtime/host.ts";
import type { Link } from "./link.ts";
import type { References } from "./references.ts";

/** Characters of a record that are printed. */
const PRINTED = 2_000;
/** Levels that are printed where nobody takes records. */
const URGENT = /^(?:warning|error|fatal)$/;

/** Gets the records of one message, as the peer sent them, who the peer is, and the public connection. */
export type TakeRecords = (records: readonly unknown[], peer: string, connection: object) => void;

/** What sending and taking records needs of the rest of a session. */
export interface RecordsContext {
  readonly link: Link;
  readonly decoder: Decoder;
  readonly references: References;
  /** The public connection. */
  readonly connection: object;
  /** Who and where the peer is. */
  readonly peer: string;
  /** Why nothing can be sent any more. */
  readonly over: Error | undefined;
}

/** Those of the sessions whose connection was asked for. */
const sessions = new WeakMap<object, Records>();
let take: TakeRecords = print;

/** Has arriving records, of all connections, handed to `receiver` instead of printed. Returns what undoes that. */
export function takeRecords(receiver: TakeRecords): () => void {
  take = receiver;
  return () => void (take = print);
}

/**
 * Sends records.
 *
 * @param urgent Whether they are to leave at once, not at the end of the turn.
 * @returns When they have left, or the connection is over; nothing where it is over already.
 * @throws {OperationError} If one cannot travel, or another message is being encoded.
 */
export function sendRecords(
  connection: object,
  records: readonly unknown[],
  urgent: boolean,
): Promise<void> | undefined {
  return sessions.get(connection)?.send(records, urgent);
}

/** The records of one session, in both directions. */
export class Records {
  readonly #context: RecordsContext;
  /** What is called when records have left, or never will. */
  readonly #leaving = new Set<() => void>();

  constructor(context: RecordsContext) {
    this.#context = context;
  }

  /** Lets records be sent over a connection. */
  carry(connection: object): void {
    sessions.set(connection, this);
  }

  /** See {@linkcode sendRecords}. */
  send(records: readonly unknown[], urgent: boolean): Promise<void> | undefined {
    const { link, references, over } = this.#context;
    if (over) return undefined;
    const start = link.begin(MESSAGE.LOG);
    link.extend();
    references.begin();
    try {
      link.value(records, "records");
      link.commit(start);
    } catch (error) {
      link.rollback(start);
      references.undo();
      throw error;
    }
    if (urgent) link.flush();
    return new Promise((resolve) => {
      this.#leaving.add(resolve);
      link.drained().then(() => {
        this.#leaving.delete(resolve);
        resolve();
      });
    });
  }

  /** Nothing will leave any more. */
  over(): void {
    for (const resolve of this.#leaving) resolve();
    this.#leaving.clear();
  }

  /** Reads a LOG message. */
  arrived(reader: Reader): void {
    const { decoder, references, peer, connection } = this.#context;
    let records: unknown;
    try {
      records = decoder.value(reader);
    } catch (error) {
      // Records that make no sense here are not worth more than themselves.
      if (!(error instanceof OperationError)) throw error;
    } finally {
      references.takeArriving();
    }
    if (Array.isArray(records)) take(records, peer, connection);
  }
}

/** A line for each warning and error. What comes from elsewhere must not steer the terminal. */
function print(records: readonly unknown[], peer: string): void {
  for (const record of records) {
    const { level, category, message } = Object(record) as Record<string, unknown>;
    if (typeof level !== "string" || !URGENT.test(level)) continue;
    let text = `${peer}: ${level}`;
    try {
      text += ` ${(category as string[]).join(".")}: ${(message as unknown[]).map(String).join("")}`;
    } catch { /* a value that has no text: what there is must do */ }
    // deno-lint-ignore no-control-regex -- they are what is meant
    writeStderr(`${text.slice(0, PRINTED).replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, " ")}\n`);
  }
}
