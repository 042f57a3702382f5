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
import { ACTION, BASE, MESSAGE, REFERENCE } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Writer } from "../protocol/writer.ts";
import { Call } from "./call.ts";
import type { Holding, Operator, Origin } from "./faces.ts";
import { faceOf, RemoteFace, ResultFace } from "./faces.ts";
import type { Link } from "./link.ts";
import { Pending } from "./pending.ts";
import { deferred } from "./waiting.ts";

/** Parts of a path that are accepted. */
const PATH_LIMIT = 1000;

/** What {@linkcode ref} makes: a value that is to be passed as a proxy. */
export class Referred {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** What `ship` makes: stands for a function that is to be passed as code. */
const shipped = new WeakMap<object, object>();

/** Marks a function to be passed as code, by a stand-in that behaves the same here. */
export function shipFunction<F extends object>(fn: F): F {
  const standIn = new Proxy(fn, {});
  shipped.set(standIn, fn);
  return standIn;
}

/** What references need of the rest of a session. */
export interface ReferenceContext {
  readonly link: Link;
  readonly operator: Operator;
  /** The number of the definition of a function that goes as code. */
  define(fn: object): number;
  /** The number of the definition of a class that the peer knows by name, too; undefined for everything else. */
  classNumber(fn: object): number | undefined;
  /** What a definition of the peer defined; possibly a promise. */
  defined(number: number): unknown;
  /** What lies at the end of a path from the result of an earlier call of the peer. */
  follow(base: unknown, path: readonly string[]): unknown;
  /** The held result of a call of the peer. */
  held(id: number): unknown;
  /** What the peer may start from without a reference. */
  readonly exposed: object | undefined;
}

/** A name for people. */
function nameOf(value: unknown): string {
  if (typeof value === "function") return value.name || "function";
  if (typeof value !== "object" || value === null) return typeof value;
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name ? name : "Object";
}

/** Writes where an operation starts. */
export function writeOrigin(writer: Writer, origin: Origin, operator: Operator): void {
  if (origin instanceof Call) {
    writer.u8(BASE.RESULT);
    writer.varint(origin.id);
  } else if (!origin?.holding) {
    writer.u8(BASE.ROOT);
  } else {
    if (origin.operator !== operator) throw new OperationError(`Cannot use ${origin.describe()} on another connection`);
    if (origin.holding.count === 0) throw new OperationError(`Cannot use ${origin.describe()} as it was released`);
    writer.u8(BASE.HANDLE);
    writer.varint(origin.holding.handle);
  }
}

/** Writes a path: how many parts, and each. */
export function writePath(writer: Writer, path: readonly string[]): void {
  if (path.length > PATH_LIMIT) throw new OperationError(`Cannot follow a path of more than ${PATH_LIMIT} names`);
  writer.varint(path.length);
  for (let i = 0; i < path.length; i++) writer.string(path[i]!);
}

/** Reads a path. */
export function readPath(reader: Reader): readonly string[] {
  const length = reader.varint();
  if (length === 0) return NOTHING;
  if (length > PATH_LIMIT) throw new ProtocolError(`A path has ${length} parts, ${PATH_LIMIT} are allowed`);
  const path = new Array<string>(length);
  for (let i = 0; i < length; i++) path[i] = reader.string();
  return path;
}

const NOTHING: readonly string[] = [];

/** All references of a session, in both directions. */
export class References {
  readonly #context: ReferenceContext;
  /** What the peer holds. Handles are never used twice. */
  readonly #exported = new Map<number, { readonly value: unknown; count: number }>();
  readonly #handles = new Map<unknown, number>();
  #lastHandle = 0;
  /** What we hold. An entry whose proxy is gone stays until its finalizer ran. */
  readonly #imported = new Map<number, { readonly holding: Holding; readonly proxy: WeakRef<object> }>();
  readonly #collected = new FinalizationRegistry<Holding>((holding) => this.release(holding));
  /** Given back, but not yet said. */
  #returned: Holding[] = [];
  /** Handles that the message being encoded carries, to be taken back if it fails. */
  readonly #written: number[] = [];
  /** Blobs of ours whose bytes follow. */
  #lastBlob = 0;
  readonly #blobs = new Map<number, Pending>();
  /** Parts of the message that was decoded last that are not there yet; the receiver of the message waits for them. */
  arriving: Pending[] = [];

  constructor(context: ReferenceContext) {
    this.#context = context;
  }

  /** How many objects the peer holds. */
  get exported(): number {
    return this.#exported.size;
  }

  /** How many references we hold. */
  get imported(): number {
    return this.#imported.size;
  }

  /** Starts a message: what was written before has been sent. */
  begin(): void {
    this.#written.length = 0;
  }

