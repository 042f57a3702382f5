/**
 * Counts the files below a folder, wherever this happens to run. An example of a module that is spread over several files and knows nothing of
 * across: it uses what deno, node and bun have in common.
 *
 * @module
 */

import { hostname } from "node:os";
import process from "node:process";
import { type Kind, kindOf } from "./kinds.ts";
import { walk } from "./walk.ts";

/** What was found. */
export interface Census {
  /** Who counted. */
  readonly by: { readonly host: string; readonly pid: number; readonly runtime: string };
  readonly files: number;
  readonly bytes: number;
  /** How many files there are of each kind. */
  readonly kinds: Map<Kind, number>;
}

function runtimeName(): string {
  const { deno, bun, node } = process.versions as Record<string, string | undefined>;
  return deno ? `deno ${deno}` : bun ? `bun ${bun}` : `node ${node}`;
}

/**
 * Counts.
 *
 * @param folder Where to begin.
 * @returns the counts
 */
export async function census(folder = "."): Promise<Census> {
  const kinds = new Map<Kind, number>();
  let files = 0;
  let bytes = 0;
  for await (const { name, size } of walk(folder)) {
    const kind = kindOf(name);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    files++;
    bytes += size;
  }
  return { by: { host: hostname(), pid: process.pid, runtime: runtimeName() }, files, bytes, kinds };
}

export default census;
