/**
 * One end of a channel, without its public face (`channel.ts`): what waits to be sent, and the states that the two directions go through. What arrives
 * is in `inbox.ts`.
 *
 * The two ends call each other (see {@linkcode Peer}). Items are numbered, so that one whose parts arrive late is not overtaken. An end answers a
 * `push` at once while its queue is short, and else when there is room again; the sender has a limited number of unanswered ones. That is the
 * back-pressure.
 *
 * @module
 */

import { DisconnectError, OperationError } from "../protocol/errors.ts";
import { isProxy, keep, ref, release } from "../session/handling.ts";
import type { Reference, Remote } from "../session/types.ts";
import { deferred, ignore } from "../runtime/waiting.ts";
import { EndOfChannelError, remoteError } from "./errors.ts";
import { Inbox } from "./inbox.ts";
import type { Attachment } from "./attachment.ts";
import { attachmentOf } from "./attachment.ts";
import { sizeOf } from "./items.ts";

/** How many items may be unanswered, and bytes of them. */
const WINDOW = 64;
const WINDOW_BYTES = 1 << 22;
/** What one end calls of the other. */
export interface Peer {
  /** Delivers an item. The answer says that there is room for more. */
  push(seq: number, item: unknown): unknown;
  /** Says that an item is not to come: it could not be sent (then its sender knows), or not be received for the reason `why`. */
  skip(seq: number, why?: string): unknown;
  /** Says that nothing comes after `seq` items, and, if `whole`, that nothing is wanted any more. */
  end(seq: number, whole: boolean, failure?: { readonly error: unknown }): unknown;
}

/** What a channel that is passed on carries: the receiver calls it to become the other end. */
export interface Offer {
  /** Takes the other end. Gives what that is to talk to. */
  attach(peer: Peer): unknown;
}

interface Sending {
  readonly item?: unknown;
  readonly size: number;
  /** Not an item, but that none follows. */
  readonly last?: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

const ENDING: Error = new EndOfChannelError("The channel was closed for sending");

/** One end of a channel. */
export class ChannelCore {
  #peer: Peer | undefined;
  #attachment: Attachment | undefined;
  /** What the other side is called in messages and stacks. */
  #where = "the other side";

  /** What arrives. */
  readonly inbox: Inbox = new Inbox({
    need: (by) => this.#need(by),
    told: () => this.#attachment?.linger(),
    failed: (error) => this.close(error),
    ended: () => this.#detach(),
  });

  // What leaves.
  #seq = 0;
  #unanswered = 0;
  #unansweredBytes = 0;
  readonly #outbox: Sending[] = [];
  /** What `send` rejects with once we or the other side closed. */
  #closed: Error | undefined;
  /** Set by {@linkcode close}: nobody waits for items any more. */
  #left: Error | undefined;
  /** What it was closed with. */
  #parting: { readonly error: unknown } | undefined;

  /** Keeps the public face while something needs it that only we know of. */
  holder: object | undefined;
  /** What the peer calls. */
  readonly face: Peer = new Face(this);
  /** How many things keep the process alive until the channel ends: those that wait, and a callback. */
  #needs = 0;
  /** Whether this end was passed on. */
  #moved = false;

  /** Whether nothing can be sent any more. */
  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** Whether this end was passed on: then nothing can be done with it here. */
  get isMoved(): boolean {
    return this.#moved;
  }

  /**
   * Gives it its other end.
   *
   * @param peer What to call.
   * @param attachment The connection that it is behind; none for an end in this process.
   */
  bind(peer: Peer, attachment?: Attachment): void {
    this.#peer = peer;
    this.#attachment = attachment;
    if (attachment) {
      this.#where = attachment.where;
      if (attachment.lost) return this.lose(attachment.lost);
      attachment.cores.add(this);
      for (let left = this.#needs; left > 0; left--) attachment.hold(1);
    }
    // Before what still waits leaves: with that nothing more is to be said, and the peer is let go of.
    if (this.#left) this.#tellEnd(true, this.#parting);
    this.#pump();
  }

  #need(by: 1 | -1): void {
    this.#needs += by;
    this.#attachment?.hold(by);
  }

  /** Called by a further end that the channel was passed to. The first one becomes the other end; for any later one this end is passed on. */
  attach(peer: Remote<Peer>): Reference<Peer> {
    const end = this.#peer ? this.#relay() : this;
    end.bind(peer as unknown as Peer, attachmentOf(peer));
    return ref(end.face);
  }

  /** Passes this end on: what is to be said to it from now on is said to what comes out. */
  #relay(): ChannelCore {
    const out = new ChannelCore();
    this.#moved = true;
    void pipe(this, out);
    void pipe(out, this);
    return out;
  }

