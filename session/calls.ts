/**
 * What one can ask of the other side of a connection: the part that a `Connection` and its scopes have in common.
 *
 * @module
 */

import { ACTION, BASE } from "../protocol/messages.ts";
import type { Call } from "./call.ts";
import type { Base } from "./caller.ts";
import { faceOf, faceUnder, RemoteFace, ResultFace } from "./faces.ts";
import type { Operator } from "./faces.ts";
import type { Target } from "./handling.ts";
import type { Scope } from "./scope.ts";
import type {
  AnyConstructor,
  AnyFunction,
  Origin,
  Received,
  Remote,
  RemotePromise,
  Returned,
  SendableAll,
} from "./types.ts";

/** What issues operations: a caller, or a scope of one. */
interface Issuer extends Operator {
  operateOn(base: Base, action: number, args: readonly unknown[], reference: boolean): Call;
}

/** Operations on the other side of a connection. A `Connection` has them, and so has what its `with()` gives. */
export abstract class Calls {
  readonly #issuer: Issuer;

  /**
   * For classes that extend it.
   *
   * @param issuer Gives what issues them, when it is told what they belong to.
   */
  constructor(issuer: (self: Calls) => Issuer) {
    this.#issuer = issuer(this);
  }

  /**
   * Calls a function on the other side; a class is constructed.
   *
   * @param fn A function or class (by exported name, public name, or source), a proxy of one, or a path that leads to one.
   * @param args Its arguments.
   * @returns What it returns or what its promise gives. The value is copied, and functions in it become proxies.
   * @throws {OperationError} If the call cannot be made; the connection lives.
   * @throws {DisconnectError} If the connection is gone, or goes before the answer.
   */
  call<F extends AnyFunction>(
    fn: F | Target<F>,
    ...args: SendableAll<Parameters<F>>
  ): RemotePromise<Returned<ReturnType<F>>, Origin<ReturnType<F>>>;
  /** Constructs a class on the other side, and copies the object. */
  call<C extends AnyConstructor>(
    fn: C | Target<C>,
    ...args: SendableAll<ConstructorParameters<C>>
  ): RemotePromise<Received<InstanceType<C>>, InstanceType<C>>;
  call(fn: unknown, ...args: unknown[]): unknown {
    return this.#invoke(fn, args, false);
  }

  /**
   * Calls a function on the other side and gives a proxy of the result, which stays there. The same as `keep(conn.call(fn, ...args))`.
   *
   * @param fn As of {@linkcode Calls.call}.
   * @param args Its arguments.
   */
  callRef<F extends AnyFunction>(
    fn: F | Target<F>,
    ...args: SendableAll<Parameters<F>>
  ): RemotePromise<Remote<Origin<ReturnType<F>>>>;
  /** Constructs a class on the other side, and gives a proxy of the object. */
  callRef<C extends AnyConstructor>(
    fn: C | Target<C>,
    ...args: SendableAll<ConstructorParameters<C>>
  ): RemotePromise<Remote<InstanceType<C>>>;
  callRef(fn: unknown, ...args: unknown[]): unknown {
    return this.#invoke(fn, args, true);
  }

  /**
   * Copies a value to the other side.
   *
   * @returns A proxy of the copy.
   */
  replicate<T>(value: T): RemotePromise<Remote<T>> {
    return this.#issue({ base: BASE.VALUE, value }, ACTION.GET, true) as RemotePromise<Remote<T>>;
  }

  /**
   * Executes JavaScript on the other side, in a scope of its own. `await` works.
   *
   * @param source Statements or an expression.
   * @param variables Values that it sees under these names.
   * @returns The value of the last expression.
   */
  execute<T = unknown>(source: string, variables: Record<string, unknown> = {}): RemotePromise<Received<T>> {
    if (typeof source !== "string") throw new TypeError(`Cannot execute a ${typeof source}: pass source text`);
    return this.#issue({ base: BASE.SOURCE, source, variables }, ACTION.GET, false) as RemotePromise<Received<T>>;
  }

  /**
   * Imports a module on the other side.
   *
   * @param specifier URL of an exported module, or what the peer can import by itself, such as `node:fs/promises`.
   * @returns A proxy of its namespace.
   */
  import<T = unknown>(specifier: string): RemotePromise<Remote<T>> {
    return this.#issue({ base: BASE.MODULE, specifier }, ACTION.GET, true) as RemotePromise<Remote<T>>;
  }

  /** What the peer exposes, as a proxy. Asking for it sends nothing. */
  root<T>(): Remote<T> {
    return new RemoteFace(this.#issuer, undefined).proxy as Remote<T>;
  }

  #invoke(fn: unknown, args: readonly unknown[], reference: boolean): object {
    const issuer = this.#issuer;
    const face = faceOf(fn);
    if (face && face.operator.caller === issuer.caller) {
      face.chain();
      // A scope counts for more than the one that the function came from.
      const operator = issuer === issuer.caller ? face.operator : issuer;
      return new ResultFace(operator, operator.operate(face.origin, face.path, ACTION.INVOKE, args, reference)).proxy;
    }
    if (typeof fn !== "function") {
      throw new TypeError(`Cannot call ${fn === null ? "null" : `a ${typeof fn}`}: pass a function or class`);
    }
    return this.#issue({ base: BASE.DEFINED, fn }, ACTION.INVOKE, reference, args);
  }

  #issue(base: Base, action: number, reference: boolean, args: readonly unknown[] = []): object {
    const issuer = this.#issuer;
    return new ResultFace(issuer, issuer.operateOn(base, action, args, reference)).proxy;
  }
}

/**
 * The operations of a connection under a signal or a deadline, see `Connection.with()`. A call rejects at once with the signal's reason, or with a
 * `TimeoutError`, a `DOMException`; over there `getCallSignal()` and the signals among its arguments are aborted. Chains that start here inherit it.
 */
export class CallScope extends Calls {
  readonly #scope: Scope;

  /** Made by `Connection.with()`. */
  constructor(scope: Scope) {
    super(() => scope);
    this.#scope = scope;
  }

  /**
   * The same proxy, path or result under this scope, for what goes on from it.
   *
   * @param proxy One of this connection.
   * @throws {TypeError} If it is none, or of another connection.
   * @throws {OperationError} If it is a result that was awaited already.
   */
  on<T extends Target<unknown>>(proxy: T): T {
    return faceUnder(proxy, this.#scope) as T;
  }
}
