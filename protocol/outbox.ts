/**
 * Writing frames: messages in, bytes out. The counterpart of `frames.ts`, which says what frames are.
 *
 * Small messages are written one behind the other into one buffer, which leaves in one piece. Large ones wait in a queue, from which every write
 * takes some fragments along, so that small ones never wait for more than that. They overtake large ones, therefore. What makes no sense before some of
 * them has arrived is committed behind those, and what must not overtake any (the release of a reference that a large message still carries) asks for
 * {@linkcode Outbox.oldest}.
 *
 * @module
 */

import { FRAME, FRAME_HEADER, NO_BYTES } from "./frames.ts";
import { LIMITS } from "./limits.ts";
import { OperationError } from "./errors.ts";
import { Writer } from "./writer.ts";

/** Large messages that pass at the same time; the peer allows twice as many. */
const PASSING = LIMITS.openFragments / 2;
/** A buffer that grew beyond this is not kept. */
const KEPT_SIZE = 1 << 20;
const BUFFER_SIZE = 1 << 16;
/**
 * What a pipe of the system takes at once. A write of a bit more wakes reader and writer once more for that bit, which costs as much as all the rest.
 */
const PIPE = 1 << 16;
/** How many fragments of large messages one write carries: many where bytes leave fast, as each write costs a turn of both ends; else small messages would wait. */
const FEW = 2, MANY = 8;
/** What is fast, in bytes a millisecond: a small message waits for no more than 32 of these. */
const FAST = 1 << 14;

/** Buffers that no connection needs now, for whichever writes next. */
const spares: Uint8Array<ArrayBuffer>[] = [];
/** How many of them are kept. */
const SPARES = 4;

/** A message that leaves in parts. */
export interface LargeMessage {
  /** Place in the order in which messages were issued. */
  readonly number: number;
  /** Its encoded part, which may be patched as long as {@linkcode begun} is false. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Bytes of its body and its segments. */
  readonly size: number;
  /** Whether bytes of it have left. */
  readonly begun: boolean;
  /** Whether all of it has left, or nothing more of it will. */
  readonly gone: boolean;
}

/** How a message is to be sent. */
export interface CommitInit {
  /** Values that must not be garbage-collected before the message has left. */
  readonly kept?: unknown;
  /** Messages that must have left before. */
  readonly behind?: readonly LargeMessage[] | undefined;
  /** Whether it must leave in one piece, so that nothing overtakes it. */
  readonly whole?: boolean;
}

const NONE: readonly LargeMessage[] = [];
const NOTHING: CommitInit = {};

class Departing implements LargeMessage {
  readonly number: number;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly #parts: readonly Uint8Array[];
  /** Bytes of it, without its head. */
  readonly size: number;
  /** What must live until the message has left, see {@linkcode Outbox.commit}. */
  readonly kept: unknown;
  readonly #behind: readonly LargeMessage[];
  gone = false;
  #part = 0;
  #offset = 0;

  constructor(
    number: number,
    body: Uint8Array<ArrayBuffer>,
    segments: readonly Uint8Array[],
    size: number,
    { kept, behind = NONE }: CommitInit,
  ) {
    this.number = number;
    this.size = size;
    this.body = body;
    this.kept = kept;
    this.#behind = behind;
    const head = new DataView(new ArrayBuffer(8 + 8 * segments.length));
    head.setUint32(0, body.length, true);
    head.setUint32(4, segments.length, true);
    segments.forEach((segment, i) => head.setFloat64(8 + 8 * i, segment.length, true));
    this.#parts = [new Uint8Array(head.buffer), body, ...segments];
  }

  get begun(): boolean {
    return this.#part + this.#offset > 0;
  }

  /** Whether it must wait for another one. The oldest never must. */
  get waits(): boolean {
    return this.#behind.some(({ gone }) => !gone);
  }

