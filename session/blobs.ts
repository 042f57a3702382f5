/**
 * Blobs that cross a connection: their bytes can only be read later, so they follow in a message of their own.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MESSAGE, REFERENCE } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Writer } from "../protocol/writer.ts";
import type { Deferred } from "../runtime/waiting.ts";
import { deferred } from "../runtime/waiting.ts";
import type { Pending } from "./pending.ts";
import type { SideContext } from "./signals.ts";

const tooLarge = (): Error => new OperationError("Cannot send a Blob that is larger than maxMessageSize");

/** All blobs of a session, in both directions. */
export class Blobs {
  readonly #context: SideContext;
  #last = 0;
  readonly #awaited = new Map<number, Deferred<unknown>>();

  constructor(context: SideContext) {
    this.#context = context;
  }

  /** Writes a blob. */
  write(writer: Writer, blob: Blob): void {
    const { link, tell } = this.#context;
    const number = ++this.#last;
    writer.u8(REFERENCE.BLOB);
    writer.varint(number);
    writer.string(blob.type);
    link.carrying((large) => {
      const send = (value: unknown) => tell(MESSAGE.BLOB, number, value, tooLarge, large && [large]);
      blob.arrayBuffer().then(send, (error) => send(new OperationError(`Cannot read a Blob: ${error}`)));
    });
  }

  /** Reads what {@linkcode write} wrote. Gives what stands for the blob until its bytes are there. */
  read(reader: Reader): Pending {
    const number = reader.varint(), type = reader.string();
    if (this.#awaited.has(number) || this.#awaited.size >= LIMITS.awaited) {
      throw new ProtocolError(`Cannot wait for blob ${number}, as for another of that number or too many others`);
    }
    const awaited = deferred<unknown>();
    this.#awaited.set(number, awaited);
    return this.#context.arrive(awaited.promise.then((bytes) => new Blob([bytes as ArrayBuffer], { type })));
  }

  /** Reads a BLOB message. */
  arrived(number: number, value: unknown): void {
    const awaited = this.#awaited.get(number);
    this.#awaited.delete(number);
    if (value instanceof ArrayBuffer) awaited?.resolve(value);
    else awaited?.reject(value);
  }

  /** The connection is gone. */
  clear(error: unknown): void {
    for (const { reject } of this.#awaited.values()) reject(error);
    this.#awaited.clear();
  }
}