  /** Becomes the other end of what somebody offers. */
  accept(offer: Remote<Offer>): void {
    const attachment = attachmentOf(offer);
    const peer = attachment.quietly(() => keep(offer.attach(ref(this.face) as unknown as Peer)));
    // Or the end over there would be kept until our collector comes by.
    release(offer);
    this.bind(peer as unknown as Peer, attachment);
  }

  // Receiving.

  /** See {@linkcode Peer.end}. */
  last(seq: number, whole: boolean, failure: { readonly error: unknown } | undefined): void {
    const error = failure && remoteError(failure.error, this.#where);
    if (whole && !this.#closed) {
      this.#shut(error ?? new EndOfChannelError("The channel was closed by the other side"));
      this.#tellEnd(true, undefined);
    }
    this.inbox.last(seq, error);
    this.#detach();
  }

  // Sending.

  /** Sends an item when there is room. */
  send(item: unknown): Promise<void> {
    return this.#enqueue({ item, size: sizeOf(item) });
  }

  /** Says, behind what was sent, that nothing more is sent, while the other side still may. */
  async endSending(): Promise<void> {
    if (!this.#closed) await this.#enqueue({ size: 0, last: true });
  }

  #enqueue(sending: { readonly item?: unknown; readonly size: number; readonly last?: boolean }): Promise<void> {
    if (this.#closed || this.#outbox.at(-1)?.last) return Promise.reject(this.#closedError());
    const { promise, resolve, reject } = deferred<void>();
    this.#outbox.push({ ...sending, resolve, reject });
    this.#pump();
    return promise;
  }

  /** Resolves when another item could leave at once. */
  get ready(): boolean {
    return this.#outbox.length === 0 && this.#hasRoom();
  }

  #closedError(): Error {
    const error = this.#closed ?? ENDING;
    return error instanceof EndOfChannelError ? new EndOfChannelError(`Cannot send: ${error.message}`) : error;
  }

  #hasRoom(): boolean {
    return this.#unanswered < WINDOW && this.#unansweredBytes < WINDOW_BYTES;
  }

  #pump(): void {
    while (this.#outbox.length > 0 && this.#peer && this.#hasRoom()) {
      const sending = this.#outbox.shift()!;
      if (!sending.last) this.#transmit(sending);
      else {
        if (!this.#left) {
          this.#shut(ENDING);
          this.#tellEnd(false, undefined);
        }
        sending.resolve();
      }
    }
    this.#detach();
  }

