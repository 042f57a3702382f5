/**
 * Whether somebody has read from a web stream before, which no standard tells directly.
 *
 * @module
 */

import { nodeProcess } from "./host.ts";

/** What is used of `node:stream`. */
interface NodeStreams {
  isDisturbed?(stream: object): boolean;
}

/**
 * Tells whether a stream was read from or cancelled.
 *
 * @param stream A stream that is not locked.
 */
export function isDisturbed(stream: ReadableStream): boolean {
  // Elsewhere than in Deno the first `Response` takes 20 ms or more to load.
  const { isDisturbed } = nodeProcess?.getBuiltinModule?.("node:stream") as NodeStreams | undefined ?? {};
  if (isDisturbed) return isDisturbed(stream);
  try {
    new Response(stream);
    return false;
  } catch {
    return true;
  }
}
