/**
 * When a peer that we booted gets the extension (`extension.ts`): not before the first answer, which is to be there soon, unless a message needs it;
 * and never so late that anybody has to wait for it. A message that asks for a piece of across that can be run like the extension takes it along, too.
 *
 * @module
 */

import { MESSAGE } from "../protocol/messages.ts";
import type { Writer } from "../protocol/writer.ts";
import { idleTimeout } from "../runtime/host.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { Link } from "./link.ts";
import { provision } from "./provision.ts";

/** How long the first answer is waited for. Milliseconds, and parts of the timeout. */
const PATIENCE = 1_000, PARTS = 8;

/** Sends the extension, once, to a peer that needs to be sent it. */
export class Extending {
  readonly #link: Link;
  readonly #patience: number;
  /** Whether it belongs before what waits for the connection. */
  #needed = false;
  #packed: Uint8Array | undefined;
  #answered = false;
  /** Whether the peer has nothing but its one thread, as far as we know. */
  #single = false;
  #over = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the peer is one that we boot. */
  #boots = false;
  /** Pieces that it got, or is to get behind the extension. */
  readonly #pieces = new Set<string>();

  /**
   * @param link Where it is sent.
   * @param timeout The timeout of the connection, in milliseconds.
   * @param heartbeat What watches over the peer.
   * @param busy Whether the peer may be busy with something that we asked for, and its end would be seen.
   */
  constructor(link: Link, timeout: number, heartbeat: Heartbeat, busy: () => boolean) {
    this.#link = link;
    heartbeat.excused = () => this.#single && busy();
    heartbeat.busy = () => this.#boots && busy();
    this.#patience = Math.min(PATIENCE, timeout / PARTS);
    link.extend = () => {
      const packed = this.#take();
      if (packed) {
        link.before((writer) => this.#write(writer, packed), () => this.#keep(packed));
      } else if (!link.open) this.#needed = true;
    };
    link.provide = (specifier) => {
      // Before it greets, one cannot know whether it has its own.
      if (this.#pieces.has(specifier) || link.open && !this.#boots) return;
      const piece = provision().piece(specifier);
      if (!piece) return;
      this.#pieces.add(specifier);
      if (link.open) link.before((writer) => this.#write(writer, piece), () => this.#pieces.delete(specifier));
    };
  }

  /** Our hello is encoded, for a peer that is going to have nothing but the kernel; what waited follows. */
  boot(packed: Uint8Array): void {
    this.#boots = this.#single = true;
    this.#keep(packed);
    if (this.#needed) this.send();
    for (const specifier of this.#pieces) this.#send(provision().piece(specifier)!);
  }

  #write(writer: Writer, packed: Uint8Array): void {
    writer.u8(MESSAGE.EXTEND);
    writer.raw(packed);
  }

  #keep(packed: Uint8Array): void {
    if (this.#over) return; // while a message was encoded, which is not sent therefore
    this.#packed = packed;
    this.#link.extending = this.#answered;
    this.#after(this.#answered ? 0 : this.#patience);
  }

  /** An answer came. */
  answered(): void {
    if (this.#answered || !this.#packed) return;
    this.#answered = true;
    // Whoever waited for it goes first: it may be all that the peer is there for. The next call may keep the peer busy for long, which is what the
    // watchdog of the extension is for.
    this.#link.extending = true;
    this.#after(0);
  }

  /**
   * The peer speaks of it.
   *
   * @param size What its message holds: nothing if it asks for the extension, something if it has it.
   */
  asked(size: number): void {
    if (size > 0) this.#single = false;
    else this.send();
  }

  /** Sends it now, if it was not sent. */
  send(): void {
    const packed = this.#take();
    if (packed) this.#send(packed);
  }

  #send(packed: Uint8Array): void {
    const link = this.#link;
    const start = link.begin(MESSAGE.EXTEND);
    link.writer.raw(packed);
    link.commit(start);
  }

  #take(): Uint8Array | undefined {
    const packed = this.#packed;
    this.#packed = undefined;
    this.#link.extending = false;
    clearTimeout(this.#timer);
    return packed;
  }

  #after(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = idleTimeout(() => this.send(), ms);
  }

  /** It is not to be sent any more. */
  stop(): void {
    this.#over = true;
    this.#take();
  }
}
