/**
 * Where something was made that has copies in other processes: what is known of them here. {@linkcode Served} has one.
 *
 * @module
 */

import type { Connection, Remote } from "../mod.ts";
import { release } from "../mod.ts";
import type { RemoteFace } from "../session/faces.ts";
import { faceOf } from "../session/faces.ts";
import type { WaitOptions } from "./waits.ts";
import { waitFor } from "./waits.ts";

/** What copies see of it: they say that they listen, and that they do not any more. */
export interface Port {
  /** Takes the face of what listens. */
  attach(face: object): void;
  /** Takes the same, when it is over. */
  detach(face: object): void;
}

/** How the process ends that gets what is encoded now, for who is told; where that is known. */
let receiver: Promise<() => Error> | undefined;

/**
 * Says which process gets what is encoded from now on.
 *
 * @param ended See {@linkcode Home.follow}; undefined when it is done.
 */
export function sendingTo(ended: Promise<() => Error> | undefined): void {
  receiver = ended;
}

/** What is known here of the copies of one object. */
export class Home {
  /** What copies get, by reference. */
  readonly port: Port;
  #endpoint: RemoteFace | undefined;
  #sent = false;
  /** Processes that got a copy and are not known to have ended. */
  #alive = 0;
  /** How the last of them ended, once all have. */
  #lost: (() => Error) | undefined;
  /** Those processes that were followed, as one may get many copies. */
  readonly #followed = new WeakSet<Promise<() => Error>>();
  readonly #waiting = new Set<() => void>();

  constructor() {
    this.port = {
      attach: (face) => {
        this.#endpoint = faceOf(face) as RemoteFace;
        this.opened();
      },
      detach: (face) => {
        if (this.#endpoint === faceOf(face)) this.#endpoint = undefined;
        release(face as Remote<object>);
      },
    };
  }

  /** The face of the copy that listens. */
  get endpoint(): RemoteFace | undefined {
    const face = this.#endpoint;
    // Its process may be gone without having said so.
    return face && (face.operator.connection as Connection).isConnected() ? face : this.#endpoint = undefined;
  }

  /** Whether a copy was made: then operations are not for the original any more. */
  get sent(): boolean {
    return this.#sent;
  }

  /** Notes that a copy is made. */
  leave(): void {
    this.#sent = true;
    if (receiver) this.follow(receiver);
  }

  /**
   * Notes that a process gets a copy.
   *
   * @param ended Resolves, when it has ended, with what gives the error for that to who is told.
   */
  follow(ended: Promise<() => Error>): void {
    this.#sent = true;
    if (this.#followed.has(ended)) return;
    this.#followed.add(ended);
    this.#alive++;
    this.#lost = undefined;
    ended.then((error) => {
      if (--this.#alive > 0) return;
      this.#lost = error;
      this.opened();
    });
  }

  /** Has those who wait look again. */
  opened(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Waits until something is so, or no process is left that could make it so. */
  until(test: () => boolean, what: string, options: WaitOptions): Promise<void> {
    return waitFor(what, options, (settle) => {
      const look = () => {
        if (test()) settle();
        else if (this.#lost) settle(this.#lost());
      };
      this.#waiting.add(look);
      look();
      return () => this.#waiting.delete(look);
    });
  }
}
