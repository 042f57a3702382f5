/**
 * What an end that anybody may dial does about a peer that asks without ever reading the answers, or sends on while it is waited for: what it has us keep
 * is bounded. An end that was booted belongs to its peer, and does without.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import type { Link } from "./link.ts";

/** What may wait to be written beside a message as large as any, in bytes. */
const UNREAD = 1 << 24;
/** What messages that wait may take beside one as large as any, and what each costs beside its bytes. */
const KEPT = 1 << 26, OVERHEAD = 256;

/** The bounds of one connection. */
export class Bounds {
  readonly #limit: number;
  /** Bytes of messages that wait. */
  #kept = 0;

  /** @param limit Bytes that one message may have. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * A message begins to wait.
   *
   * @returns What is to be called when it does not any more.
   * @throws {ProtocolError} If that is too much.
   */
  keep(bytes: Uint8Array, segments: readonly ArrayBuffer[]): () => void {
    const size = segments.reduce((sum, it) => sum + it.byteLength, bytes.length + OVERHEAD);
    this.#kept += size;
    if (this.#kept > this.#limit + KEPT) {
      throw new ProtocolError("The peer sends too much while it is waited for modules, or for its reading");
    }
    return () => void (this.#kept -= size);
  }

  /** What the next call has to wait for, as its answer would be more of what the peer does not read: that this has become less. */
  thinned(link: Link): Promise<void> | undefined {
    return link.waiting > this.#limit + UNREAD ? this.#thinning(link) : undefined;
  }

  async #thinning(link: Link): Promise<void> {
    while (link.waiting > this.#limit + UNREAD) await link.left();
  }
}
