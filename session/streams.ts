/**
 * All streams of a session: how they are written and read as values, whom their messages are for, and what the connection as a whole may have under
 * way. The two ends of a stream are `stream_source.ts` and `stream_sink.ts`.
 *
 * Everybody else knows of streams what {@linkcode StreamPort} says.
 *
 * @module
 */

import type { Decoder } from "../protocol/decoder.ts";
import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { OWN_BYTES } from "../protocol/frames.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MESSAGE, REFERENCE, STREAM } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import { Refusal } from "../protocol/refusals.ts";
import type { Writer } from "../protocol/writer.ts";
import { isDisturbed } from "../runtime/disturbed.ts";
import type { Unsent } from "./call.ts";
import type { CallContext } from "./context.ts";
import { withoutFields } from "./failures.ts";
import { Iteration } from "./iteration.ts";
import type { Link } from "./link.ts";
import type { Arriving } from "./pending.ts";
import { complete } from "./pending.ts";
import { joinStacks } from "./stacks.ts";
import type { StreamHub } from "./stream_hub.ts";
import { foreign } from "./stream_hub.ts";
import { fillWritable, Incoming, makeReadable, ReceivedGenerator } from "./stream_sink.ts";
import type { AnyIterator } from "./stream_source.ts";
import { makeWritable, Outgoing, pumpIterator, pumpReadable } from "./stream_source.ts";

/** What a stream that is read may have under way, unless many are; all together; and what each may in any case. */
const WINDOW = 2 << 20, WINDOWS = 8 << 20, SMALL_WINDOW = 1 << 16;
/** From how much on the peer is told that what it sent without credit is out of the way. */
const RETURN = LIMITS.streamAdvances / 4;

/** What streams need of the rest of a session. */
export interface StreamContext {
  readonly link: Link;
  readonly decoder: Decoder;
  /** For messages that carry values. */
  readonly references: { begin(): void; undo(): void; takeArriving(): Arriving | undefined };
  /** Decodes what nobody wants any more, and gives back what comes with it. */
  discard(decode: () => unknown): void;
  /** Who and where the peer is, for stacks. */
  readonly peer: string;
  /** Whether instances of a class travel by its name, as the program exported it. */
  exported(constructor: object): boolean;
  /** Says that something began or ceased to be awaited or to run. */
  busy(change: 1 | -1): void;
}

/** What the rest of a session knows of streams. */
export interface StreamPort {
  /** How many are open. */
  readonly open: number;
  /**
   * Writes a stream or iterator; it begins when the message has left.
   *
   * @param context The call whose result it is a part of, if any: generators go on within it.
   * @returns Takes it back; undefined, and nothing written, if the value is none.
   */
  encode(writer: Writer, value: object, context: CallContext | undefined): Unsent | undefined;
  /** Reads what {@linkcode encode} wrote, of the kind that was read already, and ends it if it is `unwanted`. Undefined if that is none of ours. */
  decode(kind: number, reader: Reader, unwanted: boolean): object | undefined;
  /** Reads a STREAM message. */
  arrived(reader: Reader, segments: readonly ArrayBuffer[]): void;
  /** Iterates over what an operation (`ACTION.ITERATE`) gives. It is issued when the first item is asked for, and ended by the signal. */
  iterate(start: () => Promise<unknown>, signal: AbortSignal | undefined): AsyncIterator<unknown>;
  /** Ends all. Returns whether somebody was told who waited. */
  clear(error: unknown): boolean;
}

