/**
 * The references that we hold to objects of the peer: counted, and given back when their proxies are no longer in use. Those that the peer holds are
 * in `references.ts`, which also says why they are counted.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import type { Holding, Operator } from "./faces.ts";
import { RemoteFace } from "./faces.ts";
import type { Link } from "./link.ts";
import { Releases } from "./releases.ts";

/** All that we hold over one connection. */
export class Holdings {
  readonly #operator: Operator;
  /** An entry whose face is gone stays until its finalizer ran. It is the face that counts: paths and scopes of a proxy keep that, but not the proxy. */
  readonly #held = new Map<number, { readonly holding: Holding; readonly face: WeakRef<RemoteFace> }>();
  readonly #collected = new FinalizationRegistry<Holding>((holding) => this.release(holding));
  /** What comes while something is decoded that nobody wants. */
  #unwanted: Holding[] | undefined;
  readonly #releases: Releases;

  /**
   * @param link Where it is said that they are given back.
   * @param operator Carries out what is done to their proxies.
   */
  constructor(link: Link, operator: Operator) {
    this.#releases = new Releases(link);
    this.#operator = operator;
  }

  /** How many we hold. */
  get size(): number {
    return this.#held.size;
  }

  /** Whether what is being decoded is wanted by nobody. */
  get unwanted(): boolean {
    return this.#unwanted !== undefined;
  }

  /** The face for a reference that came. */
  face(handle: number, name: string): RemoteFace {
    const known = this.#held.get(handle);
    let face = known?.face.deref();
    if (face) {
      known!.holding.count++;
    } else {
      if (this.#held.size >= LIMITS.references) throw new OperationError("Cannot hold more references of a peer");
      const holding: Holding = { handle, name, count: 1 };
      face = new RemoteFace(this.#operator, holding);
      this.#held.set(handle, { holding, face: new WeakRef(face) });
      this.#collected.register(face, holding, holding);
    }
    this.#unwanted?.push(face.holding!);
    return face;
  }

  /** Decodes what nobody wants any more, and gives back what comes with it. */
  discard(decode: () => unknown): void {
    const unwanted: Holding[] = this.#unwanted = [];
    try {
      decode();
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
    } finally {
      this.#unwanted = undefined;
      for (const holding of unwanted) this.release(holding, 1);
    }
  }

  /**
   * Gives references back to the peer. Doing it twice is harmless.
   *
   * @param count How many of those that were received.
   */
  release(holding: Holding, count: number = holding.count): void {
    if (holding.count === 0) return;
    const { handle } = holding;
    holding.count -= count;
    if (holding.count === 0) {
      this.#collected.unregister(holding);
      if (this.#held.get(handle)?.holding === holding) this.#held.delete(handle);
    }
    this.#releases.add(handle, count);
  }

  /** Forgets everything: the connection is gone. */
  clear(): void {
    for (const { holding } of this.#held.values()) {
      this.#collected.unregister(holding);
      holding.count = 0;
    }
    this.#held.clear();
    this.#releases.clear();
  }
}
