/**
 * What only an end needs that exports or boots others. An end that was booted starts without it, so that booting stays small; it arrives there with
 * the first module that imports across.
 *
 * @module
 */

import type { ModuleGraph } from "../modules/graph.ts";

/** See `dial.ts`, which provides it. */
export interface Provision {
  /** Reads what is exported. */
  graph(): ModuleGraph;
  /** A source in whose place its dynamic imports are served by whoever executes it. */
  portable(source: string): string;
  /** The same of a function or class, as an expression. */
  sourceOf(fn: object): string;
  /** Says more about an error where a function was sent without the variables around it. */
  explain(error: unknown, source: string): void;
  /** Makes JavaScript of TypeScript; undefined where the runtime cannot do that. */
  strip(source: string, url: string): Promise<string | undefined>;
  /** The public connection for a session that has none. */
  connection(session: object): object;
  /** Makes this across, or a part of it, the one that modules of a peer import. */
  provideSelf(id: string): Promise<void>;
  /** What is sent to a peer that has nothing but a BIOS. */
  bootBytes(): Uint8Array;
  /** The packed extension, for a peer that has the kernel. */
  extensionSource(): Uint8Array;
  /** A part of across that a booted end can run among the names of the kernel, packed like the extension, by what it is imported as; if it is here. */
  piece(specifier: string): Uint8Array | undefined;
  /** The source of an entry point of across, `mod` for the main one. */
  entrySource(name: string): Promise<string>;
}

let provided: Provision | undefined;

/** Makes it available. */
export function provide(provision: Provision): void {
  provided = provision;
}

/**
 * What was provided.
 *
 * @throws {Error} If nothing was, as across was not imported here.
 */
export function provision(): Provision {
  if (!provided) throw new Error("Cannot export or boot here before across is imported");
  return provided;
}
