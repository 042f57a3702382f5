/**
 * What tests of streams make and read.
 *
 * @module
 */

/** All that a stream gives. */
export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Its bytes in one piece. */
export const bytesOf = async (stream: ReadableStream<Uint8Array>): Promise<Uint8Array> =>
  new Uint8Array(await new Response(stream).arrayBuffer());

/** Bytes that differ everywhere. */
export const pattern = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 8)) & 255;
  return bytes;
};

/** A stream that counts what was taken of it, never ends, and keeps why it was cancelled. */
export function endless<T>(
  make: (n: number) => T,
): { stream: ReadableStream<T>; taken: () => number; reason: Promise<unknown> } {
  let n = 0;
  const { promise: reason, resolve } = Promise.withResolvers<unknown>();
  const stream = new ReadableStream<T>({
    pull: (controller) => controller.enqueue(make(n++)),
    cancel: (why) => resolve(why),
  }, { highWaterMark: 0 });
  return { stream, taken: () => n, reason };
}
