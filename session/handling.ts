/**
 * The public functions on proxies, paths and results: what cannot be a property of a proxy, whose properties are those of the object over there.
 *
 * @module
 */

import { ACTION } from "../protocol/messages.ts";
import { changeProperty, copyOf, isRemote, keepResult, release as releaseFace } from "./faces.ts";
import { Referred, shipFunction } from "./marks.ts";
import type { Pending, Received, Reference, Remote, RemoteBase, RemotePromise, Sendable } from "./types.ts";

/** A proxy, or a path or result that leads to something. */
export type Target<T> = RemoteBase<T> | Pending<T>;

/**
 * Marks a value that is to be passed or returned as a proxy instead of being copied.
 *
 * @example
 * ```ts
 * import { biosCommand, Connection, type Remote, ref } from "@x/across";
 * import { assertEquals } from "@std/assert";
 *
 * await using conn = Connection.fromCommand(biosCommand());
 * const cheeses = ["Feta"];
 * await conn.call(async (list: Remote<string[]>) => void await list.push("Brie"), ref(cheeses));
 * assertEquals(cheeses, ["Feta", "Brie"]);
 * ```
 */
export function ref<T>(value: T): Reference<T> {
  return new Referred(value) as unknown as Reference<T>;
}

/**
 * Has a function passed as code, to run where it arrives, instead of as a callback that runs here.
 *
 * @returns A stand-in for the function.
 */
export function ship<F extends (...args: never[]) => unknown>(fn: F): F {
  if (typeof fn !== "function") throw new TypeError(`Cannot ship a ${typeof fn}: pass a function`);
  return shipFunction(fn);
}

/**
 * Asks for a proxy of a result instead of a copy.
 *
 * @param chain What leads to it, not awaited: `await keep(directory.find("alice"))`.
 * @throws {OperationError} If it was awaited already.
 */
export function keep<T>(chain: Target<T>): RemotePromise<Remote<T>> {
  return keepResult(chain) as RemotePromise<Remote<T>>;
}

/** Gives a local copy of what a proxy, path or result refers to. */
export function copy<T>(target: Target<T>): Promise<Received<T>> {
  return copyOf(target) as Promise<Received<T>>;
}

/** Assigns a property of what a proxy, path or result refers to. */
export async function set<T, K extends keyof T>(target: Target<T>, key: K, value: Sendable<T[K]>): Promise<void> {
  await changeProperty(target, ACTION.SET, key, [value]);
}

/** Deletes a property of what a proxy, path or result refers to. */
export async function del<T>(target: Target<T>, key: keyof T): Promise<boolean> {
  return await changeProperty(target, ACTION.DELETE, key, []) as boolean;
}

/** Tells whether what a proxy, path or result refers to has a public property. */
export async function has<T>(target: Target<T>, key: keyof T): Promise<boolean> {
  return await changeProperty(target, ACTION.HAS, key, []) as boolean;
}

/** Gives a reference back now, instead of when the proxy is garbage-collected. Doing it twice is harmless. */
export function release(target: Target<unknown>): void {
  releaseFace(target);
}

/** Tells whether a value is a proxy of something on the other side of a connection. */
export function isProxy(value: unknown): value is Remote<unknown> {
  return isRemote(value);
}
