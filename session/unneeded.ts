/**
 * Saying which results that the peer holds for us nobody can ask for any more, many at a time.
 *
 * @module
 */

import { MESSAGE } from "../protocol/messages.ts";
import type { Call } from "./call.ts";
import type { Link } from "./link.ts";

/** What saying so needs of the rest of a session. */
interface UnneededContext {
  readonly link: Link;
  /** Why nothing can be said any more. */
  readonly over: Error | undefined;
}

/** Numbers of calls whose held results are not needed any more, but the peer was not told yet. */
export class Unneeded {
  readonly #context: UnneededContext;
  #ids: number[] = [];
  readonly #collected = new FinalizationRegistry<number>((id) => this.add(id));

  constructor(context: UnneededContext) {
    this.#context = context;
  }

  /** Adds a call when it is collected. */
  watch(call: Call): void {
    this.#collected.register(call, call.id);
  }

  /** Adds one. */
  add(id: number): void {
    if (this.#ids.push(id) > 1) return;
    queueMicrotask(() => this.#context.link.afterAll(() => this.#send()));
  }

  #send(): void {
    const { link, over } = this.#context;
    const ids = this.#ids;
    this.#ids = [];
    if (over) return;
    const start = link.begin(MESSAGE.DROP);
    link.writer.varint(ids.length);
    for (const id of ids) link.writer.varint(id);
    link.commit(start);
  }
}
