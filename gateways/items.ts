/**
 * What an item weighs, roughly: enough to keep a slow reader from being sent gigabytes. Nothing is encoded for it.
 *
 * @module
 */

/** What an item weighs that is nothing but itself. */
const SMALL = 16;
/** How many entries of an object are looked at, and how deep. */
const ENTRIES = 64;
const DEPTH = 3;

/** About how many bytes an item takes. */
export function sizeOf(item: unknown, depth: number = DEPTH): number {
  if (typeof item === "string") return SMALL + item.length;
  if (typeof item !== "object" || item === null) return SMALL;
  if (ArrayBuffer.isView(item) || item instanceof ArrayBuffer) return SMALL + item.byteLength;
  if (depth === 0) return SMALL;
  const prototype = Object.getPrototypeOf(item);
  if (Array.isArray(item)) {
    let size = SMALL;
    const looked = Math.min(item.length, ENTRIES);
    for (let i = 0; i < looked; i++) size += sizeOf(item[i], depth - 1);
    return looked === 0 ? size : size * Math.ceil(item.length / looked);
  }
  if (prototype !== Object.prototype && prototype !== null) return SMALL;
  let size = SMALL, left = ENTRIES;
  for (const key of Object.keys(item)) {
    if (left-- === 0) break;
    // Only what is there: a getter is for the encoder to run, once.
    size += key.length + sizeOf(Object.getOwnPropertyDescriptor(item, key)?.value, depth - 1);
  }
  return size;
}
