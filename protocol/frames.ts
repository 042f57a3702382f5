/**
 * Reading frames: bytes in, whole messages out. Writing them is `outbox.ts`; what a message says is `messages.ts`.
 *
 * A frame is a kind (1 byte), the length of its payload (3 bytes, little endian) and the payload. A message that fits goes in one `MESSAGE`
 * frame. A larger one, or one with segments, is cut into `PART` frames and a `LAST` one, each starting with the message's number (4 bytes), so
 * that several can pass at the same time. Such a message starts with a head: the size of its body and the number of its segments (4 bytes each),
 * the size of each segment (8 bytes, a double); then come body and segments.
 *
 * @module
 */

import { ProtocolError } from "./errors.ts";
import { LIMITS } from "./limits.ts";

/** Kinds of frames. */
export const FRAME: {
  readonly IDLE: 0;
  readonly MESSAGE: 1;
  readonly PART: 2;
  readonly LAST: 3;
  readonly ABANDON: 4;
} = {
  /** Nothing, which shows that the sender is alive. Four zero bytes. */
  IDLE: 0,
  /** One whole message. */
  MESSAGE: 1,
  /** Number of a message, and some of its bytes. */
  PART: 2,
  /** Number of a message, and the last of its bytes. */
  LAST: 3,
  /** Number of a message of which nothing more will come. */
  ABANDON: 4,
};

/** Bytes of a frame's header. */
export const FRAME_HEADER = 4;

/** Takes messages. `bytes` are valid during the call only, `segments` are the receiver's own. */
export type MessageReceiver = (bytes: Uint8Array, start: number, end: number, segments: readonly ArrayBuffer[]) => void;

const NO_SEGMENTS: readonly ArrayBuffer[] = [];
/** What is in place of a buffer while nothing is in it: idle connections hold none. */
export const NO_BYTES: Uint8Array<ArrayBuffer> = new Uint8Array(0);
/** What a message without segments has in their place if its bytes are the receiver's own, too, and need not be copied. */
export const OWN_BYTES: readonly ArrayBuffer[] = [];
/** What comes in one piece may take this much before its bytes are there. Larger ones grow with what really arrives. */
const TRUSTED_SIZE = 1 << 22;
/** What all together may take like that. Pieces for which nothing is left of it start small. */
const TRUSTED_SUM = 1 << 25;
const SMALL_SIZE = 1 << 16;
/** How much larger they get each time. Little, and most of the time would go into copying; what is not filled yet takes no memory of the machine. */
const GROWTH = 4;

/** What the messages of one inbox may take together. */
interface Room {
  /** Bytes that may be allocated before they arrive. */
  ahead: number;
  /** Bytes that messages may announce. */
  total: number;
}

/** Bytes of known length that arrive piecemeal. */
class Arriving {
  readonly #length: number;
  readonly #room: Room;
  readonly #ahead: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #filled = 0;

  constructor(length: number, room: Room) {
    this.#length = length;
    this.#room = room;
    room.ahead -= this.#ahead = Math.min(length, TRUSTED_SIZE, room.ahead);
    this.#bytes = new Uint8Array(Math.min(length, Math.max(this.#ahead, SMALL_SIZE)));
  }

  get full(): boolean {
    return this.#filled === this.#length;
  }

