/**
 * The faces of what lives on the other side, as ES proxies: of an object ({@linkcode RemoteFace}), of a path from one ({@linkcode PathFace}) and of
 * the result of an operation ({@linkcode ResultFace}). They translate what a program does to them into operations, and send nothing themselves.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { ACTION, REFERENCE } from "../protocol/messages.ts";
import type { Writer } from "../protocol/writer.ts";
import { Call } from "./call.ts";
import { AnyFace, anyFace, FACE, isHidden } from "./face.ts";
import { writeOrigin, writePath } from "./paths.ts";
import { watch } from "./watch.ts";

/** An object of the peer that we hold a reference to: how often it was received, so that we can give it back. */
export interface Holding {
  /** Its number over there. */
  readonly handle: number;
  /** What it is, for people. */
  readonly name: string;
  /** How many of its references we have; 0 when it was released. */
  count: number;
}

/** Where an operation starts: a reference, the result of another operation, or what the peer exposes. */
export type Origin = RemoteFace | Call | undefined;

/** What faces need of their session. */
export interface Operator {
  /** The public connection. */
  readonly connection: object;
  /** The operator without limits: the same for all faces of a connection. */
  readonly caller: Operator;
  /**
   * Issues an operation.
   *
   * @param origin Where it starts.
   * @param path Names of properties to follow from there.
   * @param action What to do then, one of `ACTION`.
   * @param args What to do it with.
   * @param reference Whether a reference to the result is wanted.
   */
  operate(origin: Origin, path: readonly string[], action: number, args: readonly unknown[], reference: boolean): Call;
  /** Marks a call as awaited and gives the promise of its result. */
  result(call: Call): Promise<unknown>;
  /** Iterates over what a path leads to. */
  iterate(origin: Origin, path: readonly string[]): AsyncIterator<unknown>;
  /** Gives a reference back. */
  release(holding: Holding): void;
  /** Gives a call up. */
  cancel(call: Call, reason: unknown): void;
}

const NOTHING: readonly string[] = [];

/**
 * What proxies are made around: callable and constructible, without properties that a proxy would have to show. Runtimes print the target of a
 * proxy in its place, hence its own printing methods.
 */
function makeTarget(describe: () => string): object {
  const target = function () {}.bind(undefined);
  for (const name of ["Deno.customInspect", "nodejs.util.inspect.custom"]) {
    Object.defineProperty(target, Symbol.for(name), { value: describe, configurable: true });
  }
  return target;
}

/** Paths and results come and go with every call: they share a target. */
const passing = makeTarget(() => "Remote <result>");

/** What the three kinds of faces share: building paths, and everything that is answered here. */
export abstract class Face extends AnyFace implements ProxyHandler<object> {
  readonly operator: Operator;
  /** Where operations on this face start. */
  abstract readonly origin: Origin;
  /** What leads from there to what this is the face of. */
  readonly path: readonly string[];

  constructor(operator: Operator, path: readonly string[]) {
    super();
    this.operator = operator;
    this.path = path;
  }

  /** A proxy of this face. */
  abstract readonly proxy: object;

  /** @throws {OperationError} If nothing can be built upon it any more. */
  chain(): void {}

  write(writer: Writer, operator: object, needed: Call[]): boolean {
    if (this.operator.caller !== operator) return false;
    // The result of an operation, or a path: it is resolved over there, where it is.
    this.chain();
    if (this.origin instanceof Call) needed.push(this.origin);
    writer.u8(REFERENCE.PENDING);
    writeOrigin(writer, this.origin, operator);
    writePath(writer, this.path);
    return true;
  }

  pass(
    further: readonly string[],
    action: number,
    args: readonly unknown[],
    reference: boolean,
    held: boolean,
    signal: AbortSignal,
  ): object {
    const { operator, origin, path } = this;
    if (origin instanceof Call) origin.chain();
    const call = operator.operate(origin, [...path, ...further], action, args, reference);
    if (held) call.chain();
    watch(signal, { aborted: (reason) => operator.cancel(call, reason) });
    return new ResultFace(operator, call).proxy;
  }

