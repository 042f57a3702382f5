/**
 * What the two ends of streams (`stream_source.ts`, `stream_sink.ts`) need of what looks after all of them (`streams.ts`), and the numbers of streams.
 *
 * A stream has a number that the side chose which sent it, from 1. Its key is twice that, plus 1 on the side that chose it; so a key tells streams of
 * either side apart. Messages name a stream by the key that it has for the receiver; 0 is the connection.
 *
 * @module
 */

import type { Link } from "./link.ts";

/** The key that a stream has for the peer. */
export function foreign(key: number): number {
  return key % 2 === 1 ? key - 1 : key + 1;
}

/** What the ends of streams need. */
export interface StreamHub {
  readonly link: Link;
  /** For messages that carry values. */
  readonly references: { begin(): void; undo(): void };
  /** What we may send without credit of a stream. */
  allowance: number;
  /** Ends that wait for credit, of the stream or the connection. */
  readonly starving: Set<{ wake(): void }>;
  /** How many streams are read here. */
  active: number;
  /** What a stream that is read may have under way. */
  readonly window: number;
  /** Sends a message with a value about a stream. Something else is said if it cannot travel. */
  say(what: number, key: number, value: unknown): void;
  /** Gives the peer credit. */
  credit(key: number, amount: number): void;
  /** Something that was sent without credit arrived. Throws if it is too much. */
  advanced(cost: number): void;
  /** Something that was sent without credit is out of the way. */
  returned(cost: number): void;
  /** A stream has come to its end. */
  forget(key: number): void;
  /** What the peer is to be told of an error that code of the program threw. */
  own(error: unknown): unknown;
  /** Says that something began or ceased to be awaited or to run. */
  busy(change: 1 | -1): void;
}