  /** Takes what it can use of `chunk` from `start` on, and returns how many bytes that was. */
  push(chunk: Uint8Array, start: number, end: number): number {
    const taken = Math.min(end - start, this.#length - this.#filled);
    const filled = this.#filled + taken;
    if (filled > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(this.#length, Math.max(filled, GROWTH * this.#bytes.length)));
      grown.set(this.#bytes.subarray(0, this.#filled));
      this.#bytes = grown;
    }
    this.#bytes.set(start === 0 && taken === chunk.length ? chunk : chunk.subarray(start, start + taken), this.#filled);
    this.#filled = filled;
    return taken;
  }

  /** Ends it: all of the bytes, once {@linkcode full}. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#room.ahead += this.#ahead;
    return this.#bytes;
  }
}

/** A message that arrives in parts. Memory is taken for one piece after the other (head, body, segments), when its first byte is there. */
class Assembly {
  readonly #limit: number;
  readonly #room: Room;
  /** Sizes of body and segments, once the head was read. */
  #sizes: readonly number[] | undefined;
  #total = 0;
  /** The size of the head, as far as it is known. */
  #head = 8;
  #piece: Arriving | undefined;
  readonly #whole: Uint8Array<ArrayBuffer>[] = [];

  constructor(limit: number, room: Room) {
    this.#limit = limit;
    this.#room = room;
  }

  push(chunk: Uint8Array, start: number, end: number): void {
    while (start < end) {
      const size = this.#sizes ? this.#sizes[this.#whole.length] : this.#head;
      if (size === undefined) throw new ProtocolError("A message has more bytes than it said");
      const piece = this.#piece ??= new Arriving(size, this.#room);
      start += piece.push(chunk, start, end);
      if (!piece.full) return;
      this.#piece = undefined;
      const bytes = piece.finish();
      if (this.#sizes) this.#whole.push(bytes);
      else this.#readHead(bytes);
    }
  }

  #readHead(head: Uint8Array<ArrayBuffer>): void {
    const view = new DataView(head.buffer);
    const size = view.getUint32(0, true), count = view.getUint32(4, true);
    if (head.length === 8 && count > 0) {
      if (count > LIMITS.segments) {
        throw new ProtocolError(`A message has ${count} segments, ${LIMITS.segments} are allowed`);
      }
      this.#head = 8 + 8 * count;
      this.#piece = new Arriving(this.#head, this.#room);
      this.#piece.push(head, 0, 8);
      return;
    }
    const sizes = [size];
    let total = size;
    for (let i = 0; i < count; i++) {
      const length = view.getFloat64(8 + 8 * i, true);
      // Zero-length segments have no bytes by which their turn could end.
      if (!(Number.isSafeInteger(length) && length > 0)) {
        throw new ProtocolError("A segment of a message has no valid length");
      }
      total += length;
      sizes.push(length);
    }
    if (total > this.#limit) throw new ProtocolError(`A message has ${total} bytes, maxMessageSize is ${this.#limit}`);
    this.#room.total -= this.#total = total;
    if (this.#room.total < 0) throw new ProtocolError("Too much arrives at one time");
    this.#sizes = sizes;
    if (size === 0) this.#whole.push(new Uint8Array(0));
  }

  /** Forgets it. */
  end(): void {
    this.#piece?.finish();
    this.#room.total += this.#total;
  }

  deliver(receiver: MessageReceiver): void {
    const [body, ...segments] = this.#whole;
    if (!body || this.#whole.length !== this.#sizes!.length) {
      throw new ProtocolError("A message has fewer bytes than it said");
    }
    receiver(body, 0, body.length, segments.map((segment) => segment.buffer));
  }
}

/** Cuts a stream of bytes into frames and puts messages together from them. */
export class Inbox {
  readonly #receiver: MessageReceiver;
  readonly #limit: number;
  readonly #room: Room;
  readonly #assemblies = new Map<number, Assembly>();
  /** A frame that was cut off by the end of a chunk: all of it, or of a part only what is before the bytes of its message. */
  #cut: Uint8Array<ArrayBuffer> = NO_BYTES;
  #filled = 0;
  /** The part that we are in the middle of: its message and number, whether it is the last, and how many bytes of it are still to come. */
  #assembly: Assembly | undefined;
  #number = 0;
  #last = false;
  #left = 0;
  /** Frames read so far, idle ones included. */
  frames = 0;

  /**
   * @param receiver Gets each whole message, in the order in which they became whole.
   * @param limit Bytes that one message may have.
   */
  constructor(receiver: MessageReceiver, limit: number) {
    this.#receiver = receiver;
    this.#limit = limit;
    // What we send keeps to that: one message of any size, and with it others of no more than the default limit.
    this.#room = { ahead: TRUSTED_SUM, total: limit + LIMITS.messageSize };
  }

  /**
   * Takes the next bytes of the stream and delivers the messages that they complete.
   *
   * @throws {ProtocolError} If they are not frames.
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) at = this.#fill(chunk, at);
      else if (this.#filled > 0) at = this.#complete(chunk, at);
      else {
        const end = this.#needed(chunk, at, chunk.length);
        if (end > chunk.length) return this.#keep(chunk.subarray(at), end - at);
        this.#frame(chunk, at, end);
        at = end;
      }
    }
  }

  /** Keeps the beginning of something that will have so many bytes. An idle connection keeps nothing. */
  #keep(bytes: Uint8Array, size: number): void {
    this.#cut = new Uint8Array(size);
    this.#cut.set(bytes);
    this.#filled = bytes.length;
  }

  /** Completes a frame that began in an earlier chunk, as far as that is possible. */
  #complete(chunk: Uint8Array, at: number): number {
    const cut = this.#cut;
    const end = Math.min(chunk.length, at + cut.length - this.#filled);
    cut.set(chunk.subarray(at, end), this.#filled);
    this.#filled += end - at;
    if (this.#filled === cut.length) {
      const size = this.#needed(cut, 0, cut.length);
      if (size > cut.length) this.#keep(cut, size);
      else {
        this.#cut = NO_BYTES;
        this.#filled = 0;
        this.#frame(cut, 0, size, OWN_BYTES);
      }
    }
    return end;
  }

  /** Gives bytes to the part that we are in the middle of, without waiting for all of it. */
  #fill(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#assembly!.push(chunk, at, end);
    this.#left -= end - at;
    if (this.#left === 0) this.#endPart();
    return end;
  }

  /** Where that ends which {@linkcode #frame} wants to have in one piece of the frame at `at`, as far as that is known. */
  #needed(bytes: Uint8Array, at: number, end: number): number {
    if (end - at < FRAME_HEADER) return at + FRAME_HEADER;
    const length = bytes[at + 1]! | bytes[at + 2]! << 8 | bytes[at + 3]! << 16;
    if (length > LIMITS.frameSize) {
      throw new ProtocolError(`A frame has ${length} bytes, ${LIMITS.frameSize} are allowed`);
    }
    const part = bytes[at] === FRAME.PART || bytes[at] === FRAME.LAST;
    return at + FRAME_HEADER + (part ? Math.min(length, 4) : length);
  }

  /** Takes a frame; of a part only its beginning. */
  #frame(bytes: Uint8Array, at: number, end: number, own = NO_SEGMENTS): void {
    this.frames++;
    const kind = bytes[at];
    const length = bytes[at + 1]! | bytes[at + 2]! << 8 | bytes[at + 3]! << 16;
    at += FRAME_HEADER;
    if (kind === FRAME.MESSAGE) return this.#receiver(bytes, at, end, own);
    if (kind === FRAME.IDLE && length === 0) return;
    if (!(kind === FRAME.PART || kind === FRAME.LAST || kind === FRAME.ABANDON) || length < 4) {
      throw new ProtocolError(`Cannot read a frame of kind ${kind}`);
    }
    const number = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
    if (kind === FRAME.ABANDON) return this.#forget(number);
    let assembly = this.#assemblies.get(number);
    if (!assembly) {
      if (this.#assemblies.size === LIMITS.openFragments) throw new ProtocolError("Too many messages arrive in parts");
      this.#assemblies.set(number, assembly = new Assembly(this.#limit, this.#room));
    }
    this.#assembly = assembly;
    this.#number = number;
    this.#last = kind === FRAME.LAST;
    this.#left = length - 4;
    if (this.#left === 0) this.#endPart();
  }

  #endPart(): void {
    const assembly = this.#assembly!;
    this.#assembly = undefined; // or a message that was delivered would be kept
    if (!this.#last) return;
    this.#forget(this.#number);
    assembly.deliver(this.#receiver);
  }

  #forget(number: number): void {
    this.#assemblies.get(number)?.end();
    this.#assemblies.delete(number);
  }
}