  #transmit({ item, size, resolve, reject }: Sending): void {
    const peer = this.#peer!, seq = this.#seq++, attachment = this.#attachment, over = attachment?.over;
    this.#unanswered++;
    this.#unansweredBytes += size;
    attachment?.told();
    const answered = () => {
      attachment?.heard();
      this.#unanswered--;
      this.#unansweredBytes -= size;
      this.#pump();
    };
    // What cannot be encoded fails at once. What fails later was sent, and its receiver is told.
    let leaving = true;
    const failed = (error: unknown) => {
      if (leaving) {
        leaving = false;
        // The connection is gone, and it is about to be told why.
        if (error instanceof DisconnectError && over) return void over.then(reject);
        reject(error);
        this.#ask(() => peer.skip(seq));
      } else if (!this.#closed) {
        this.#ask(() => peer.skip(seq, error instanceof Error ? error.message : String(error)));
      }
      answered();
    };
    const left = () => {
      if (leaving) resolve();
      leaving = false;
    };
    let answer: unknown;
    try {
      const push = () => peer.push(seq, item);
      answer = attachment ? attachment.quietly(push) : push();
    } catch (error) {
      return failed(error);
    }
    if (answer === undefined) {
      left();
      return answered();
    }
    (answer as Promise<unknown>).then(answered, failed);
    Promise.resolve().then(() => {}).then(() => {}).then(left);
  }

  /** Calls the peer, whose answer does not matter unless it is that it could not take it. */
  #ask(body: () => unknown, refused: () => void = ignore): void {
    try {
      Promise.resolve(this.#attachment ? this.#attachment.tell(body) : body()).catch(refused);
    } catch {
      // An end in this process that is closed.
    }
  }

  #tellEnd(whole: boolean, failure: { readonly error: unknown } | undefined): void {
    const peer = this.#peer;
    if (!peer) return;
    // With those that still wait for room.
    const seq = this.#seq + this.#outbox.filter(({ last }) => !last).length;
    const say = (failure?: { readonly error: unknown }) => peer.end(seq, whole, failure);
    if (failure === undefined) return this.#ask(() => say());
    // An error may hold what cannot travel.
    const plain = (): { error: unknown } => {
      const { name, message, stack } = Object(failure.error) as Error;
      return { error: Object.assign(new Error(`${message ?? failure.error}`), { stack: `${stack}`, name: `${name}` }) };
    };
    this.#ask(() => say(failure), () => this.#ask(() => say(plain())));
  }

  /** Nothing can be sent any more; what waits is refused. */
  #shut(error: Error): void {
    this.#closed = error;
    for (const { reject } of this.#outbox.splice(0)) reject(this.#closedError());
  }

  /**
   * Closes both directions, of which the other side hears at once. What was sent before still leaves when there is room.
   *
   * @param error What the other side is to get in place of the end.
   */
  close(error?: unknown): void {
    if (this.#left) return;
    this.#left = new EndOfChannelError("The channel is closed");
    this.#parting = error === undefined ? undefined : { error };
    this.inbox.leave(this.#left);
    const known = this.#closed !== undefined && this.inbox.isEnded;
    this.#closed ??= this.#left;
    if (!known) this.#tellEnd(true, this.#parting);
    if (!this.#peer) this.inbox.end(this.#left);
    this.#detach();
  }

  /**
   * The connection is gone, or what was to run did not start. What arrived stays receivable.
   *
   * @param tell Whether there is still somebody at the other end.
   */
  lose(error: Error, tell = false): void {
    const open = !this.#closed;
    if (open || this.#outbox.length > 0) this.#shut(error);
    if (tell && open) this.#tellEnd(true, undefined);
    this.inbox.end(error);
    this.#detach();
  }

  /** Nothing is to be expected of the other end any more. */
  #detach(): void {
    const attachment = this.#attachment, peer = this.#peer;
    if (!this.inbox.isEnded || !this.#closed || !attachment || this.#outbox.length > 0) return;
    this.#attachment = undefined;
    attachment.cores.delete(this);
    for (let left = this.#needs; left > 0; left--) attachment.hold(-1);
    // What it stands for has not arrived where we are still to become the other end; then the collector sees to it.
    if (isProxy(peer)) release(peer);
  }
}

/** Moves what arrives at one end to another one, with the end itself. */
async function pipe(from: ChannelCore, to: ChannelCore): Promise<void> {
  try {
    for (;;) await to.send(await from.inbox.receive(to, undefined, undefined));
  } catch (error) {
    if (!(error instanceof EndOfChannelError)) to.close(error);
    else if (from.isClosed) to.close();
    else await to.endSending();
    if (to.isClosed) from.close();
  }
}

/** What the other end may call. */
class Face implements Peer {
  readonly #core: ChannelCore;

  constructor(core: ChannelCore) {
    this.#core = core;
  }

  push(seq: number, item: unknown): void | Promise<void> {
    return this.#core.inbox.push(seq, { item, size: sizeOf(item) });
  }

  skip(seq: number, why?: string): void {
    const failure = { error: new OperationError(`An item could not be received: ${why}`) };
    void this.#core.inbox.push(seq, why === undefined ? { size: 0, skipped: true } : { failure, size: 0 });
  }

  end(seq: number, whole: boolean, failure?: { readonly error: unknown }): void {
    this.#core.last(seq, whole, failure);
  }
}
