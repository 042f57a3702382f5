/**
 * What an end needs to know of proxies that may have none: telling a proxy from everything else, and how to refer to it. Proxies themselves are in
 * `faces.ts`, which comes with the extension.
 *
 * @module
 */

import type { Writer } from "../protocol/writer.ts";
import type { Call } from "./call.ts";

/** The key under which a proxy gives its face. Only for `faces.ts`. */
export const FACE: unique symbol = Symbol("face");

/** What is behind every proxy. */
export abstract class AnyFace {
  /** How it is printed. */
  abstract describe(): string;
  /** What asking for `then`, `catch` and `finally` gives; undefined where the proxy is no promise. */
  abstract promise(): Promise<unknown> | undefined;
  /**
   * Writes a reference, where what this is the face of belongs to the receiver.
   *
   * @param operator Who asks the receiver.
   * @param needed Gets the operations whose results that takes.
   * @returns Whether that is so.
   */
  abstract write(writer: Writer, operator: object, needed: Call[]): boolean;
  /**
   * Passes an operation on to where its object lives, with which we have a connection.
   *
   * @param further What it follows from what this is the face of.
   * @param action What to do then, one of `ACTION`.
   * @param args What to do it with.
   * @param reference Whether a reference to the result is wanted.
   * @param held Whether others will be built upon its result.
   * @param signal Gives it up.
   * @returns A proxy of the result.
   */
  abstract pass(
    further: readonly string[],
    action: number,
    args: readonly unknown[],
    reference: boolean,
    held: boolean,
    signal: AbortSignal,
  ): object;
}

/** The face behind a proxy; undefined for everything else. */
export function anyFace(value: unknown): AnyFace | undefined {
  if (typeof value !== "function") return;
  const face = (value as { [FACE]?: unknown })[FACE];
  return face instanceof AnyFace ? face : undefined;
}

/** The names that are never looked up over there. */
export function isHidden(name: string): boolean {
  return name.startsWith("_") || name === "constructor" || name === "prototype" || name === "then";
}
