/**
 * Watching over time: showing the peer that we are alive, and finding out that it is not. The clock is looked at only now and then; what happens in
 * between sets flags.
 *
 * @module
 */

import { idleTimeout, later } from "../runtime/host.ts";
import type { Wire } from "../transports/wire.ts";
import type { Link } from "./link.ts";

/** How often per timeout the clock is looked at: nothing was sent for at most half of it when an idle frame goes out. */
const TICKS = 4;

/** What happens when time is up. */
function timeoutError(message: string): Error {
  return new DOMException(message, "TimeoutError");
}

/** What a heartbeat is told. */
export interface HeartbeatInit {
  /** Where idle frames go. */
  readonly link: Link;
  /** Our timeout in milliseconds. */
  readonly timeout: number;
  /** Gets what to end the connection with. */
  readonly fail: (error: Error) => void;
}

/** Watches one connection. */
export class Heartbeat {
  readonly #link: Link;
  #timeout: number;
  readonly #fail: (error: Error) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  /** Ticks in a row without a sign of life. */
  #quiet = 0;
  /** Whether the peer may be busy, with nobody who could speak for it meanwhile: then its silence says nothing. */
  excused: (() => boolean) | undefined;
  /** Whether the peer may be busy, so that it takes nothing, while another of its threads shows that it lives. */
  busy: (() => boolean) | undefined;
  /** To be set when anything arrives. */
  received = false;

  constructor({ link, timeout, fail }: HeartbeatInit) {
    this.#link = link;
    this.#timeout = timeout;
    this.#fail = fail;
  }

  /** Gives the peer our timeout for its hello. */
  awaitHello(): void {
    const timeout = this.#timeout;
    this.#after(timeout, () => this.#fail(timeoutError(`The peer did not answer within ${timeout} ms`)));
  }

  #after(ms: number, then: () => void): void {
    if (ms !== Infinity) this.#timer = idleTimeout(then, ms);
  }

  /**
   * The handshake is done.
   *
   * @param peerTimeout The peer's timeout in milliseconds.
   * @param timeout Ours from now on.
   * @param booted Whether this process was just started, and has better things to do first than to load timers.
   */
  start(peerTimeout: number, timeout: number = this.#timeout, booted = false): void {
    this.#timeout = timeout;
    const period = Math.max(1, Math.min(this.#timeout, peerTimeout) / TICKS);
    const start = () => {
      if (this.#stopped) return;
      clearTimeout(this.#timer);
      this.#next(period, performance.now() + period);
    };
    if (booted) later(start, period);
    else start();
  }

  #next(period: number, due: number): void {
    this.#after(period, () => {
      const now = performance.now();
      // Having been stopped or busy ourselves, we cannot tell how long the peer was silent: what it sent meanwhile is read first.
      const unsure = now - due > period || this.excused?.();
      const link = this.#link;
      if (this.received || unsure) this.#quiet = 0;
      else if (++this.#quiet * period >= this.#timeout) {
        return this.#fail(timeoutError(`The peer was silent for ${this.#timeout} ms`));
      }
      this.received = false;
      if (!unsure && link.writingSince > 0 && now - link.writingSince > this.#timeout && !this.busy?.()) {
        return this.#fail(timeoutError(`The peer took no data for ${this.#timeout} ms`));
      }
      if (!link.active && !link.writing) link.idle();
      link.active = false;
      this.#next(period, now + period);
    });
  }

  /** Gives the peer our timeout to end its stream, too, after its last message. */
  awaitEnd(wire: Pick<Wire, "abort" | "closed">): void {
    this.#after(this.#timeout, () => wire.abort(timeoutError("The peer did not end its stream")));
    wire.closed.then(() => clearTimeout(this.#timer));
  }

  /** Ends the watch. */
  stop(): void {
    this.#stopped = true;
    // The first use of a timer costs Deno up to ten milliseconds, and there may have been none.
    if (this.#timer) clearTimeout(this.#timer);
  }
}
