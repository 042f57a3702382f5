/**
 * `ACROSS_DEBUG` in the environment: with `1` each process writes what across does there to a file of its own, `across-debug-PID` in its temporary
 * directory; with `2` everything goes to stderr, which whoever started a process passes on. Kinds and sizes of messages, never what is in them.
 *
 * The environment is read by the side that dials only. An end that it boots is told: to write to stderr by our hello, as with `setDebugLevel()`, and to
 * write to a file by a few lines that stand before the kernel and go along with it to further hops. So the kernel itself knows no files, and is as
 * small as before where nobody asks for them.
 *
 * @module
 */

import { MESSAGE } from "../protocol/messages.ts";
import { debugFile } from "../runtime/debug_file.ts";
import { env } from "../runtime/host.ts";
import { ALSO_SAY, alsoSay, setDebugLevel } from "./debug.ts";

let prelude: Uint8Array | undefined;

/** Begins to write what the environment asks for, if anything. */
export function startDebug(): void {
  const wanted = env("ACROSS_DEBUG");
  if (wanted === "2") setDebugLevel(2);
  if (wanted !== "1") return;
  // Kinds are counted in one table, of which a booted end has the numbers only.
  const kinds = Object.fromEntries(Object.entries(MESSAGE).map(([name, kind]) => [kind, name.toLowerCase()]));
  // An end that was booted with this has it already, and passes it on.
  if (Reflect.has(globalThis, ALSO_SAY)) return;
  alsoSay(debugFile(kinds));
  // The directive stays the first thing of the kernel.
  const text = `"use strict";globalThis[Symbol.for("${ALSO_SAY.description}")]=(${debugFile})(${
    JSON.stringify(kinds)
  });\n`;
  prelude = stored(new TextEncoder().encode(text));
}

/** A block of raw deflate that holds bytes as they are, and is not the last one: what was packed before can follow it. */
function stored(bytes: Uint8Array): Uint8Array {
  const block = new Uint8Array(5 + bytes.length);
  const view = new DataView(block.buffer);
  view.setUint16(1, bytes.length, true);
  view.setUint16(3, ~bytes.length & 0xffff, true);
  block.set(bytes, 5);
  return block;
}

/** The kernel that is sent to ends that we boot. */
export function withDebug(kernel: Uint8Array): Uint8Array {
  if (!prelude) return kernel;
  const all = new Uint8Array(prelude.length + kernel.length);
  all.set(prelude);
  all.set(kernel, prelude.length);
  return all;
}
