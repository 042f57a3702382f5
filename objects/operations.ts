/**
 * Operations on remote objects that are no properties of theirs: reading with a default, running a function where the object is, overridden methods.
 * They work on all proxies, paths and results, of served objects and of others.
 *
 * @module
 */

import type { Connection, Received, Remote, RemotePromise, Returned, SendableAll, Target } from "../mod.ts";
import { keep, ship } from "../mod.ts";
import { ACTION } from "../protocol/messages.ts";
import type { Face, Origin } from "../session/faces.ts";
import { faceOf, RemoteFace, ResultFace } from "../session/faces.ts";
import { follow } from "../session/lookup.ts";
import { Gate, GateFace } from "./gate.ts";
import { isUnreachable, notServed } from "./not_served.ts";
import type { Hooks } from "./registry.ts";
import { provideHooks } from "./registry.ts";
import { Route } from "./route.ts";
import type { WaitOptions } from "./waits.ts";
import { waitFor } from "./waits.ts";

function needFace(target: unknown, verb: string): Face {
  const face = faceOf(target);
  if (!face) throw new TypeError(`Cannot ${verb} something that is not a proxy, path or result of a connection`);
  return face;
}

/**
 * Reads what a proxy, path or result leads to, as `await` does, but with a default: where it is undefined, where nobody listens or the process is
 * gone, and where there is no answer in time. What the object itself throws is thrown.
 *
 * @param chain What leads to it, not awaited.
 * @param defaultValue What is given instead. Without one, the errors are thrown.
 * @param options How long to wait.
 * @throws {DOMException} A `TimeoutError`, if the time is over and there is no default.
 *
 * @example
 * ```ts
 * import { get, Served } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * const { face } = new Served(new Map([["a", 1]]));
 * assertEquals(await get(face.get("a"), 0), 1);
 * assertEquals(await get(face.get("b"), 0), 0);
 * ```
 */
export function get<T>(chain: Target<T>): Promise<Received<T>>;
/** Reads with a default. */
export function get<T, D>(chain: Target<T>, defaultValue: D, options?: WaitOptions): Promise<Received<T> | D>;
export async function get(chain: unknown, ...rest: [defaultValue?: unknown, options?: WaitOptions]): Promise<unknown> {
  const [defaultValue, options = {}] = rest;
  const face = needFace(chain, "read");
  const { operator, origin, path } = face;
  const call = face instanceof ResultFace ? face.call : operator.operate(origin, path, ACTION.GET, [], false);
  const result = operator.result(call);
  let value: unknown;
  try {
    if (options.timeout === undefined && !options.signal) value = await result;
    else {
      await waitFor("There was no answer", options, (settle) => {
        result.then((it) => (value = it, settle()), (error) => settle(error ?? new Error("Failed")));
        return () => {};
      });
    }
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    if (late) operator.cancel(call, error);
    if (rest.length === 0 || !late && !isUnreachable(error)) throw error;
    return defaultValue;
  }
  return value === undefined && rest.length > 0 ? defaultValue : value;
}

/** Something that is here, behind a gate. */
interface Here {
  readonly gate: Gate;
  readonly origin: Origin;
  readonly path: readonly string[];
}

/** Where something is: here, or on the other side of a connection. */
type Place =
  | Here
  | { readonly connection: Connection; readonly base: unknown; readonly path: readonly string[] };

/** Where what a face leads to is; undefined if nobody serves it. */
function placeOf(face: Face, target: unknown): Place | undefined {
  face.chain();
  let { operator, origin } = face;
  if (operator instanceof Route) {
    const there = operator.locate(origin);
    if (!there) return;
    ({ operator, origin } = there);
  }
  const { path } = face;
  if (operator instanceof Gate) return { gate: operator, origin, path };
  const connection = operator.connection as Connection;
  // What leads on from a result goes there as it is: it is found there when it is there.
  return origin instanceof RemoteFace
    ? { connection, base: origin.proxy, path }
    : { connection, base: target, path: [] };
}

/** Runs over there, from its source. */
const PASS = (
  target: unknown,
  path: readonly string[],
  fn: (...args: unknown[]) => unknown,
  args: readonly unknown[],
): unknown => {
  const here = (globalThis as Record<symbol, unknown>)[Symbol.for("across.objects")] as Hooks | undefined;
  if (here) return here.passTo(target, path, fn, args);
  for (const name of path) target = (target as Record<string, unknown>)[name];
  return fn(target, ...args);
};

