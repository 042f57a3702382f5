/**
 * Raw deflate by the means that each runtime has at hand. Node's `DecompressionStream` takes 26 ms the first time, its zlib 2 ms; in Deno and
 * Bun it is the other way round.
 *
 * @module
 */

import { builtin, runtime } from "./host.ts";

/** What is used of `node:zlib`. */
interface Zlib {
  deflateRawSync(bytes: Uint8Array): Uint8Array;
  inflateRawSync(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

/** Compresses. */
export async function deflate(bytes: Uint8Array): Promise<Uint8Array> {
  if (runtime !== "node") return await pass(bytes, new CompressionStream("deflate-raw"), Infinity);
  return (await builtin<Zlib>("node:zlib")).deflateRawSync(bytes);
}

/**
 * Decompresses.
 *
 * @throws {RangeError} when there are more than `limit` bytes
 * @throws {Error} when these are not compressed bytes
 */
export async function inflate(bytes: Uint8Array, limit: number): Promise<Uint8Array> {
  if (runtime !== "node") return await pass(bytes, new DecompressionStream("deflate-raw"), limit);
  return (await builtin<Zlib>("node:zlib")).inflateRawSync(bytes, { maxOutputLength: limit });
}

async function pass(bytes: Uint8Array, through: CompressionStream, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const writer = through.writable.getWriter();
  // What goes wrong is heard of by who reads.
  for (const done of [writer.write(bytes as Uint8Array<ArrayBuffer>), writer.close()]) done.catch(() => {});
  for await (const chunk of through.readable as ReadableStream<Uint8Array>) {
    length += chunk.length;
    // Leaving the loop cancels the stream.
    if (length > limit) throw new RangeError(`Cannot unpack more than ${limit} bytes`);
    chunks.push(chunk);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