  /** Takes back the references of a message that could not be encoded. */
  undo(): void {
    for (const handle of this.#written.splice(0)) this.#giveBack(handle, 1);
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
    if (face && face.operator === this.#context.operator) {
      if (face instanceof RemoteFace && face.holding) {
        writer.u8(REFERENCE.YOURS);
        if (face.holding.count === 0) throw new OperationError(`Cannot send ${face.describe()} as it was released`);
        writer.varint(face.holding.handle);
        return;
      }
      // The result of an operation, or a path: it is resolved over there, where it is.
      if (face instanceof ResultFace) face.call.chain();
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
      const fn = shipped.get(value);
      const number = fn ? this.#context.define(fn) : this.#context.classNumber(value);
      if (number !== undefined) {
        writer.u8(REFERENCE.CODE);
        writer.varint(number);
        return true;
      }
    } else if (value instanceof Referred) {
      this.writeReference(writer, value.value);
      return true;
    } else if (typeof Blob === "function" && value instanceof Blob) {
      this.#sendBlob(writer, value);
      return true;
    } else if (!(value instanceof Promise)) {
      return false;
    }
    this.writeReference(writer, value);
    return true;
  }

  /** Reads what {@linkcode encode} or {@linkcode writeReference} wrote. */
  decode(reader: Reader): unknown {
    const kind = reader.u8();
    switch (kind) {
      case REFERENCE.YOURS:
        return this.object(reader.varint());
      case REFERENCE.MINE:
      case REFERENCE.FUNCTION:
        return this.#import(reader.varint(), reader.string());
      case REFERENCE.PROMISE: {
        const proxy = this.#import(reader.varint(), reader.string());
        const { operator } = this.#context;
        return operator.result(operator.operate(faceOf(proxy)!.origin, NOTHING, ACTION.GET, [], false));
      }
      case REFERENCE.PENDING: {
        return this.arrive(this.#pending(reader));
      }
      case REFERENCE.CODE:
        return this.arrive(this.#context.defined(reader.varint()));
      case REFERENCE.BLOB: {
        const number = reader.varint(), type = reader.string();
        const { promise, resolve, reject } = deferred<unknown>();
        const pending = new Pending(promise.then((bytes) => new Blob([bytes as ArrayBuffer], { type })));
        pending.resolve = resolve;
        pending.reject = reject;
        this.#blobs.set(number, pending);
        this.arriving.push(pending);
        return pending;
      }
    }
    throw new ProtocolError(`Cannot read a reference of kind ${kind}`);
  }

  /** What a path leads to that is in the place of a value; a promise of the failure if that is nothing. */
  #pending(reader: Reader): unknown {
    try {
      let base, failure;
      try {
        base = this.readOrigin(reader);
      } catch (error) {
        failure = error;
      }
      const path = readPath(reader);
      if (failure) throw failure;
      return this.#context.follow(base, path);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
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
    if (!(value instanceof Promise)) return value;
    const pending = new Pending(value);
    this.arriving.push(pending);
    return pending;
  }

  /** Parts of the message decoded last that one has to wait for. */
  takeArriving(): Pending[] | undefined {
    if (this.arriving.length === 0) return;
    const arriving = this.arriving;
    this.arriving = [];
    return arriving;
  }

  #import(handle: number, name: string): object {
    const known = this.#imported.get(handle);
    const proxy = known?.proxy.deref();
    if (proxy) {
      known!.holding.count++;
      return proxy;
    }
    const holding: Holding = { handle, name, count: 1 };
    const made = new RemoteFace(this.#context.operator, holding).proxy;
    this.#imported.set(handle, { holding, proxy: new WeakRef(made) });
    this.#collected.register(made, holding, holding);
    return made;
  }

  /** Gives a reference back to the peer. Doing it twice is harmless. */
  release(holding: Holding): void {
    if (holding.count === 0) return;
    const { handle, count } = holding;
    this.#collected.unregister(holding);
    if (this.#imported.get(handle)?.holding === holding) this.#imported.delete(handle);
    holding.count = 0;
    if (this.#returned.push({ handle, name: "", count }) > 1) return;
    // Behind all that was sent so far, some of which may carry it.
    queueMicrotask(() => this.#context.link.afterAll(() => this.#sendReturned()));
  }

  #sendReturned(): void {
    const returned = this.#returned;
    this.#returned = [];
    const { link } = this.#context;
    const start = link.begin(MESSAGE.RELEASE);
    link.writer.varint(returned.length);
    for (const { handle, count } of returned) {
      link.writer.varint(handle);
      link.writer.varint(count);
    }
    link.commit(start);
  }

  /** Reads a RELEASE message. */
  released(reader: Reader): void {
    for (let left = reader.varint(); left > 0; left--) this.#giveBack(reader.varint(), reader.varint());
  }

  #sendBlob(writer: Writer, blob: Blob): void {
    const { link } = this.#context;
    const number = ++this.#lastBlob;
    writer.u8(REFERENCE.BLOB);
    writer.varint(number);
    writer.string(blob.type);
    const send = (value: unknown) => {
      const start = link.begin(MESSAGE.BLOB);
      link.writer.varint(number);
      link.value(value, "blob");
      link.commit(start);
    };
    blob.arrayBuffer().then(send, (error) => send(new Error(`Cannot read a Blob: ${error}`)));
  }

  /** Reads a BLOB message, whose value is `value`. */
  blobArrived(number: number, value: unknown): void {
    const pending = this.#blobs.get(number);
    this.#blobs.delete(number);
    if (value instanceof ArrayBuffer) pending?.resolve?.(value);
    else pending?.reject?.(value);
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
    this.#returned = [];
    for (const pending of this.#blobs.values()) pending.reject?.(error);
    this.#blobs.clear();
  }
}
