/**
 * Parts of a message that are not there when it is decoded: results of calls that still run, code that is still loaded, bytes of blobs. They are
 * decoded as placeholders, which are replaced before anybody sees the value.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";

/** Stands for a part of a value until it is there. */
export class Pending {
  /** Settles with what belongs here. */
  readonly promise: Promise<unknown>;
  /** What belongs here, once it is there. */
  value: unknown;

  constructor(promise: Promise<unknown>) {
    this.promise = promise.then((value) => {
      this.value = value;
    });
    this.promise.catch(() => {});
  }
}

/** What a message has to be completed with. */
export interface Arriving {
  /** The placeholders in it. */
  readonly parts: readonly Pending[];
  /** Objects in it that were here before, and are nobody's to look into. */
  readonly own: readonly unknown[];
}

/**
 * Waits for all parts, then puts them in their places.
 *
 * @param root What was decoded.
 * @returns The value; `root` itself unless that is a placeholder.
 */
export async function complete<T>(root: T, { parts, own }: Arriving): Promise<T> {
  await Promise.all(parts.map((part) => part.promise));
  return replaced(root, new Set(own)) as T;
}

/** Replaces placeholders in `value`, in place, and gives what belongs in the place of `value` itself. */
function replaced(value: unknown, seen: Set<unknown>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Pending) return value.value;
  // Some runtimes keep all that belongs to a stream in its properties.
  if (value instanceof ReadableStream || value instanceof WritableStream) return value;
  if (seen.has(value)) return value;
  seen.add(value);
  if (value instanceof Map) {
    const entries = [...value];
    value.clear();
    for (const [key, item] of entries) value.set(replaced(key, seen), replaced(item, seen));
  } else if (value instanceof Set) {
    const items = [...value];
    value.clear();
    for (const item of items) value.add(replaced(item, seen));
  } else if (!ArrayBuffer.isView(value)) {
    for (const key of Reflect.ownKeys(value)) {
      const property = Reflect.getOwnPropertyDescriptor(value, key)!;
      if (typeof property.value !== "object" || property.value === null) continue;
      const item = replaced(property.value, seen);
      // As in the decoder: no `await` of ours may call what the peer chose.
      if (key === "then" && typeof item === "function") {
        throw new OperationError("Cannot receive an object with a function named then");
      }
      if (item !== property.value) Reflect.defineProperty(value, key, { ...property, value: item });
    }
  }
  return value;
}