/** Looks after the streams of one session. */
export class Streams implements StreamPort, StreamHub {
  readonly #context: StreamContext;
  readonly #incoming = new Map<number, Incoming>();
  readonly #outgoing = new Map<number, Outgoing>();
  readonly #collected = new FinalizationRegistry<Incoming | Outgoing>((end) => {
    if (end instanceof Incoming) end.collected();
    else end.fail(new Error("The stream was garbage-collected before it was closed"));
  });
  #last = 0;
  #over = false;
  /** What the peer sent without credit and is not out of the way, and what of the rest it does not know of yet. */
  #advances = 0;
  #returned = 0;
  readonly link: Link;
  readonly references: StreamContext["references"];
  readonly starving: Set<{ wake(): void }> = new Set();
  allowance: number = LIMITS.streamAdvances;
  active = 0;
  readonly busy: (change: 1 | -1) => void;

  constructor(context: StreamContext) {
    this.#context = context;
    this.link = context.link;
    this.references = context.references;
    this.busy = (change) => context.busy(change);
  }

  get open(): number {
    return this.#incoming.size + this.#outgoing.size;
  }

  get window(): number {
    return Math.max(SMALL_WINDOW, Math.min(WINDOW, Math.floor(WINDOWS / this.active)));
  }

  encode(writer: Writer, value: object, context: CallContext | undefined): Unsent | undefined {
    if (value instanceof ReadableStream) {
      this.#check(value);
      const bytes = isByteStream(value);
      const reader = value.getReader() as ReadableStreamDefaultReader<unknown>;
      const out = this.#send(writer, REFERENCE.READABLE, (out) => pumpReadable(out, reader, this));
      writer.u8(bytes ? 1 : 0);
      out.unsent = () => reader.releaseLock();
      return { unsent: () => this.#forgetUnsent(out) };
    }
    if (value instanceof WritableStream) {
      this.#check(value);
      const streamWriter = value.getWriter() as WritableStreamDefaultWriter<unknown>;
      const key = this.#head(writer, REFERENCE.WRITABLE);
      const incoming = new Incoming(this, key, true);
      this.#incoming.set(key, incoming);
      incoming.unsent = () => streamWriter.releaseLock();
      this.#later(key, () => fillWritable(incoming, streamWriter, this));
      return { unsent: () => this.#forgetUnsent(incoming) };
    }
    const iterator = this.#iteratorOf(value);
    if (!iterator) return;
    const out = this.#send(writer, REFERENCE.ITERABLE, (out) => pumpIterator(out, iterator, this, context));
    return { unsent: () => this.#forgetUnsent(out) };
  }

  #check(stream: ReadableStream | WritableStream): void {
    const name = stream instanceof ReadableStream ? "ReadableStream" : "WritableStream";
    if (stream.locked) throw new Refusal(`a ${name} that is locked: release its reader or writer first`);
    if (stream instanceof ReadableStream && isDisturbed(stream)) {
      throw new Refusal(`a ${name} that was read from already: pass it before, or what pipeThrough() makes of it`);
    }
  }

  /** How to get an iterator over what travels as a stream of items; undefined for everything else. */
  #iteratorOf(value: object): (() => AnyIterator) | undefined {
    const object = value as Partial<AsyncIterable<unknown>> & Partial<IterableIterator<unknown>>;
    const kind = Symbol.asyncIterator in value ? Symbol.asyncIterator : Symbol.iterator;
    if (kind === Symbol.iterator && !(kind in value && typeof object.next === "function")) return;
    const { constructor } = value;
    if (typeof constructor === "function" && constructor !== Object && this.#context.exported(constructor)) return;
    return () => object[kind]!();
  }

  #head(writer: Writer, kind: number): number {
    if (this.open >= LIMITS.streams) throw new OperationError(`Cannot open more than ${LIMITS.streams} streams`);
    const number = ++this.#last;
    writer.u8(kind);
    writer.varint(number);
    return number * 2 + 1;
  }

  #send(writer: Writer, kind: number, pump: (out: Outgoing) => Promise<void>): Outgoing {
    const key = this.#head(writer, kind);
    const out = new Outgoing(this, key, false);
    this.#outgoing.set(key, out);
    this.#later(key, () => pump(out));
    return out;
  }

  /** Begins with a stream when the message that tells of it has left, which must not be overtaken. */
  #later(key: number, begin: () => Promise<void>): void {
    const start = () => {
      if (this.#outgoing.has(key) || this.#incoming.has(key)) begin();
    };
    queueMicrotask(() => this.link.afterAll(start));
  }

  #forgetUnsent(end: Outgoing | Incoming): void {
    this.forget(end.key);
    end.unsent();
  }

  decode(kind: number, reader: Reader, unwanted: boolean): object | undefined {
    if (kind !== REFERENCE.READABLE && kind !== REFERENCE.WRITABLE && kind !== REFERENCE.ITERABLE) return;
    const number = reader.varint();
    const key = number * 2;
    const bytes = kind === REFERENCE.READABLE && reader.u8() === 1;
    if (number < 1 || key > Number.MAX_SAFE_INTEGER || this.#incoming.has(key) || this.#outgoing.has(key)) {
      throw new ProtocolError(`Cannot take stream ${number}`);
    }
    if (this.open >= LIMITS.streams) throw new ProtocolError(`Cannot have more than ${LIMITS.streams} streams open`);
    if (kind === REFERENCE.WRITABLE) {
      const out = new Outgoing(this, key, true);
      this.#outgoing.set(key, out);
      const stream = makeWritable(out, this);
      this.#collected.register(stream, out);
      if (unwanted) out.fail(new Error("The stream arrived when nobody waited for it any more"));
      return stream;
    }
    const incoming = new Incoming(this, key, false);
    this.#incoming.set(key, incoming);
    const stream = kind === REFERENCE.ITERABLE ? new ReceivedGenerator(incoming) : makeReadable(incoming, bytes);
    this.#collected.register(stream, incoming);
    if (unwanted) incoming.collected();
    return stream;
  }

  arrived(reader: Reader, segments: readonly ArrayBuffer[]): void {
    // All of the message counts, its kind included.
    const start = reader.position - 1;
    const flags = reader.u8(), key = reader.varint();
    const what = flags & ~STREAM.UNASKED;
    switch (what) {
      case STREAM.ITEM:
      case STREAM.BYTES:
        return this.#item(reader, this.#receiving(key), flags, start, segments);
      case STREAM.END:
      case STREAM.FAIL: {
        const incoming = this.#receiving(key);
        return this.#value(reader, (value, refused) => {
          const failed = refused || what === STREAM.FAIL;
          if (failed && !refused && value instanceof Error) joinStacks(value, undefined, this.#context.peer);
          incoming.finish(failed, value);
        });
      }
      case STREAM.CREDIT: {
        const amount = reader.varint();
        if (key !== 0) return this.#sending(key)?.grant(amount);
        this.allowance = Math.min(this.allowance + amount, LIMITS.streamAdvances);
        for (const end of [...this.starving]) end.wake();
        return;
      }
      case STREAM.CANCEL:
      case STREAM.THROW: {
        const out = this.#sending(key);
        return this.#value(reader, (value) => out?.cancel(what, value));
      }
      case STREAM.DONE:
        return this.#sending(key)?.settle();
    }
    throw new ProtocolError(`Cannot take a message of kind ${what} about a stream`);
  }

  #receiving(key: number): Incoming {
    const incoming = this.#incoming.get(key);
    if (!incoming) throw new ProtocolError("Cannot find a stream of which something arrived");
    return incoming;
  }

  /** A stream that we send; undefined if it has come to its end, of which the peer had not heard yet. */
  #sending(key: number): Outgoing | undefined {
    const out = this.#outgoing.get(key);
    if (!out && !(key % 2 === 1 && key <= this.#last * 2 + 1)) {
      throw new ProtocolError("Cannot find a stream of which more or less is wanted");
    }
    return out;
  }

  #item(reader: Reader, incoming: Incoming, flags: number, start: number, segments: readonly ArrayBuffer[]): void {
    const unasked = (flags & STREAM.UNASKED) !== 0;
    const size = segments.reduce((sum, segment) => sum + segment.byteLength, reader.end - start);
    const cost = size + LIMITS.itemCost;
    incoming.charge(cost, unasked);
    if ((flags & ~STREAM.UNASKED) === STREAM.BYTES) {
      const bytes = reader.raw(reader.end - reader.position);
      const kept = segments === OWN_BYTES ? bytes : new Uint8Array(bytes);
      return incoming.take(incoming.dropping ? undefined : kept, false, cost, unasked);
    }
    const { decoder } = this.#context;
    if (incoming.dropping) {
      this.#context.discard(() => decoder.value(reader));
      return incoming.take(undefined, false, cost, unasked);
    }
    let value: unknown;
    try {
      value = decoder.value(reader);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      this.references.takeArriving();
      if (unasked) this.returned(cost);
      return incoming.break(error);
    }
    const arriving = this.references.takeArriving();
    if (arriving) value = complete([value], arriving).then(([value]) => value);
    incoming.take(value, arriving !== undefined, cost, unasked);
  }

  /** Reads a value, and acts upon it when all of it is there. */
  #value(reader: Reader, act: (value: unknown, refused: boolean) => void): void {
    let value: unknown, refused = false;
    try {
      value = this.#context.decoder.value(reader);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      value = error;
      refused = true;
    }
    const arriving = this.references.takeArriving();
    if (!arriving || refused) return act(value, refused);
    complete([value], arriving).then(([value]) => act(value, false), (error) => act(error, true));
  }

  say(what: number, key: number, value: unknown): void {
    if (this.#over) return;
    const { link, references } = this;
    // A getter among the arguments of something else may have got us here.
    if (link.encoding) return queueMicrotask(() => this.say(what, key, value));
    for (const attempt of [() => value, () => withoutFields(value), () => undefined]) {
      const start = link.begin(MESSAGE.STREAM);
      references.begin();
      try {
        link.writer.u8(what);
        link.writer.varint(foreign(key));
        link.value(attempt(), "value");
        link.commit(start);
        return;
      } catch (error) {
        link.rollback(start);
        references.undo();
        // What a generator returns must not get lost silently.
        if (what === STREAM.END) return this.say(STREAM.FAIL, key, error);
      }
    }
  }

  credit(key: number, amount: number): void {
    if (this.#over) return;
    const { link } = this;
    if (link.encoding) return queueMicrotask(() => this.credit(key, amount));
    const start = link.begin(MESSAGE.STREAM);
    link.writer.u8(STREAM.CREDIT);
    link.writer.varint(key === 0 ? 0 : foreign(key));
    link.writer.varint(amount);
    link.commit(start);
  }

  advanced(cost: number): void {
    if (this.#advances >= LIMITS.streamAdvances) throw new ProtocolError("Received more of streams than was asked for");
    this.#advances += cost;
  }

  returned(cost: number): void {
    this.#returned += cost;
    if (this.#returned < RETURN) return;
    this.#advances -= this.#returned;
    this.credit(0, this.#returned);
    this.#returned = 0;
  }

  forget(key: number): void {
    this.#incoming.delete(key);
    this.#outgoing.delete(key);
  }

  own(error: unknown): unknown {
    return error instanceof OperationError ? new Error(error.message, { cause: error }) : error;
  }

  iterate(start: () => Promise<unknown>, signal: AbortSignal | undefined): AsyncIterator<unknown> {
    return new Iteration(start, signal);
  }

  clear(error: unknown): boolean {
    this.#over = true;
    let told = false;
    for (const incoming of this.#incoming.values()) {
      told ||= incoming.awaited;
      incoming.lose(error);
    }
    for (const out of this.#outgoing.values()) {
      told ||= out.awaited;
      out.cancel(STREAM.CANCEL, error);
    }
    this.#incoming.clear();
    this.#outgoing.clear();
    return told;
  }
}

/** Whether a stream that is not locked is one of bytes. */
function isByteStream(stream: ReadableStream): boolean {
  try {
    stream.getReader({ mode: "byob" }).releaseLock();
    return true;
  } catch {
    return false;
  }
}
