/**
 * What all channels of one connection share: they learn together that it is gone, and keep the process alive while one of them is waited for.
 *
 * @module
 */

import type { Caller } from "../session/caller.ts";
import { faceOf } from "../session/faces.ts";
import type { Remote } from "../session/types.ts";
import { idleTimeout } from "../runtime/host.ts";
import { within } from "../runtime/waiting.ts";
import type { Watched } from "../wires.ts";
import { wires } from "../wires.ts";
import { EndOfChannelError, lostError } from "./errors.ts";

/** How long it takes at most to hear from a carrier why a connection ended. Milliseconds. */
const LAST_WORDS = 300;
/** How often it is looked whether the other side has answered anything, and how often in vain before the process is not kept alive for that any longer. */
const LOOK = 1_000, LOOKS = 4;

/** What ends with the connection. */
export interface Bound {
  /** The connection is gone. */
  lose(error: Error): void;
}

/** A connection, as its channels see it. */
export class Attachment {
  readonly #watched: Watched;
  /** What the other side is called. */
  where = "the other side";
  /** The channels that are open. */
  readonly cores: Set<Bound> = new Set();
  /** Set when the connection is gone. */
  lost: Error | undefined;
  /** Whether it ends because it was asked to. */
  leaving = false;
  /** Tells why it is gone, where another one carries it and knows better. */
  why: Promise<Error | undefined> | undefined;
  /** Resolves when the connection is gone. */
  readonly over: Promise<Error>;

  /** Things that the other side was told, and has not answered. */
  #unanswered = 0;
  /** Whether they keep the process alive. */
  #kept = false;
  /** Looks in a row at which nothing had been answered. */
  #quiet = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param watched What is behind the connection. */
  constructor(watched: Watched) {
    this.#watched = watched;
    this.over = watched.wait(false).then(() => this.#lose());
  }

  async #lose(): Promise<Error> {
    clearTimeout(this.#timer);
    let cause: unknown = this.#watched.over;
    const { why } = this;
    if (why && !this.leaving && await within(LAST_WORDS, why)) cause = await why ?? cause;
    this.lost = this.leaving ? new EndOfChannelError(`${this.where} was terminated`) : lostError(this.where, cause);
    for (const core of [...this.cores]) core.lose(this.lost);
    return this.lost;
  }

  /** Somebody was told of an item, and may answer with one. */
  linger(): void {
    this.#watched.link.linger();
  }

  /**
   * Calls the other side without keeping the process alive until it answers.
   *
   * @param call Makes the call.
   */
  quietly<T>(call: () => T): T {
    const { caller } = this.#watched;
    caller.quiet = true;
    try {
      return call();
    } finally {
      caller.quiet = false;
    }
  }

  /**
   * Tells the other side something that it answers at once.
   *
   * @param call Calls the other side.
   */
  tell<T>(call: () => T): Promise<Awaited<T>> {
    const answer = Promise.resolve(this.quietly(call));
    this.told();
    answer.then(this.heard, this.heard);
    return answer;
  }

  /**
   * Something was told that is answered at once. Until it is, the process is kept alive, but not for ever: if a source blocks the other side, nobody but
   * the program can say whether to wait for that.
   */
  told(): void {
    this.#unanswered++;
    this.#quiet = 0;
    if (!this.#kept) this.#keep(true);
  }

  /** It was answered, or cannot be any more. */
  readonly heard = (): void => {
    this.#unanswered--;
    this.#quiet = 0;
    if (this.#kept !== this.#unanswered > 0) this.#keep(!this.#kept);
  };

  #keep(kept: boolean): void {
    // Where the wire is what the process is there for, there is nothing to keep.
    if (!this.#watched.init.hold || kept && this.#watched.over) return;
    this.#kept = kept;
    this.hold(kept ? 1 : -1);
    if (kept) this.#timer ??= this.#look();
  }

  #look(): ReturnType<typeof setTimeout> {
    return idleTimeout(() => {
      if (++this.#quiet >= LOOKS && this.#kept) this.#keep(false);
      this.#timer = this.#kept ? this.#look() : undefined;
    }, LOOK);
  }

  /** Says that something began (1) or ceased (-1) to be waited for. */
  hold(by: 1 | -1): void {
    this.#watched.init.hold?.change(by);
  }
}

const attachments = new WeakMap<object, Attachment>();

/** What the channels of a connection share, by what is behind that: a far end may have no public face of it. */
export function attachmentBehind(watched: Watched): Attachment {
  let attachment = attachments.get(watched);
  if (!attachment) attachments.set(watched, attachment = new Attachment(watched));
  return attachment;
}

/** The same, for a connection. */
export function attachmentTo(connection: object): Attachment {
  return attachmentBehind(wires().watched(connection));
}

/** The same, for the connection that a proxy belongs to. */
export function attachmentOf(proxy: Remote<unknown>): Attachment {
  return attachmentBehind((faceOf(proxy)!.operator.caller as Caller).session as Watched);
}
