/**
 * Values that go by reference: the objects that the peer holds references to, and how references are written behind the codec's tag for what it does
 * not know. Those that we hold are in `holdings.ts`.
 *
 * References are counted: each time one is sent its count goes up, and the receiver, when its proxy is no longer in use, gives back as many as it
 * received. So a release can cross a message that carries the same reference once more, and harm nothing.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { BASE, REFERENCE } from "../protocol/messages.ts";
import type { LargeMessage } from "../protocol/outbox.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Writer } from "../protocol/writer.ts";
import { ignore } from "../runtime/waiting.ts";
import type { Blobs } from "./blobs.ts";
import type { Call, Carried } from "./call.ts";
import type { CallContext } from "./context.ts";
import { anyFace } from "./face.ts";
import type { Defining } from "./defining.ts";
import type { Link } from "./link.ts";
import { follow } from "./lookup.ts";
import { ITSELF, nameOf, Referred, shippedFunction } from "./marks.ts";
import { readPath } from "./paths.ts";
import { type Arriving, Pending } from "./pending.ts";
import type { SideContext, Signals } from "./signals.ts";
import type { StreamPort } from "./streams.ts";

const NOTHING: readonly never[] = [];
const asItIs = (value: unknown): unknown => value;

/** What references need of the rest of a session. */
export interface ReferenceContext {
  readonly link: Link;
  /** Who asks the peer. */
  readonly operator: Receiver;
  readonly streams: StreamPort;
  /** Makes what carries signals and blobs. */
  sides(context: SideContext): Sides;
  /** Numbers of functions that go as code, and of classes that the peer knows by name, too. */
  readonly defining: Pick<Defining, "define" | "classNumber">;
  /** What a definition of the peer defined; possibly a promise. */
  defined(number: number): unknown;
  /** The held result of a call of the peer. */
  held(id: number): unknown;
  /** What the peer may start from without a reference. */
  readonly exposed: object | undefined;
}

/** What takes references to objects of the peer. */
export interface Receiver {
  /** Whether nobody wants what is being decoded. */
  readonly unwanted: boolean;
  /** The proxy for a reference. */
  imported(handle: number, name: string): object;
  /** What stands for a promise of the peer. */
  promised(handle: number, name: string): unknown;
  /** The object that the operation started from whose answer is being decoded. */
  itself(): unknown;
}

/** What is announced in one message and goes on in others. */
export interface Sides {
  /** Signals, which have numbers of their own. */
  readonly signals: Signals;
  /** Blobs, likewise. */
  readonly blobs: Blobs;
}

/** All references of a session that the peer holds. */
export class References {
  readonly #context: ReferenceContext;
  /** What the peer holds. Handles are never used twice. */
  readonly #exported = new Map<number, { readonly value: unknown; count: number }>();
  readonly #handles = new Map<unknown, number>();
  #lastHandle = 0;
  /** Handles and streams that the message being encoded carries, to be taken back if it fails. */
  #written: Carried[] = [];
  /** Operations whose results it carries, which are not there yet. */
  #needed: Call[] = [];
  #sides: Sides | undefined;
  /** The call whose arguments are decoded: to cancel it aborts signals among these. */
  call: CallContext | undefined;
  /** The call whose result is encoded. */
  #answered: CallContext | undefined;
  /** Parts of the message that was decoded last that are not there yet; the receiver of the message waits for them. */
  arriving: Pending[] = [];
  /** Objects of ours in that message. */
  #met: unknown[] = [];

  constructor(context: ReferenceContext) {
    this.#context = context;
  }

