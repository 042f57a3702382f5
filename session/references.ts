/**
 * Values that go by reference: the objects that the peer holds references to, the references that we hold, and how both are written behind the
 * codec's tag for what it does not know.
 *
 * References are counted: each time one is sent its count goes up, and the receiver, when its proxy is no longer in use, gives back as many as it
 * received. So a release can cross a message that carries the same reference once more, and harm nothing.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { ACTION, BASE, REFERENCE } from "../protocol/messages.ts";
import type { LargeMessage } from "../protocol/outbox.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Writer } from "../protocol/writer.ts";
import { Blobs } from "./blobs.ts";
import { Call, type Carried } from "./call.ts";
import type { CallContext } from "./context.ts";
import { faceOf, type Holding, type Operator, RemoteFace, ResultFace } from "./faces.ts";
import type { Link } from "./link.ts";
import { follow } from "./lookup.ts";
import { ITSELF, nameOf, Referred, shippedFunction } from "./marks.ts";
import { readPath, writeOrigin, writePath } from "./paths.ts";
import { type Arriving, Pending } from "./pending.ts";
import { Releases } from "./releases.ts";
import { type SideContext, Signals } from "./signals.ts";
import type { StreamPort } from "./streams.ts";

const NOTHING: readonly never[] = [];
const asItIs = (value: unknown): unknown => value;

/** What references need of the rest of a session. */
export interface ReferenceContext {
  readonly link: Link;
  readonly operator: Operator;
  readonly streams: StreamPort;
  /** The number of the definition of a function that goes as code. */
  define(fn: object): number;
  /** The number of the definition of a class that the peer knows by name, too; undefined for everything else. */
  classNumber(fn: object): number | undefined;
  /** What a definition of the peer defined; possibly a promise. */
  defined(number: number): unknown;
  /** The held result of a call of the peer. */
  held(id: number): unknown;
  /** What the peer may start from without a reference. */
  readonly exposed: object | undefined;
}

/** All references of a session, in both directions. */
export class References {
  readonly #context: ReferenceContext;
  /** What the peer holds. Handles are never used twice. */
  readonly #exported = new Map<number, { readonly value: unknown; count: number }>();
  readonly #handles = new Map<unknown, number>();
  #lastHandle = 0;
  /** What we hold, until the finalizer of the face ran: paths and scopes of a proxy keep its face, but not the proxy. */
  readonly #imported = new Map<number, { readonly holding: Holding; readonly face: WeakRef<RemoteFace> }>();
  readonly #collected = new FinalizationRegistry<Holding>((holding) => this.release(holding));
  /** What comes while something is decoded that nobody wants. */
  #unwanted: Holding[] | undefined;
  readonly #releases: Releases;
  /** Handles and streams that the message being encoded carries, to be taken back if it fails. */
  #written: Carried[] = [];
  /** Operations whose results it carries, which are not there yet. */
  #needed: Call[] = [];
  /** Signals, which have numbers of their own. */
  readonly signals: Signals;
  /** Blobs, likewise. */
  readonly blobs: Blobs;
  /** Where the operation started whose answer is being decoded. */
  asked: unknown;
  #call: CallContext | undefined;
  /** Parts of the message that was decoded last that are not there yet; the receiver of the message waits for them. */
  arriving: Pending[] = [];
  /** Objects of ours in that message. */
  #met: unknown[] = [];

  constructor(context: ReferenceContext) {
    this.#context = context;
    this.#releases = new Releases(context.link);
    const side: SideContext = {
      link: context.link,
      tell: (...message) => this.tell(...message),
      arrive: (value) => this.#await(value),
    };
    this.signals = new Signals(side);
    this.blobs = new Blobs(side);
  }

  /** How many objects the peer holds. */
  get exported(): number {
    return this.#exported.size;
  }

  /** How many references we hold. */
  get imported(): number {
    return this.#imported.size;
  }

