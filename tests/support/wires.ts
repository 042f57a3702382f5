/**
 * Wires under test: what arrives, collected; and large amounts of bytes that can be checked without being kept. Runs in Node and Bun as well.
 *
 * @module
 */

import type { Wire } from "../../transports/wire.ts";

/** What a wire delivered. */
export interface Inbox {
  /** How many bytes so far. */
  size(): number;
  /** The sum of all bytes so far, as {@linkcode Sum} makes it. */
  sum(): number;
  /** The bytes so far as text; the first 64 KiB of them. */
  text(): string;
  /** Resolves when at least this many bytes are there, rejects when the wire ends before. */
  until(size: number): Promise<void>;
  /** Resolves when the wire has ended: with the reason, if it had one. */
  readonly ended: Promise<unknown>;
  /** Whether anything came after the end. */
  readonly late: boolean;
}

/** A sum over bytes that notices changed, lost, doubled and swapped ones. */
export class Sum {
  /** So far. */
  value = 0;

  /** Goes on with more bytes. */
  add(chunk: Uint8Array): void {
    let value = this.value;
    for (let i = 0; i < chunk.length; i++) value = (Math.imul(value, 31) + chunk[i]! + 1) | 0;
    this.value = value;
  }
}

/** Starts a wire. */
export function receive(wire: Wire): Inbox {
  const sum = new Sum();
  const start: Uint8Array[] = [];
  const waiting: { size: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  let size = 0;
  let over = false;
  let late = false;
  let end: (error: unknown) => void;
  const ended = new Promise<unknown>((resolve) => end = resolve);
  wire.start({
    data(chunk) {
      if (over) late = true;
      sum.add(chunk);
      if (size < 65536) start.push(chunk.slice());
      size += chunk.length;
      for (const it of waiting) if (size >= it.size) it.resolve();
    },
    end(error) {
      if (over) late = true;
      over = true;
      for (const it of waiting) it.reject(new Error(`Only ${size} of ${it.size} bytes came`));
      end(error);
    },
  });
  return {
    size: () => size,
    sum: () => sum.value,
    text: () => new TextDecoder().decode(Uint8Array.from(start.flatMap((chunk) => [...chunk]))),
    until: (wanted) =>
      new Promise((resolve, reject) => {
        if (size >= wanted) resolve();
        else waiting.push({ size: wanted, resolve, reject });
      }),
    ended,
    get late() {
      return late;
    },
  };
}

/** Writes, and waits until the chunk may be changed. */
export async function send(wire: Wire, data: Uint8Array | string): Promise<void> {
  await wire.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
}

/**
 * Writes many bytes out of one buffer, which is filled anew as soon as the wire says that it may be.
 *
 * @param size How many, in bytes.
 * @param chunkSize How many at once.
 * @returns their sum
 */
export async function sendMany(wire: Wire, size: number, chunkSize = 65536): Promise<number> {
  const buffer = new Uint8Array(chunkSize);
  const words = new Uint32Array(buffer.buffer, 0, chunkSize >> 2);
  const sum = new Sum();
  let state = 1;
  for (let left = size; left > 0; left -= chunkSize) {
    for (let i = 0; i < words.length; i++) words[i] = state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const chunk = buffer.subarray(0, Math.min(chunkSize, left));
    sum.add(chunk);
    const wait = wire.write(chunk);
    if (wait) await wait;
  }
  return sum.value;
}