  /** Signals and blobs. Made with the first one. */
  get sides(): Sides {
    // deno-lint-ignore no-this-alias -- for a getter
    const references = this;
    return this.#sides ??= this.#context.sides({
      link: this.#context.link,
      tell: (...message) => this.tell(...message),
      arrive: (value) => this.#await(value),
      get call() {
        return references.call;
      },
    });
  }

  /** How many objects the peer holds. */
  get exported(): number {
    return this.#exported.size;
  }

  /** Starts a message: what was written before has been sent. If it is the result of a call, that goes on in the generators in it. */
  begin(context?: CallContext): void {
    this.#answered = context;
    if (this.#written.length > 0) this.#written = [];
    if (this.#needed.length > 0) this.#needed = [];
  }

  /** What the message carries that was encoded last. */
  get carried(): readonly Carried[] {
    return this.#written.length > 0 ? this.#written : NOTHING; // the next message writes to an array that is empty
  }

  /** Operations whose results the message asks for that is being encoded, if any. */
  takeNeeded(): readonly Call[] | undefined {
    const needed = this.#needed;
    if (needed.length === 0) return;
    this.#needed = []; // or they would be kept until the next message
    return needed;
  }

  /** Takes back the references of a message that could not be encoded, or is not sent after all. */
  undo(carried: readonly Carried[] = this.#written): void {
    if (carried === this.#written) this.begin();
    for (const it of carried) {
      if (typeof it === "number") this.#giveBack(it, 1);
      else it.unsent();
    }
  }

  /**
   * Sends a message that is a number and a value.
   *
   * @param otherwise Gives what is sent if the value cannot travel.
   * @param behind A message that must have left before.
   */
  tell(
    kind: number,
    number: number,
    value: unknown,
    otherwise: (value: unknown) => unknown,
    behind?: readonly LargeMessage[],
  ): void {
    const { link } = this.#context;
    // A getter among the arguments of something else may have got us here.
    if (link.encoding) return queueMicrotask(() => this.tell(kind, number, value, otherwise, behind));
    for (const make of [asItIs, otherwise]) {
      const start = link.begin(kind);
      this.begin();
      try {
        link.writer.varint(number);
        link.value(make(value), "error");
        link.commit(start, behind && { behind });
        return;
      } catch {
        link.rollback(start);
        this.undo();
      }
    }
  }

  /** Gives a value a handle, or counts one more use of it. */
  export(value: unknown): number {
    const known = typeof value === "object" || typeof value === "function" ? this.#handles.get(value) : undefined;
    const handle = known ?? ++this.#lastHandle;
    if (known === undefined) {
      this.#exported.set(handle, { value, count: 1 });
      if (typeof value === "object" || typeof value === "function") this.#handles.set(value, handle);
    } else {
      this.#exported.get(handle)!.count++;
    }
    this.#written.push(handle);
    return handle;
  }

  #giveBack(handle: number, count: number): void {
    const exported = this.#exported.get(handle);
    if (!exported || count > exported.count || count < 1) {
      throw new ProtocolError(`Cannot release ${count} references of object ${handle} as fewer were given`);
    }
    exported.count -= count;
    if (exported.count > 0) return;
    this.#exported.delete(handle);
    if (this.#handles.get(exported.value) === handle) this.#handles.delete(exported.value);
  }

  /** The object that the peer means by a handle. */
  object(handle: number): unknown {
    const exported = this.#exported.get(handle);
    if (!exported) throw new OperationError(`Cannot find object ${handle} as no reference to it is held`);
    return exported.value;
  }

  /** Writes a reference to any value. */
  writeReference(writer: Writer, value: unknown): void {
    const face = anyFace(value);
    if (face?.write(writer, this.#context.operator, this.#needed)) return;
    const promise = face?.promise();
    if (promise) value = promise;
    if (value instanceof Promise) value.catch(ignore); // whoever has it over there gets the failure
    // Whoever holds a reference may ask for something.
    this.#context.link.extend();
    writer.u8(
      value instanceof Promise ? REFERENCE.PROMISE : typeof value === "function" ? REFERENCE.FUNCTION : REFERENCE.MINE,
    );
    writer.varint(this.export(value));
    writer.string(face && !promise ? face.describe().slice(8, -1) : nameOf(value));
  }

  /** Writes a value that the codec does not know. Returns false if it is not for references to know, either. */
  encode(writer: Writer, value: object): boolean {
    if (typeof value === "function") {
      const fn = shippedFunction(value);
      const number = fn ? this.#context.defining.define(fn) : this.#context.defining.classNumber(value);
      if (number !== undefined) {
        writer.u8(REFERENCE.CODE);
        writer.varint(number);
        return true;
      }
    } else if (value instanceof Referred) {
      if (value === ITSELF) writer.u8(REFERENCE.ITSELF);
      else this.writeReference(writer, value.value);
      return true;
    } else if (typeof Blob === "function" && value instanceof Blob) {
      this.#context.link.extend();
      this.sides.blobs.write(writer, value);
      return true;
    } else if (value instanceof AbortSignal) {
      this.#context.link.extend();
      this.sides.signals.write(writer, value);
      return true;
    } else if (!(value instanceof Promise)) {
      const stream = this.#context.streams.encode(writer, value, this.#answered);
      if (!stream) return false;
      this.#context.link.extend();
      this.#written.push(stream);
      return true;
    }
    this.writeReference(writer, value);
    return true;
  }

  /** Reads what {@linkcode encode} or {@linkcode writeReference} wrote. */
  decode(reader: Reader): unknown {
    const kind = reader.u8();
    switch (kind) {
      case REFERENCE.YOURS: {
        const object = this.object(reader.varint());
        this.#met.push(object);
        return object;
      }
      case REFERENCE.MINE:
      case REFERENCE.FUNCTION:
        return this.#context.operator.imported(reader.varint(), reader.string());
      case REFERENCE.PROMISE:
        return this.#context.operator.promised(reader.varint(), reader.string());
      case REFERENCE.PENDING:
        return this.arrive(this.#pending(reader));
      case REFERENCE.CODE:
        return this.arrive(this.#context.defined(reader.varint()));
      case REFERENCE.ITSELF:
        return this.#context.operator.itself();
      case REFERENCE.SIGNAL:
        return this.sides.signals.read(reader);
      case REFERENCE.BLOB:
        return this.sides.blobs.read(reader);
    }
    const stream = this.#context.streams.decode(kind, reader, this.#context.operator.unwanted);
    if (stream) return stream;
    throw new ProtocolError(`Cannot read a reference of kind ${kind}`);
  }

  /** What a path leads to that is in the place of a value; a promise of the failure if that is nothing. */
  #pending(reader: Reader): unknown {
    let base: unknown, failure: { readonly error: unknown } | undefined;
    try {
      base = this.readOrigin(reader);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      failure = { error };
    }
    const path = readPath(reader);
    try {
      if (failure) throw failure.error;
      return follow(base, path);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Reads where an operation of the peer starts. */
  readOrigin(reader: Reader): unknown {
    const base = reader.u8();
    switch (base) {
      case BASE.HANDLE:
        return this.object(reader.varint());
      case BASE.RESULT:
        return this.#context.held(reader.varint());
      case BASE.ROOT:
        return this.#context.exposed;
    }
    throw new ProtocolError(`Cannot start from a base of kind ${base}`);
  }

  /** Gives a value, or what stands for it in a decoded message until it is there. */
  arrive(value: unknown): unknown {
    const promise = value instanceof Promise ? value : anyFace(value)?.promise();
    return promise ? this.#await(promise) : value;
  }

  #await(promise: Promise<unknown>): Pending {
    const pending = new Pending(promise);
    this.arriving.push(pending);
    return pending;
  }

  /** Parts of the message decoded last that one has to wait for. */
  takeArriving(): Arriving | undefined {
    const parts = this.arriving, own = this.#met;
    if (own.length > 0) this.#met = [];
    if (parts.length === 0) return;
    this.arriving = [];
    return { parts, own };
  }

  /** Reads a RELEASE message. */
  released(reader: Reader): void {
    for (let left = reader.varint(); left > 0; left--) this.#giveBack(reader.varint(), reader.varint());
  }

  /** Forgets everything: the connection is gone. */
  clear(error: unknown): void {
    this.#exported.clear();
    this.#handles.clear();
    this.#sides?.blobs.clear(error);
    this.#sides?.signals.clear(error);
  }
}
