/**
 * Sending messages: one turn of the event loop, one write. The layer between the parts of a session, which encode messages into
 * {@linkcode Link.writer}, and the wire. What arrives does not come through here (`session.ts`).
 *
 * @module
 */

import { Encoder } from "../protocol/encoder.ts";
import { OperationError } from "../protocol/errors.ts";
import type { EncodeContext } from "../protocol/encoder.ts";
import { FRAME_HEADER } from "../protocol/frames.ts";
import type { CommitInit, LargeMessage } from "../protocol/outbox.ts";
import { Outbox } from "../protocol/outbox.ts";
import type { Writer } from "../protocol/writer.ts";
import type { Wire } from "../transports/wire.ts";
import { isObserved, observe } from "./debug.ts";

/**
 * Turns of the microtask queue between the first message and the write. `await` of a result of ours calls its `then` one turn late, and only
 * then is known whether the value is wanted; one more for an `async` function that returns it.
 */
const SETTLING_TURNS = 3;
/** How many more where somebody was told that something arrived, and may well reply: to `for await` it takes about as many. */
const REPLYING_TURNS = 12;
/** What waits to be written when streams begin to wait: a small message is to wait for no more than that. */
const ROOM = 256 * 1024;

function release(waiting: (() => void)[]): void {
  if (waiting.length > 0) { for (const resolve of waiting.splice(0)) resolve(); }
}

/** What parts of a session need to send messages. */
export class Link {
  readonly #wire: Wire;
  readonly #failed: (error: unknown) => void;
  readonly #outbox: Outbox;
  readonly #encoder: Encoder;
  /** Messages that the one being encoded turned out to need before it. */
  readonly #before: { readonly write: (writer: Writer) => void; readonly undo: () => void }[] = [];
  /** To be told of the message that is being encoded. */
  readonly #carrying: ((large: LargeMessage | undefined) => void)[] = [];
  readonly #late: { readonly after: number; readonly send: () => void }[] = [];
  #scheduled = false;
  #turns = 0;
  #settling = SETTLING_TURNS;
  #writing = false;
  #encoding = false;
  #idle: (() => void)[] = [];
  /** Wait for the next write, or that there is none. */
  #leaving: (() => void)[] = [];
  /** Wait for the end of the write that is under way. */
  #calm: (() => void)[] = [];
  /** Wait for room. */
  #crowd: (() => void)[] = [];
  /** Whether frames may leave: after the peer's superblock was seen. */
  open = false;
  /** Where in the writer the message starts that was committed last, if it is a small one: for patching. */
  start = 0;
  /** Called before each write, while the messages in it can still be changed. */
  beforeFlush: () => void = () => {};
  /** To be called while a message is encoded that an end which has only the kernel cannot take: see `extending.ts`. */
  extend: () => void = () => {};
  /** To be called, likewise, for a message that asks for a part of across: an end that we boot may get it ahead. */
  provide: (specifier: string) => void = () => {};
  /** Whether the next call is to be such a message. */
  extending = false;
  /** Set by each write, for the heartbeat to look at and clear. */
  active = false;
  /** When the write that is under way began, in the clock's milliseconds; 0 when there is none. */
  writingSince = 0;
  /** Bytes written so far, BIOS sources included. */
  bytes = 0;

  /**
   * @param wire Where bytes go.
   * @param context How the encoder writes what is not a plain value.
   * @param limit Bytes that one message may have.
   * @param failed Gets the error of a write that failed.
   */
  constructor(wire: Wire, context: EncodeContext, limit: number, failed: (error: unknown) => void) {
    this.#wire = wire;
    this.#failed = failed;
    this.#outbox = new Outbox(limit);
    this.#encoder = new Encoder(context);
    this.#encoder.begin();
  }

  /** Where the current message is encoded. */
  get writer(): Writer {
    return this.#outbox.writer;
  }

  /** Keeps messages to what the peer takes. */
  limitTo(bytes: number): void {
    this.#outbox.limit = Math.min(this.#outbox.limit, bytes);
  }

