/**
 * Following what a client sends, without looking into it any further than where one thing ends and the next begins: whether it speaks our protocol at
 * all, when its handshake is complete, and where something could be said in its place. See docs/protocol.md, "Opening" and "Frames".
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";

const MAGIC = Uint8Array.of(0x8b, ...new TextEncoder().encode("across\n"));
/** Sizes in bytes: a superblock, the digits before a kernel, what precedes a frame. */
const SUPERBLOCK = 16;
const DIGITS = 8;
const FRAME_HEAD = 4;

/** A frame that holds the message GOODBYE. */
export const GOODBYE_FRAME: Uint8Array = Uint8Array.of(1, 1, 0, 0, 14);

type Part = "superblock" | "digits" | "second superblock" | "frame";
const SIZES: Readonly<Record<Part, number>> = {
  superblock: SUPERBLOCK,
  digits: DIGITS,
  "second superblock": SUPERBLOCK,
  frame: FRAME_HEAD,
};

/** One client's stream. */
export class ClientStream {
  readonly #boots: boolean;
  readonly #head = new Uint8Array(SUPERBLOCK);
  #part: Part = "superblock";
  #have = 0;
  #skip = 0;
  #frames = -1;

  /** @param boots Whether the client is to boot what serves it. */
  constructor(boots: boolean) {
    this.#boots = boots;
  }

  /** Whether the client has shown that it speaks our protocol. */
  get opened(): boolean {
    return this.#part !== "superblock";
  }

  /** Whether it has sent all of its first message, the hello. */
  get greeted(): boolean {
    return this.#frames > 0 || this.#frames === 0 && this.between;
  }

  /** Whether a frame could be put behind what was taken so far. */
  get between(): boolean {
    return this.#frames >= 0 && this.#have === 0 && this.#skip === 0;
  }

  /**
   * Takes what comes next.
   *
   * @param chunk Any bytes.
   * @param stop Whether to take no more than up to the next place between two frames.
   * @returns how many of them were taken
   * @throws {ProtocolError} If they cannot be of a client.
   */
  take(chunk: Uint8Array, stop = false): number {
    let at = 0;
    while (at < chunk.length && !(stop && this.between)) {
      const rest = chunk.length - at;
      if (this.#skip > 0) {
        const size = Math.min(this.#skip, rest);
        this.#skip -= size;
        at += size;
      } else {
        this.#head[this.#have++] = chunk[at++]!;
        if (this.#have === SIZES[this.#part]) {
          this.#have = 0;
          this.#next();
        }
      }
    }
    return at;
  }

  #next(): void {
    const head = this.#head;
    switch (this.#part) {
      case "superblock":
      case "second superblock":
        if (MAGIC.some((byte, index) => head[index] !== byte)) {
          throw new ProtocolError("Cannot serve a client that does not begin with a superblock");
        }
        this.#part = this.#boots && this.#part === "superblock" ? "digits" : "frame";
        return;
      case "digits": {
        // What is no number belongs to something that the client had sent before it saw a greeting.
        const size = Number(new TextDecoder().decode(head.subarray(0, DIGITS)));
        if (!(size > 0)) return;
        this.#skip = size;
        this.#part = "second superblock";
        return;
      }
      case "frame":
        this.#frames++;
        this.#skip = head[1]! | head[2]! << 8 | head[3]! << 16;
    }
  }
}
