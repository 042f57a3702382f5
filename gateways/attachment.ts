/**
 * What all channels of one connection share: they learn together that it is gone, and keep the process alive while one of them is waited for.
 *
 * @module
 */

import type { Connection, Remote } from "../mod.ts";
import { getProxyConnection } from "../mod.ts";
import { within } from "../runtime/waiting.ts";
import { wires } from "../wires.ts";
import { EndOfChannelError, lostError } from "./errors.ts";

/** How long it takes at most to hear from a carrier why a connection ended. Milliseconds. */
const LAST_WORDS = 300;

/** What ends with the connection. */
export interface Bound {
  /** The connection is gone. */
  lose(error: Error): void;
}

/** A connection, as its channels see it. */
export class Attachment {
  readonly #connection: Connection;
  /** What the other side is called. */
  where = "the other side";
  /** The channels that are open. */
  readonly cores: Set<Bound> = new Set();
  /** Set when the connection is gone. */
  lost: Error | undefined;
  /** Whether it ends because it was asked to. */
  leaving = false;
  /** Tells why it is gone, where another one carries it and knows better. */
  why: Promise<Error | undefined> | undefined;
  /** Resolves when the connection is gone. */
  readonly over: Promise<Error>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.over = wires().watched(connection).wait(false).then(() => this.#lose());
  }

  async #lose(): Promise<Error> {
    // Whatever is asked of it now says why it is gone.
    let cause = await this.#connection.execute("0").then(() => undefined, (error: unknown) => error);
    const { why } = this;
    if (why && !this.leaving && await within(LAST_WORDS, why)) cause = await why ?? cause;
    this.lost = this.leaving ? new EndOfChannelError(`${this.where} was terminated`) : lostError(this.where, cause);
    for (const core of [...this.cores]) core.lose(this.lost);
    return this.lost;
  }

  /** Says that something began (1) or ceased (-1) to be waited for. */
  hold(by: 1 | -1): void {
    wires().watched(this.#connection).init.hold?.change(by);
  }
}

const attachments = new WeakMap<Connection, Attachment>();

/** What the channels of a connection share. */
export function attachmentTo(connection: Connection): Attachment {
  let attachment = attachments.get(connection);
  if (!attachment) attachments.set(connection, attachment = new Attachment(connection));
  return attachment;
}

/** The same, for the connection that a proxy belongs to. */
export function attachmentOf(proxy: Remote<unknown>): Attachment {
  return attachmentTo(getProxyConnection(proxy));
}