  get(target: object, key: string | symbol, receiver: unknown): unknown {
    if (typeof key === "string") {
      switch (key) {
        case "then":
          if (this instanceof RemoteFace) return;
          return (resolved?: (value: unknown) => unknown, rejected?: (error: unknown) => unknown) =>
            this.promise()!.then(resolved, rejected);
        case "catch":
        case "finally":
          // deno-lint-ignore no-explicit-any -- `then`, `catch` and `finally` take what a promise's own do
          if (!(this instanceof RemoteFace)) return (...args: any[]) => (this.promise() as any)[key](...args);
          break;
        case "toString":
        case "valueOf":
        case "inspect":
          return () => this.describe();
        case "toJSON":
          return () => {
            throw new TypeError(`Cannot turn ${this.describe()} into JSON: use copy() to get a local copy first`);
          };
      }
      if (isHidden(key)) return;
      this.chain();
      return new PathFace(this.operator, this.origin, [...this.path, key]).proxy;
    }
    switch (key) {
      case FACE:
        return this;
      case Symbol.toPrimitive:
        return () => this.describe();
      case Symbol.toStringTag:
        return "Remote";
      case Symbol.asyncIterator:
        return () => {
          this.chain();
          return this.operator.iterate(this.origin, this.path);
        };
      case Symbol.dispose:
        return () => release(receiver);
      case Symbol.asyncDispose:
        return () => this.#dispose(receiver);
    }
    return Reflect.get(target, key);
  }

  async #dispose(proxy: unknown): Promise<void> {
    try {
      await this.operator.result(this.operator.operate(this.origin, this.path, ACTION.DISPOSE, [], false));
    } finally {
      release(proxy);
    }
  }

  apply(_target: object, _this: unknown, args: unknown[]): object {
    return this.#operate(ACTION.CALL, args, false);
  }

  construct(_target: object, args: unknown[]): object {
    return this.#operate(ACTION.NEW, args, true);
  }

  #operate(action: number, args: unknown[], reference: boolean): object {
    this.chain();
    return new ResultFace(this.operator, this.operator.operate(this.origin, this.path, action, args, reference)).proxy;
  }

  set(_target: object, key: string | symbol): never {
    throw new TypeError(`Cannot assign "${String(key)}" of ${this.describe()}: use set(proxy, key, value)`);
  }

  defineProperty(_target: object, key: string | symbol): never {
    throw new TypeError(`Cannot define "${String(key)}" of ${this.describe()}: use set(proxy, key, value)`);
  }

  deleteProperty(_target: object, key: string | symbol): never {
    throw new TypeError(`Cannot delete "${String(key)}" of ${this.describe()}: use del(proxy, key)`);
  }

  has(_target: object, key: string | symbol): boolean {
    if (typeof key === "symbol") return key === Symbol.asyncIterator;
    throw new TypeError(`Cannot look for "${key}" in ${this.describe()}: use has(proxy, key)`);
  }

  getPrototypeOf(): null {
    return null; // never instanceof anything
  }

  setPrototypeOf(): false {
    return false;
  }

  preventExtensions(): false {
    return false;
  }

  ownKeys(): [] {
    return [];
  }

  getOwnPropertyDescriptor(): undefined {}
}

/** The face of an object over there. Not a promise, so that async functions may return its proxy. */
export class RemoteFace extends Face {
  /** The reference; absent for what the peer exposes. */
  readonly holding: Holding | undefined;
  /** Its only proxy. */
  readonly proxy: object = new Proxy(makeTarget(() => this.describe()), this);
  /** The face that the reference is given back with, if that is another one. */
  readonly holder: RemoteFace | undefined;

  constructor(operator: Operator, holding: Holding | undefined, holder?: RemoteFace) {
    super(operator, NOTHING);
    this.holding = holding;
    this.holder = holder;
  }

  get origin(): Origin {
    return this;
  }

  describe(): string {
    return `Remote <${this.holding?.name ?? "root"}>`;
  }

  promise(): undefined {}

  override write(writer: Writer, operator: object, needed: Call[]): boolean {
    const { holding } = this;
    if (!holding || this.operator.caller !== operator) return super.write(writer, operator, needed);
    writer.u8(REFERENCE.YOURS);
    if (holding.count === 0) throw new OperationError(`Cannot send ${this.describe()} as it was released`);
    writer.varint(holding.handle);
    return true;
  }
}

