/**
 * How a byte stream opens: text that is not ours (a login banner, a motd) is skipped until either the peer's superblock or the greeting of a
 * BIOS is found. What follows the superblock are frames (`frames.ts`).
 *
 * @module
 */

import { ProtocolError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { MAJOR, MINOR, VERSION } from "./version.ts";

/** Size of a superblock in bytes. */
export const SUPERBLOCK_SIZE = 16;

const MAGIC = [0x8b, 0x61, 0x63, 0x72, 0x6f, 0x73, 0x73, 0x0a]; // <8b> "across" LF: no text in any encoding starts like this
const GREETING = Array.from("~across1 ", (char) => char.charCodeAt(0));
const GREETING_SIZE = 100;

/** What a side begins with that wants a secret proved: <8b> "acproof". See `proof.ts`. */
export const PROOF_MAGIC: readonly number[] = [0x8b, 0x61, 0x63, 0x70, 0x72, 0x6f, 0x6f, 0x66];

/**
 * The 16 bytes that each side sends before its first frame: magic (8), major and minor version (2 each, little endian), flags (2, zero), and two
 * bytes 0xff. Neither half reads as a number, by which a BIOS that waits for a length knows to skip it.
 *
 * @returns A new array.
 */
export function superblock(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...MAGIC, MAJOR & 255, MAJOR >> 8, MINOR & 255, MINOR >> 8, 0, 0, 255, 255);
}

/**
 * What answers the greeting of a BIOS: the length of the kernel in eight digits, the kernel, and a superblock, which is the first of ours that is read
 * by what the kernel becomes.
 *
 * @param kernel The packed kernel.
 */
export function bootBytes(kernel: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + kernel.length + SUPERBLOCK_SIZE);
  new TextEncoder().encodeInto(String(kernel.length).padStart(8, "0"), bytes);
  bytes.set(kernel, 8);
  bytes.set(superblock(), 8 + kernel.length);
  return bytes;
}

/** What {@linkcode Opening.feed} found. */
export type Found =
  | { readonly kind: "superblock"; /** What came behind it. */ readonly rest: Uint8Array }
  | {
    readonly kind: "greeting"; /** Name of the runtime and its version, as the BIOS gave them. */
    readonly runtime: string;
  };

/** Searches the first bytes of a stream for a superblock or a greeting. */
export class Opening {
  #bytes = new Uint8Array(256);
  #end = 0;
  #from = 0;

  /** What was skipped so far, decoded leniently: for error messages. */
  get noise(): string {
    return new TextDecoder().decode(this.#bytes.subarray(0, this.#end)).replace(/~across1 [^~]*~/, "").trim();
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @param chunk The bytes; they are copied.
   * @returns What was found, or `undefined` when more bytes are needed. After a greeting, call it again with an empty chunk.
   * @throws {ProtocolError} If more than 64 KiB came that are neither, or the versions differ.
   */
  feed(chunk: Uint8Array): Found | undefined {
    const size = this.#end + chunk.length;
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(2 * size);
      grown.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end = size;
    for (; this.#from < size; this.#from++) {
      const first = this.#bytes[this.#from];
      if (first === MAGIC[0] && this.#startsWith(MAGIC)) {
        if (size - this.#from < SUPERBLOCK_SIZE) return;
        return this.#superblock();
      }
      if (first === PROOF_MAGIC[0] && this.#startsWith(PROOF_MAGIC)) {
        if (size - this.#from < PROOF_MAGIC.length) return;
        throw new ProtocolError("Cannot go on as the peer asks for a proof: pass the option secret");
      }
      if (first === GREETING[0] && this.#startsWith(GREETING)) {
        const end = this.#bytes.indexOf(GREETING[0]!, this.#from + 1);
        if ((end < 0 || end >= size) && size - this.#from < GREETING_SIZE) return;
        if (end > 0 && end < size) {
          const start = this.#from + GREETING.length;
          this.#from = end + 1;
          return { kind: "greeting", runtime: new TextDecoder().decode(this.#bytes.subarray(start, end)) };
        }
      }
      if (this.#from >= LIMITS.bannerSize) {
        throw new ProtocolError(`Cannot find the peer's superblock in the first ${LIMITS.bannerSize} bytes`);
      }
    }
    return;
  }

  /** Whether what is there at the current position may be, or become, `prefix`. Waits by answering true. */
  #startsWith(prefix: readonly number[]): boolean {
    const end = Math.min(prefix.length, this.#end - this.#from);
    for (let i = 1; i < end; i++) if (this.#bytes[this.#from + i] !== prefix[i]) return false;
    return true;
  }

  #superblock(): Found {
    const at = this.#from;
    const view = new DataView(this.#bytes.buffer);
    const major = view.getUint16(at + 8, true), minor = view.getUint16(at + 10, true);
    if (major !== MAJOR || minor !== MINOR) {
      throw new ProtocolError(`Cannot speak with across ${major}.${minor} as this is across ${VERSION}`);
    }
    return { kind: "superblock", rest: this.#bytes.slice(at + SUPERBLOCK_SIZE, this.#end) };
  }
}