  /** Writes the next fragment as a frame. Returns whether that was the last. */
  write(writer: Writer): boolean {
    writer.ensure(FRAME_HEADER + 4 + LIMITS.fragmentSize);
    const start = writer.position;
    writer.position += FRAME_HEADER;
    writer.u32(this.number);
    for (let room = LIMITS.fragmentSize; room > 0 && this.#part < this.#parts.length;) {
      const part = this.#parts[this.#part]!;
      const piece = part.subarray(this.#offset, this.#offset + room);
      writer.raw(piece);
      room -= piece.length;
      this.#offset += piece.length;
      if (this.#offset === part.length) this.#part++, this.#offset = 0;
    }
    const last = this.#part === this.#parts.length;
    header(writer, start, last ? FRAME.LAST : FRAME.PART);
    return this.gone = last;
  }
}

function header(writer: Writer, start: number, kind: number): void {
  const length = writer.position - start - FRAME_HEADER;
  const bytes = writer.bytes;
  bytes[start] = kind;
  bytes[start + 1] = length;
  bytes[start + 2] = length >> 8;
  bytes[start + 3] = length >> 16;
}

/** Collects messages and gives them away as bytes to write. */
export class Outbox {
  /** Where messages are encoded. Its buffer changes with every {@linkcode take}. */
  readonly writer: Writer = new Writer(0);
  /** Bytes that one message may have. */
  limit: number;
  #large: Departing[] = [];
  #fragments = FEW;
  #turn = 0;
  /** Number of the newest message that leaves, or left, in parts. */
  newest = 0;
  /** Messages committed so far. */
  messages = 0;

  /** @param limit Bytes that one message may have. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Starts a message, to be encoded with {@linkcode writer}. Returns what `commit` or `rollback` want. */
  begin(): number {
    const writer = this.writer;
    this.#prepare();
    writer.ensure(64);
    const start = writer.position;
    writer.position = start + FRAME_HEADER;
    return start;
  }

  /** Sees to it that the writer has a buffer. */
  #prepare(): void {
    const writer = this.writer;
    if (writer.bytes.length === 0) writer.swap(spares.pop() ?? new Uint8Array(BUFFER_SIZE));
  }

  /** Forgets the message that was started last. */
  rollback(start: number): void {
    this.writer.position = start;
  }

  /**
   * Ends a message.
   *
   * @param start What `begin` returned.
   * @param segments The large binary values that travel behind it. They are read when they leave, not copied now.
   * @param init How it is to be sent.
   * @returns The message, if it leaves in parts.
   * @throws {OperationError} If it is larger than allowed; it is forgotten, then.
   */
  commit(start: number, segments: readonly Uint8Array[], init: CommitInit = NOTHING): LargeMessage | undefined {
    const { whole, behind } = init;
    const writer = this.writer;
    const length = writer.position - start - FRAME_HEADER;
    if (whole && length > LIMITS.frameSize) {
      this.rollback(start);
      throw new OperationError(`Cannot send source of ${length} bytes in one piece: export() its module`);
    }
    if (length > LIMITS.fragmentSize && !whole || segments.length > 0 || behind?.some(({ gone }) => !gone)) {
      const total = segments.reduce((sum, segment) => sum + segment.length, length);
      this.rollback(start);
      if (total > this.limit) {
        throw new OperationError(`Cannot send a message of ${total} bytes as maxMessageSize is ${this.limit}`);
      }
      const body = writer.bytes.slice(start + FRAME_HEADER, start + FRAME_HEADER + length);
      const large = new Departing(++this.newest, body, segments.slice(), total, init);
      this.#large.push(large);
      this.messages++;
      return large;
    }
    header(writer, start, FRAME.MESSAGE);
    this.messages++;
    return;
  }

  /** Stops sending a message of which not all has left. */
  abandon(message: LargeMessage): void {
    const index = this.#large.indexOf(message as Departing);
    if (index < 0) return;
    const [abandoned] = this.#large.splice(index, 1);
    abandoned!.gone = true;
    if (!message.begun) return;
    const start = this.begin();
    this.writer.u32(message.number);
    header(this.writer, start, FRAME.ABANDON);
  }

  /** Bytes that have not been taken yet; of a large message all count until its last part was. */
  get waiting(): number {
    let sum = this.writer.position;
    for (const { size } of this.#large) sum += size;
    return sum;
  }

  /** Writes a frame that says only that we are alive. */
  idle(): void {
    header(this.writer, this.begin(), FRAME.IDLE);
  }

  /** Number of the oldest message that has not left completely; `Infinity` when there is none. */
  get oldest(): number {
    return this.#large[0]?.number ?? Infinity;
  }

  /** Whether there is nothing to write. */
  get empty(): boolean {
    return this.writer.position === 0 && this.#large.length === 0;
  }

  /** How many large messages take turns: the first, and with it as many as the peer is sure to allow, which limits their sum. */
  #passing(): number {
    const large = this.#large;
    let count = 1;
    for (let room = LIMITS.messageSize; count < Math.min(large.length, PASSING); count++) {
      room -= large[count]!.size;
      if (room < 0) break;
    }
    return count;
  }

  /**
   * Bytes to write next, all small messages and some fragments of large ones; to be given back with {@linkcode recycle}.
   *
   * @param more Whether more will come at once, so that what does not fill a pipe is better kept for the next write.
   */
  take(more = false): Uint8Array<ArrayBuffer> | undefined {
    const writer = this.writer;
    if (this.#large.length > 0) this.#prepare();
    for (let i = 0; i < this.#fragments && this.#large.length > 0; i++) {
      let turn = this.#turn++ % this.#passing();
      if (this.#large[turn]!.waits) turn = 0;
      if (this.#large[turn]!.write(writer)) this.#large.splice(turn, 1);
    }
    if (writer.position === 0) return;
    const bytes = writer.swap(NO_BYTES);
    const size = more ? bytes.length - bytes.length % PIPE : 0;
    if (size === 0) return bytes;
    this.#prepare();
    writer.raw(bytes.subarray(size));
    return bytes.subarray(0, size);
  }

  /**
   * Takes back a buffer that was written.
   *
   * @param bytes What {@linkcode take} gave.
   * @param took How long that took, in milliseconds.
   */
  recycle(bytes: Uint8Array<ArrayBuffer>, took: number): void {
    // What is small goes fast into whatever buffer there is.
    if (bytes.length >= LIMITS.fragmentSize) this.#fragments = bytes.length > took * FAST ? MANY : FEW;
    const size = bytes.buffer.byteLength;
    if (size >= BUFFER_SIZE && size <= KEPT_SIZE && spares.length < SPARES) spares.push(new Uint8Array(bytes.buffer));
  }
}
