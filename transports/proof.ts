/**
 * A wire that lets nothing through, in either direction, before both sides have proved that they know a secret (`protocol/proof.ts`). Whoever uses it
 * sees a wire like any other that takes a little longer to say its first byte.
 *
 * @module
 */

import { LIMITS } from "../protocol/limits.ts";
import type { Side } from "../protocol/proof.ts";
import { ANSWER_SIZE, CHALLENGE_SIZE, NONCE_SIZE, prove, refusal, SIDE } from "../protocol/proof.ts";
import { idleTimeout } from "../runtime/host.ts";
import { ignore } from "./join.ts";
import type { Wire } from "./wire.ts";

/** How a wire is proved. */
export interface ProofOptions {
  /** What both sides must know. */
  readonly secret: string | Uint8Array;
  /** Which side we are. */
  readonly side: Side;
  /** Milliseconds that the peer has for it, however many bytes it sends meanwhile. */
  readonly timeout: number;
}

/** Bytes that may wait to be read before the proof is given, besides a banner: the challenge, the answer, and the first that a peer says behind it. */
const EXPECTED = CHALLENGE_SIZE + ANSWER_SIZE + 1024;

/** HMAC-SHA-256 under a secret, by the means that every runtime has. */
async function makeMac(secret: string | Uint8Array): Promise<(bytes: Uint8Array) => Promise<Uint8Array>> {
  const { subtle } = crypto;
  if (!subtle) throw new Error("Cannot use a secret here as there is no crypto.subtle: pages need https for it");
  const raw = Uint8Array.from(typeof secret === "string" ? new TextEncoder().encode(secret) : secret);
  const key = await subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return async (bytes) => new Uint8Array(await subtle.sign("HMAC", key, Uint8Array.from(bytes)));
}

/** Bytes that arrived and were not asked for yet. */
class Arrived {
  #bytes: Uint8Array = new Uint8Array(0);
  #wanted: { readonly size: number; resolve(bytes: Uint8Array): void; reject(error: unknown): void } | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(chunk: Uint8Array): void {
    if (this.#failure) return;
    if (this.#bytes.length + chunk.length > this.#limit) return this.fail(refusal("it sent more than its proof"));
    const joined = new Uint8Array(this.#bytes.length + chunk.length);
    joined.set(this.#bytes);
    joined.set(chunk, this.#bytes.length);
    this.#bytes = joined;
    this.#serve();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#serve();
  }

  read(size: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#wanted = { size, resolve, reject };
      this.#serve();
    });
  }

  #serve(): void {
    const wanted = this.#wanted;
    if (!wanted) return;
    if (this.#failure) wanted.reject(this.#failure.error);
    else if (this.#bytes.length < wanted.size) return;
    else wanted.resolve(this.#take(wanted.size));
    this.#wanted = undefined;
  }

  /**
   * Ends the collection.
   *
   * @returns what nobody has read yet
   * @throws what the stream failed with meanwhile
   */
  finish(): Uint8Array {
    if (this.#failure) throw this.#failure.error;
    return this.#bytes;
  }

  #take(size: number): Uint8Array {
    const taken = this.#bytes.subarray(0, size);
    this.#bytes = this.#bytes.subarray(size);
    return taken;
  }
}

/**
 * Puts a proof before a wire. It begins when the wire is started.
 *
 * @param wire The wire; aborted when the peer fails.
 * @param options The secret, and what else there is to know.
 * @returns a wire that carries what comes after the proof, both ways; a receiver that sees nothing but an end was not reached by the peer
 */
export function provedWire(wire: Wire, { secret, side, timeout }: ProofOptions): Wire {
  const arrived = new Arrived(EXPECTED + (side === SIDE.listens ? 0 : LIMITS.bannerSize));
  let proved = false;
  let heard = false;
  let ended = false;
  let settle: { resolve(): void; reject(error: unknown): void };
  const proof = new Promise<void>((resolve, reject) => settle = { resolve, reject });
  proof.catch(ignore);
  let refuse: (error: unknown) => void;
  const opened = new Promise<void>((resolve, reject) => {
    refuse = reject;
    wire.opened?.catch(reject);
    proof.then(resolve, ignore);
  });
  opened.catch(ignore);

  const run = async (): Promise<void> => {
    const nonce = crypto.getRandomValues(new Uint8Array(NONCE_SIZE));
    const late = () => arrived.fail(new DOMException(`The peer gave no proof within ${timeout} ms`, "TimeoutError"));
    const timer = timeout < Infinity ? idleTimeout(late, timeout) : undefined;
    try {
      const stream = {
        read: (size: number) => arrived.read(size),
        write: (bytes: Uint8Array) => wire.write(bytes),
      };
      await prove(stream, { side, nonce, mac: await makeMac(secret) });
    } finally {
      clearTimeout(timer);
    }
  };

  const guarded: Wire = {
    ...wire,
    opened,
    start(receiver) {
      wire.start({
        data(chunk) {
          if (proved) return receiver.data(chunk);
          heard = true;
          arrived.add(chunk);
        },
        end(error) {
          ended = true;
          if (proved) return receiver.end(error);
          // An error from before the first byte is that of connecting, which speaks for itself.
          arrived.fail(
            error !== undefined && !heard ? error : refusal("it left before the proof was complete", error),
          );
        },
      });
      run().then(() => {
        const rest = arrived.finish();
        proved = true;
        settle.resolve();
        if (rest.length > 0) receiver.data(rest);
      }).catch((error) => {
        settle.reject(error);
        // Where the stream just ended, whoever uses the wire may know of a better reason.
        if (!ended) refuse(error);
        wire.abort(error);
        receiver.end(error);
      });
    },
    write: (chunk) => proved ? wire.write(chunk) : proof.then(() => wire.write(chunk)),
    end: () => proved ? wire.end() : proof.then(() => wire.end()).catch(ignore),
  };
  // Only an open wire knows how to tell its end.
  wire.opened?.then(() => {
    if (wire.describe) guarded.describe = () => wire.describe!();
  }, ignore);
  return guarded;
}
