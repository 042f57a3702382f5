/**
 * Saying which references are not held any more, many at a time. Who holds which is in `references.ts`.
 *
 * @module
 */

import { MESSAGE } from "../protocol/messages.ts";
import type { Link } from "./link.ts";

/** References that are given back, but the peer was not told yet. */
export class Releases {
  readonly #link: Link;
  #returned: number[] = [];

  constructor(link: Link) {
    this.#link = link;
  }

  /** Gives back so many references of an object. */
  add(handle: number, count: number): void {
    if (this.#returned.push(handle, count) > 2) return;
    // Behind all that was sent so far, some of which may carry it.
    queueMicrotask(() => this.#link.afterAll(() => this.#send()));
  }

  #send(): void {
    const returned = this.#returned;
    if (returned.length === 0) return;
    this.#returned = [];
    const start = this.#link.begin(MESSAGE.RELEASE);
    const { writer } = this.#link;
    writer.varint(returned.length / 2);
    for (const number of returned) writer.varint(number);
    this.#link.commit(start);
  }

  /** The connection is gone. */
  clear(): void {
    this.#returned = [];
  }
}
