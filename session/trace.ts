/**
 * Traces of messages for people: with `ACROSS_TRACE=file.json` in the environment, kinds, sizes, times and numbers of all messages of this process are
 * added to that file, never what is in them. Perfetto and Chrome's `about:tracing` open it.
 *
 * @module
 */

import { MESSAGE } from "../protocol/messages.ts";
import { appendText, beginText } from "../runtime/files.ts";
import { atExit, env, idleTimeout, pid, writeStderr } from "../runtime/host.ts";
import { observeMessages } from "./debug.ts";

/** Events that are kept before they are written. */
const BUFFERED = 1_000;
/** After so many milliseconds they are written anyway. */
const WRITTEN_AFTER = 500;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(MESSAGE).map(([name, kind]) => [kind, name.toLowerCase()]),
);

/** Starts writing a trace, if the environment says so. */
export function startTrace(): void {
  const path = env("ACROSS_TRACE");
  if (path) observeMessages(new Trace(path).take);
}

/** The number that a message begins with, if it is that long. */
function numberOf(bytes: Uint8Array, at: number, end: number): number {
  let number = 0;
  for (let factor = 1; at < end && factor < 2 ** 49; at++, factor *= 128) {
    number += (bytes[at]! & 127) * factor;
    if (bytes[at]! < 128) break;
  }
  return number;
}

/** Writes events in the format that they call the Trace Event Format: a JSON array, whose end may be missing. */
class Trace {
  readonly #path: string;
  readonly #process = pid() ?? 0;
  readonly #sessions = new WeakMap<object, number>();
  #lastSession = 0;
  #events: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #broken = false;

  constructor(path: string) {
    this.#path = path;
    // Processes that share a file, one after the other or at once, share the array.
    this.#write("[\n", beginText);
    this.#add({ ph: "M", name: "process_name", args: { name: `across ${this.#process}` } }, 0);
    atExit(() => this.#flush());
  }

  /** Takes one message. */
  readonly take = (session: object, sent: boolean, message: Uint8Array, start: number, end: number): void => {
    const kind = message[start]!, bytes = end - start, id = numberOf(message, start + 1, end);
    let number = this.#sessions.get(session);
    if (number === undefined) {
      this.#sessions.set(session, number = ++this.#lastSession);
      this.#add({ ph: "M", name: "thread_name", args: { name: `connection ${number}` } }, number);
    }
    const name = NAMES.get(kind) ?? `kind ${kind}`;
    const isCall = kind === MESSAGE.CALL, isAnswer = kind === MESSAGE.RESULT || kind === MESSAGE.FAILURE;
    const about = isCall || isAnswer || kind === MESSAGE.CANCEL ? { call: id } : {};
    this.#add({ ph: "i", s: "t", name: `${sent ? "send" : "receive"} ${name}`, args: { bytes, ...about } }, number);
    if (!isCall && !isAnswer) return;
    // A call of ours lasts from sending it to the answer's arrival, one of the peer's the other way round.
    const ours = sent === isCall;
    this.#add({
      ph: isCall ? "b" : "e",
      cat: "call",
      id: `${this.#process}.${number}.${ours ? "out" : "in"}.${id}`,
      name: ours ? "call" : "serve",
      args: isCall ? { call: id } : { failed: kind === MESSAGE.FAILURE },
    }, number);
  };

  #add(event: Record<string, unknown>, thread: number): void {
    if (this.#broken) return;
    const ts = Math.round((performance.timeOrigin + performance.now()) * 1000);
    this.#events.push(JSON.stringify({ ...event, ts, pid: this.#process, tid: thread }));
    if (this.#events.length >= BUFFERED) this.#flush();
    else this.#timer ??= idleTimeout(() => this.#flush(), WRITTEN_AFTER);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#events.length > 0) this.#write(`${this.#events.splice(0).join(",\n")},\n`);
  }

  #write(text: string, write = appendText): void {
    if (this.#broken) return;
    try {
      write(this.#path, text);
    } catch (error) {
      this.#broken = true; // said once; what is traced must not suffer
      writeStderr(`across: Cannot write the trace: ${error instanceof Error ? error.message : "?"}\n`);
    }
  }
}
