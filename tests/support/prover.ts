/**
 * The proof of `options.secret`, written a second time from docs/protocol.md, and a raw end of a byte stream to speak it with: for attackers. Uses
 * nothing of the library but its version.
 *
 * @module
 */

import { createHmac } from "node:crypto";
import config from "../../deno.json" with { type: "json" };

const [MAJOR = 0, MINOR = 0]: number[] = config.version.split(".").map(Number);

/** The parts that a side may play. */
export const EITHER = 0, DIALS = 1, LISTENS = 2;

/** Bytes of text, or of numbers and text. */
export function bytes(...parts: readonly (string | number | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number" ? [part] : [...(typeof part === "string" ? new TextEncoder().encode(part) : part)]
    ),
  );
}

/** The superblock of a peer that asks for no proof. */
export const SUPERBLOCK: Uint8Array<ArrayBuffer> = bytes(
  0x8b,
  "across\n",
  MAJOR & 255,
  MAJOR >> 8,
  MINOR & 255,
  MINOR >> 8,
  0,
  0,
  255,
  255,
);

/** 48 bytes. */
export function challenge(
  side: number,
  nonce: Uint8Array = crypto.getRandomValues(new Uint8Array(32)),
  [major, minor]: readonly [number, number] = [MAJOR, MINOR],
): Uint8Array<ArrayBuffer> {
  return bytes(0x8b, "acproof", major & 255, major >> 8, minor & 255, minor >> 8, side, 0, 0, 0, nonce);
}

/** 32 bytes: what `side` answers to both challenges. */
export function answer(
  secret: string | Uint8Array,
  side: number,
  dialled: Uint8Array,
  listened: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return bytes(
    createHmac("sha256", secret).update(bytes("across proof 1: ", side, dialled, listened)).digest(),
  );
}

/** One end of a byte stream, by hand. */
export class RawEnd {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #left = new Uint8Array(0);

  constructor(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
  }

  /** Writes; that the other side has gone is no error here. */
  async write(...parts: readonly (string | number | Uint8Array)[]): Promise<void> {
    await this.#writer.write(bytes(...parts)).catch(() => {});
  }

  /** Reads exactly as many bytes, or fewer at the end of the stream. */
  async read(size: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#left.length < size) {
      const { done, value } = await this.#reader.read().catch(() => ({ done: true, value: undefined }));
      if (done || !value) break;
      this.#left = bytes(this.#left, value);
    }
    const taken = this.#left.slice(0, size);
    this.#left = this.#left.slice(size);
    return taken;
  }

  /** Everything until the other side ends or breaks the stream. */
  rest(): Promise<Uint8Array<ArrayBuffer>> {
    return this.read(Infinity);
  }

  /** Ends our direction. */
  async end(): Promise<void> {
    await this.#writer.close().catch(() => {});
  }

  /** Ends both. */
  async close(): Promise<void> {
    await this.end();
    await this.#reader.cancel().catch(() => {});
  }
}