  /** Whether a message is being encoded. */
  get encoding(): boolean {
    return this.#encoding;
  }

  /** What streams wait for before they add to what is to be written; undefined if there is room. */
  room(): Promise<void> | undefined {
    return this.writer.position < ROOM ? undefined : new Promise((resolve) => this.#crowd.push(resolve));
  }

  /** Messages sent so far. */
  get messages(): number {
    return this.#outbox.messages;
  }

  /**
   * Starts a message, which {@linkcode commit} or {@linkcode rollback} must end before another can be started.
   *
   * @throws {OperationError} If a message is being encoded.
   */
  begin(kind: number): number {
    // Encoding runs getters, which may be anything.
    if (this.#encoding) {
      throw new OperationError("Cannot start an operation while the arguments of another are being read");
    }
    this.#encoding = true;
    const start = this.#outbox.begin();
    this.writer.u8(kind);
    return start;
  }

  /**
   * Encodes one value into the current message.
   *
   * @param where What error messages call the value.
   * @throws {OperationError} If it cannot travel; the message must be rolled back then.
   */
  value(value: unknown, where: string): void {
    this.#encoder.value(this.writer, value, where);
  }

  /**
   * Has `committed` called when the message that is being encoded is committed, and not if it is rolled back.
   *
   * @param committed Gets the message if it leaves in parts: what refers to it must not overtake it. It must not start another one.
   */
  carrying(committed: (large: LargeMessage | undefined) => void): void {
    this.#carrying.push(committed);
  }

  /** Puts a small message before the one that is being encoded. `undo` is called if neither is sent. */
  before(write: (writer: Writer) => void, undo: () => void): void {
    this.#before.push({ write, undo });
  }

  /** Ends the current message, to be sent at the end of the turn. */
  commit(start: number, init?: CommitInit): LargeMessage | undefined {
    const { writer } = this;
    if (isObserved()) observe(this, true, writer.bytes, start + FRAME_HEADER, writer.position);
    if (this.#before.length > 0) start = this.#insert(start);
    this.start = start;
    this.#encoding = false;
    const large = this.#outbox.commit(start, this.#encoder.segments, init);
    this.#before.length = 0;
    this.#encoder.begin(); // or it would keep what it encoded last
    if (this.#carrying.length > 0) { for (const committed of this.#carrying.splice(0)) committed(large); }
    this.schedule();
    return large;
  }

  /** Makes room for the messages that must go before the current one. */
  #insert(start: number): number {
    const writer = this.writer;
    const message = writer.bytes.slice(start, writer.position);
    this.#outbox.rollback(start);
    for (const { write } of this.#before) {
      const before = this.#outbox.begin();
      write(writer);
      this.#outbox.commit(before, [], { whole: true });
    }
    start = writer.position;
    writer.raw(message);
    return start;
  }

  /** Sends a message of a number and a value; if the value cannot travel, the error in its place. */
  send(kind: number, number: number, value: unknown): void {
    const start = this.begin(kind);
    try {
      this.writer.varint(number);
      this.value(value, "value");
      this.commit(start);
    } catch (error) {
      this.rollback(start);
      if (!(value instanceof Error)) this.send(kind, number, new OperationError(String((error as Error).message)));
    }
  }

  /** Forgets the current message. */
  rollback(start: number): void {
    this.#encoding = false;
    this.#encoder.begin();
    this.#carrying.length = 0;
    this.#outbox.rollback(start);
    for (const { undo } of this.#before.splice(0)) undo();
  }

  /** Stops sending a message of which not all has left. */
  abandon(message: LargeMessage): void {
    this.#outbox.abandon(message);
    this.schedule();
  }

  /**
   * Calls `send` when all messages that were issued so far have left, at once if they have: for what must not overtake.
   */
  afterAll(send: () => void): void {
    if (this.#outbox.oldest === Infinity) send();
    else this.#late.push({ after: this.#outbox.newest, send });
  }

  /** Sends a frame that says that we are alive. */
  idle(): void {
    this.#outbox.idle();
    this.flush();
  }

  /**
   * Lets messages leave from now on.
   *
   * @param before Bytes that go before them, in the same write.
   * @param greet Encodes the first message; what was encoded earlier follows it.
   */
  openWith(before: Uint8Array | undefined, greet: () => void): void {
    this.beforeFlush(); // while the places of flags are what they were
    const { writer } = this;
    const waiting = writer.bytes.slice(0, writer.position);
    writer.position = 0;
    if (before) writer.raw(before);
    greet();
    writer.raw(waiting);
    this.open = true;
    this.schedule();
  }

  /** Has {@linkcode flush} called at the end of the turn. */
  schedule(): void {
    this.#turns = this.#settling; // counted from the last message, or its `then` would come too late
    if (this.#scheduled || !this.open) return;
    this.#scheduled = true;
    queueMicrotask(this.#turn);
  }

  /** Has what is sent next wait a little for what may follow from it: one write for both is much cheaper than two. */
  linger(): void {
    this.#settling = SETTLING_TURNS + REPLYING_TURNS;
  }

  readonly #turn = (): void => {
    if (--this.#turns > 0) queueMicrotask(this.#turn);
    else this.flush();
  };

  /** Writes what there is, unless a write is under way: then it follows. */
  flush(): void {
    this.#scheduled = false;
    this.#settling = SETTLING_TURNS;
    if (this.#writing || !this.open) return;
    this.beforeFlush();
    for (let bytes = this.#take(); bytes; bytes = this.#take()) {
      if (this.#late.length > 0) this.#sendLate();
      const more = this.#crowd.length > 0;
      if (more) release(this.#crowd);
      const done = this.write(bytes);
      release(this.#leaving);
      if (!done) return;
      if (more) return this.schedule();
      this.beforeFlush();
    }
    release(this.#leaving);
    release(this.#idle);
  }

  #take(): Uint8Array<ArrayBuffer> | undefined {
    return this.#outbox.take(this.#crowd.length > 0);
  }

  /** Writes bytes as they are. Returns whether that is done; if not, what follows is written when it is. */
  write(bytes: Uint8Array<ArrayBuffer>): boolean {
    this.active = true;
    this.bytes += bytes.length;
    const since = performance.now();
    const done = this.#wire.write(bytes);
    if (!done) {
      this.#outbox.recycle(bytes, performance.now() - since);
      return true;
    }
    this.#writing = true;
    this.writingSince = since;
    done.then(() => {
      this.#writing = false;
      this.writingSince = 0;
      this.#outbox.recycle(bytes, performance.now() - since);
      // What waited has its turn before the next one.
      if (this.#calm.length > 0) this.schedule();
      else this.flush();
      release(this.#calm);
    }, (error) => {
      this.#failed(error); // and it stays `writing`: nothing leaves any more
      // What waits for the goodbye to leave waits in vain, where that is what failed.
      release(this.#idle);
      release(this.#calm);
    });
    return false;
  }

  /** Whether a write is under way. */
  get writing(): boolean {
    return this.#writing;
  }

  /**
   * What must be waited for before this thread may be kept busy: the end of the write that is under way. The rest of it could not leave meanwhile,
   * nor could anything else. Resolves before the next one begins.
   */
  calm(): Promise<void> | undefined {
    return this.#writing ? new Promise((resolve) => this.#calm.push(resolve)) : undefined;
  }

  /** Resolves when everything that was issued so far has been written. */
  drained(): Promise<void> {
    return this.#flushed(this.#idle);
  }

  /** Resolves when the next write began, or there is nothing to write: what was issued in this turn is on its way then. */
  left(): Promise<void> {
    return this.#flushed(this.#leaving);
  }

  #flushed(waiting: (() => void)[]): Promise<void> {
    this.schedule();
    return new Promise((resolve) => waiting.push(resolve));
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#outbox.waiting;
  }

  #sendLate(): void {
    const oldest = this.#outbox.oldest;
    while (this.#late.length > 0 && this.#late[0]!.after < oldest) this.#late.shift()!.send();
  }
}