  /** Starts a message: what was written before has been sent. If it is the result of a call, that goes on in the generators in it. */
  begin(context?: CallContext): void {
    this.#call = context;
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
    const face = faceOf(value);
    if (face && face.operator.caller === this.#context.operator) {
      if (face instanceof RemoteFace && face.holding) {
        writer.u8(REFERENCE.YOURS);
        if (face.holding.count === 0) throw new OperationError(`Cannot send ${face.describe()} as it was released`);
        writer.varint(face.holding.handle);
        return;
      }
      // The result of an operation, or a path: it is resolved over there, where it is.
      if (face instanceof ResultFace) face.call.chain();
      if (face.origin instanceof Call) this.#needed.push(face.origin);
      writer.u8(REFERENCE.PENDING);
      writeOrigin(writer, face.origin, this.#context.operator);
      return writePath(writer, face.path);
    }
    if (face && !(face instanceof RemoteFace)) value = face.promise();
    writer.u8(
      value instanceof Promise ? REFERENCE.PROMISE : typeof value === "function" ? REFERENCE.FUNCTION : REFERENCE.MINE,
    );
    writer.varint(this.export(value));
    writer.string(face instanceof RemoteFace ? face.describe().slice(8, -1) : nameOf(value));
  }

  /** Writes a value that the codec does not know. Returns false if it is not for references to know, either. */
  encode(writer: Writer, value: object): boolean {
    if (typeof value === "function") {
      const fn = shippedFunction(value);
      const number = fn ? this.#context.define(fn) : this.#context.classNumber(value);
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
      this.blobs.write(writer, value);
      return true;
    } else if (value instanceof AbortSignal) {
      this.signals.write(writer, value);
      return true;
    } else if (!(value instanceof Promise)) {
      const stream = this.#context.streams.encode(writer, value, this.#call);
      if (stream) this.#written.push(stream);
      return stream !== undefined;
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
        return this.#import(reader.varint(), reader.string());
      case REFERENCE.PROMISE: {
        const proxy = this.#import(reader.varint(), reader.string());
        if (this.#unwanted) return;
        const { operator } = this.#context;
        return operator.result(operator.operate(faceOf(proxy)!.origin, NOTHING, ACTION.GET, [], false));
      }
      case REFERENCE.PENDING:
        return this.arrive(this.#pending(reader));
      case REFERENCE.CODE:
        return this.arrive(this.#context.defined(reader.varint()));
      case REFERENCE.ITSELF:
        if (this.asked instanceof RemoteFace) return this.asked.proxy;
        if (this.#unwanted) return;
        break;
      case REFERENCE.SIGNAL:
        return this.signals.read(reader);
      case REFERENCE.BLOB:
        return this.blobs.read(reader);
    }
    const stream = this.#context.streams.decode(kind, reader, this.#unwanted !== undefined);
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
    const promise = value instanceof Promise ? value : faceOf(value)?.promise();
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

  #import(handle: number, name: string): object {
    const known = this.#imported.get(handle);
    let face = known?.face.deref();
    if (face) {
      known!.holding.count++;
    } else {
      if (this.#imported.size >= LIMITS.references) throw new OperationError("Cannot hold more references of a peer");
      const holding: Holding = { handle, name, count: 1 };
      face = new RemoteFace(this.#context.operator, holding);
      this.#imported.set(handle, { holding, face: new WeakRef(face) });
      this.#collected.register(face, holding, holding);
    }
    this.#unwanted?.push(face.holding!);
    return face.proxy;
  }

  /** Decodes what nobody wants any more, and gives back what comes with it. */
  discard(decode: () => unknown): void {
    const unwanted: Holding[] = this.#unwanted = [];
    try {
      decode();
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
    } finally {
      this.#unwanted = undefined;
      this.takeArriving();
      for (const holding of unwanted) this.release(holding, 1);
    }
  }

  /**
   * Gives references back to the peer. Doing it twice is harmless.
   *
   * @param count How many of those that were received.
   */
  release(holding: Holding, count: number = holding.count): void {
    if (holding.count === 0) return;
    const { handle } = holding;
    holding.count -= count;
    if (holding.count === 0) {
      this.#collected.unregister(holding);
      if (this.#imported.get(handle)?.holding === holding) this.#imported.delete(handle);
    }
    this.#releases.add(handle, count);
  }

  /** Reads a RELEASE message. */
  released(reader: Reader): void {
    for (let left = reader.varint(); left > 0; left--) this.#giveBack(reader.varint(), reader.varint());
  }

  /** Forgets everything: the connection is gone. */
  clear(error: unknown): void {
    this.#exported.clear();
    this.#handles.clear();
    for (const { holding } of this.#imported.values()) {
      this.#collected.unregister(holding);
      holding.count = 0;
    }
    this.#imported.clear();
    this.#releases.clear();
    this.blobs.clear(error);
    this.signals.clear(error);
  }
}