/**
 * Runs a function where an object is, with the object itself as its first argument. For a served object it is one operation, in its turn.
 *
 * @param target A proxy, path or result.
 * @param fn The function; it travels as with `Connection.call()`.
 * @param args Its further arguments.
 * @returns What it returns.
 *
 * @example
 * ```ts
 * import { passTo, Served } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * const { face } = new Served({ list: [3, 1, 2] });
 * assertEquals(await passTo(face, ({ list }, n: number) => Math.max(...list) * n, 2), 6);
 * ```
 */
export async function passTo<T, A extends readonly unknown[], R>(
  target: Target<T>,
  fn: (target: T, ...args: A) => R,
  ...args: SendableAll<A>
): Promise<Returned<R>> {
  const face = needFace(target, "pass");
  const place = placeOf(face, target);
  if (!place) throw notServed(face.describe());
  if ("gate" in place) return await passHere(place, fn as never, args) as Returned<R>;
  const { connection, base, path } = place;
  return await connection.call(PASS, base, path, ship(fn) as never, args as never) as Returned<R>;
}

type AnyVisitor = (...args: unknown[]) => unknown;

function passHere({ gate, origin, path }: Here, fn: AnyVisitor, args: readonly unknown[]) {
  return gate.run(origin, path, (value) => fn(value, ...args.map((arg) => gate.own(arg))), false).promise;
}

/** The public part of what an object's class overrides, with the object as `this`. Also runs over there, from its source. */
const VIEW = (object: object): object => {
  const view: Record<string, unknown> = Object.create(null);
  const own = Object.getPrototypeOf(object);
  for (
    let at = own && Object.getPrototypeOf(own);
    at && at !== Object.prototype && at !== Function.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (name in view || name === "constructor") continue;
      const { value, get } = Object.getOwnPropertyDescriptor(at, name)!;
      if (typeof value === "function") view[name] = (...args: unknown[]) => value.apply(object, args);
      else if (get) Object.defineProperty(view, name, { get: () => get.call(object), enumerable: true });
    }
  }
  return view;
};

/** Runs over there, from its source. */
const SUPER = (target: unknown, path: readonly string[], view: (object: object) => object): unknown => {
  const here = (globalThis as Record<symbol, unknown>)[Symbol.for("across.objects")] as Hooks | undefined;
  if (here) return here.superOf(target, path);
  for (const name of path) target = (target as Record<string, unknown>)[name];
  return view(target as object);
};

/**
 * The methods and getters that the class of an object overrides or inherits, those of the class above it, with the object itself as `this`.
 *
 * @param target A proxy, path or result.
 *
 * @example
 * ```ts
 * import { Served, superOf } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * class Animal {
 *   name = "Rex";
 *   speak() {
 *     return `${this.name} makes a sound`;
 *   }
 * }
 * class Dog extends Animal {
 *   override speak() {
 *     return `${this.name} barks`;
 *   }
 * }
 * const { face } = new Served(new Dog());
 * assertEquals(await superOf(face).speak(), "Rex makes a sound");
 * ```
 */
export function superOf<T>(target: Target<T>): RemotePromise<Remote<T>> {
  const face = needFace(target, "find the class of");
  const place = placeOf(face, target);
  // What fails is the result, as that of all that is done to a face.
  if (!place) return keep(target) as unknown as RemotePromise<Remote<T>>;
  if ("gate" in place) return superHere(place) as RemotePromise<Remote<T>>;
  const { connection, base, path } = place;
  return connection.callRef(SUPER, base, path, ship(VIEW) as never) as unknown as RemotePromise<Remote<T>>;
}

function superHere({ gate, origin, path }: Here): object {
  const call = gate.run(origin, path, (value) => VIEW(value as object), true);
  return new ResultFace(gate, call).proxy;
}

provideHooks({
  passTo(target, path, fn, args) {
    const place = gateOf(target, path);
    return place
      ? passHere(place, fn as AnyVisitor, args)
      : then(follow(target, path), (it) => fn(it as never, ...args as never[]));
  },
  superOf(target, path) {
    const place = gateOf(target, path);
    return place ? superHere(place) : then(follow(target, path), (it) => VIEW(it as object));
  },
});

function gateOf(target: unknown, path: readonly string[]): Here | undefined {
  const origin = faceOf(target);
  return origin instanceof GateFace ? { gate: origin.operator as Gate, origin, path } : undefined;
}

function then(value: unknown, go: (value: unknown) => unknown): unknown {
  return value instanceof Promise ? value.then(go) : go(value);
}