/** The face of something that a path leads to. Awaiting it reads it, at most once. */
export class PathFace extends Face {
  readonly origin: Origin;
  #read: Call | undefined;

  constructor(operator: Operator, origin: Origin, path: readonly string[]) {
    super(operator, path);
    this.origin = origin;
  }

  get proxy(): object {
    return new Proxy(passing, this);
  }

  describe(): string {
    const base = this.origin instanceof RemoteFace ? this.origin.describe().slice(8, -1) : "result";
    return `Remote <${base}.${this.path.join(".")}>`;
  }

  promise(): Promise<unknown> {
    this.#read ??= this.operator.operate(this.origin, this.path, ACTION.GET, [], false);
    return this.operator.result(this.#read);
  }
}

/** The face of the result of an operation. */
export class ResultFace extends Face {
  readonly call: Call;

  constructor(operator: Operator, call: Call) {
    super(operator, NOTHING);
    this.call = call;
  }

  get origin(): Origin {
    return this.call;
  }

  get proxy(): object {
    return new Proxy(passing, this);
  }

  describe(): string {
    return "Remote <result>";
  }

  promise(): Promise<unknown> {
    return this.operator.result(this.call);
  }

  override chain(): void {
    this.call.chain();
  }
}

/** The face behind a proxy; undefined for everything else. */
export const faceOf: (value: unknown) => Face | undefined = anyFace as never;

function needFace(value: unknown, verb: string): Face {
  return faceOf(value) ?? fail(`Cannot ${verb} something that is not a proxy, path or result of a connection`);
}

function fail(message: string): never {
  throw new TypeError(message);
}

/** A proxy of the same as `value`, whose operations go through `operator`. */
export function faceUnder(value: unknown, operator: Operator): object {
  const face = needFace(value, "use");
  if (face.operator.caller !== operator.caller) fail(`Cannot use ${face.describe()} on another connection`);
  if (face instanceof RemoteFace) return new RemoteFace(operator, face.holding, face).proxy;
  face.chain();
  return new PathFace(operator, face.origin, face.path).proxy;
}

/** See {@linkcode isProxy}. */
export function isRemote(value: unknown): boolean {
  return faceOf(value) instanceof RemoteFace;
}

/** See `mod.ts`: the public functions on proxies. */
export function release(value: unknown): void {
  const face = needFace(value, "release");
  if (face instanceof RemoteFace && face.holding) face.operator.release(face.holding);
  if (face instanceof ResultFace) {
    face.promise().then((it) => faceOf(it) instanceof RemoteFace && release(it), () => {});
  }
}

/** A promise of a proxy of what `value` refers to. */
export function keepResult(value: unknown): object {
  const { operator, origin, path, ...face } = needFaceParts(value, "keep");
  const call = face.call;
  if (call && !call.sent) {
    call.reference = true;
    return value as object;
  }
  call?.chain();
  return new ResultFace(operator, operator.operate(origin, path, ACTION.GET, [], true)).proxy;
}

function needFaceParts(
  value: unknown,
  verb: string,
): { operator: Operator; origin: Origin; path: readonly string[]; call: Call | undefined } {
  const face = needFace(value, verb);
  const { operator, origin, path } = face;
  return { operator, origin, path, call: face instanceof ResultFace ? face.call : undefined };
}

/** A copy of what `value` refers to. */
export function copyOf(value: unknown): Promise<unknown> {
  const face = needFace(value, "copy");
  const { operator, origin, path } = face;
  return face.promise() ?? operator.result(operator.operate(origin, path, ACTION.GET, [], false));
}

/** Sets, deletes or looks for a property of what `value` refers to. */
export function changeProperty(
  value: unknown,
  action: number,
  key: unknown,
  args: readonly unknown[],
): Promise<unknown> {
  const face = needFace(value, "change");
  if (typeof key !== "string" && typeof key !== "number") fail("Cannot use a symbol as the name of a remote property");
  const name = String(key);
  if (isHidden(name)) throw new OperationError(`Cannot reach "${name}": the name is not public`);
  face.chain();
  return face.operator.result(face.operator.operate(face.origin, [...face.path, name], action, args, false));
}
