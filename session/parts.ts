/**
 * Puts the parts of a session together, and hands each message to the one that it is for. How a connection begins and ends is in `session.ts`.
 *
 * @module
 */

import { Decoder } from "../protocol/decoder.ts";
import type { DisconnectError } from "../protocol/errors.ts";
import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { MESSAGE } from "../protocol/messages.ts";
import { Reader } from "../protocol/reader.ts";
import type { Wire } from "../transports/wire.ts";
import { Callee } from "./callee.ts";
import { Caller } from "./caller.ts";
import { followCalls } from "./context.ts";
import { isObserved, observe } from "./debug.ts";
import { Definitions } from "./definitions.ts";
import { Exchange } from "./exchange.ts";
import { Link } from "./link.ts";
import type { ConnectionStatus } from "./peer.ts";
import type { RecordsContext } from "./records.ts";
import { carryRecords, recordsArrived, recordsOver } from "./records.ts";
import { References } from "./references.ts";
import type { StreamPort } from "./streams.ts";
import { Streams } from "./streams.ts";
import { withoutOwnFrames } from "./stacks.ts";
import { ignore } from "./waiting.ts";

/** What the parts are told, and what they tell. */
export interface PartsInit {
  readonly wire: Wire;
  /** The public connection. */
  readonly connection: object;
  /** Whether the peer may start things here. */
  readonly acceptCalls: boolean;
  /** Whether the peer's modules may be imported here. */
  readonly acceptModules: boolean;
  /** What the peer may start from without a reference. */
  readonly exposed: object | undefined;
  /** Bytes that one message may have. */
  readonly limit: number;
  /** Whether this end was booted by its peer. */
  readonly booted: boolean;
  /** Whether the peer was booted by us. */
  readonly peerBooted: boolean;
  /** Who and where the peer is, for stacks. */
  readonly peer: string;
  /** Why nothing can be asked any more. */
  readonly over: DisconnectError | undefined;
  /** Settles when it is known whether the peer takes modules from us. */
  peerAccepts(): Promise<boolean>;
  /** Says that something began or ceased to be awaited or to run. */
  busy(change: 1 | -1): void;
  /** A write failed. */
  lost(error: unknown): void;
  /** A message that was kept back broke the protocol. */
  fail(error: unknown): void;
}

type Counters =
  | "callsInFlight"
  | "callsRunning"
  | "referencesHeld"
  | "referencesGiven"
  | "resultsHeld"
  | "streamsOpen"
  | "modulesSent";

const NO_SEGMENTS: readonly ArrayBuffer[] = [];
/** How many sessions there were: the modules of each have names of their own. */
let count = 0;

/** The parts of one session. */
export class Parts {
  readonly #init: PartsInit;
  readonly #reader = new Reader();
  readonly #decoder: Decoder;
  readonly #records: RecordsContext;
  /** Messages that came while something was loaded that they need. */
  #stalled: (() => void)[] | undefined;
  /** What is sent goes through it. */
  readonly link: Link;
  /** What goes by reference. */
  readonly references: References;
  /** Functions and classes by number. */
  readonly definitions: Definitions;
  /** Modules. */
  readonly exchange: Exchange;
  /** Streams and iterations. */
  readonly streams: StreamPort;
  /** Operations that the peer asks us for. */
  readonly callee: Callee;
  /** Operations that we ask the peer for. */
  readonly caller: Caller;

  /** Puts them together. */
  constructor(init: PartsInit) {
    this.#init = init;
    const { connection, acceptCalls, exposed, limit } = init;
    const busy = (change: 1 | -1) => init.busy(change);
    const link = this.link = new Link(
      init.wire,
      {
        classId: (constructor) => this.definitions.classNumber(constructor),
        external: (writer, value) => this.references.encode(writer, value),
        stack: (text) => withoutOwnFrames(this.exchange.originalStack(text)),
      },
      limit,
      (error) => init.lost(error),
    );
    const decoder = this.#decoder = new Decoder({
      classById: (number) => this.definitions.classById(number),
      external: (reader) => this.references.decode(reader),
    });
    const exchange = this.exchange = new Exchange({
      link,
      decoder,
      limit,
      accepts: init.acceptModules,
      booted: init.booted,
      get peerBooted() {
        return init.peerBooted;
      },
      prefix: init.booted ? "" : `across:/${++count}/`,
      peerAccepts: () => init.peerAccepts(),
      renamed: () => this.definitions.reconsider(),
    });
    const importModule = (specifier: string, options: unknown) => exchange.import(specifier, options);
    const prepare = (source: string) => exchange.prepare(source);
    const definitions = this.definitions = new Definitions({
      link,
      acceptCalls,
      prepare,
      import: importModule,
      exportedName: (fn) => exchange.nameOf(fn),
      resolveExported: (name, any) => exchange.resolveExported(name, any),
    });
    // deno-lint-ignore no-this-alias -- for a getter, as the caller is made after the references that it needs
    const parts = this;
    const references = this.references = new References({
      link,
      exposed,
      get operator() {
        return parts.caller;
      },
      get streams() {
        return parts.streams;
      },
      define: (fn) => definitions.define(fn),
      classNumber: (fn) => definitions.classNumber(fn),
      defined: (number) => definitions.get(number),
      held: (id) => this.callee.held(id),
    });
    const streams = this.streams = new Streams({
      link,
      decoder,
      references,
      get peer() {
        return init.peer;
      },
      exported: (constructor) => exchange.nameOf(constructor) !== undefined,
      busy,
    });
    const common = { link, decoder, references, definitions, connection, busy };
    this.callee = new Callee({ ...common, acceptCalls, exposed, importModule, prepare });
    this.caller = new Caller({
      ...common,
      streams,
      get peer() {
        return init.peer;
      },
      get over() {
        return init.over;
      },
    });
    this.#records = {
      link,
      decoder,
      references,
      connection,
      get peer() {
        return init.peer;
      },
      get over() {
        return init.over;
      },
      leaving: new Set(),
    };
    carryRecords(this.#records);
    link.beforeFlush = () => this.caller.settleTurn();
  }

  /**
   * Hands a message to the part that it is for.
   *
   * @param own Takes the messages that are none of theirs; returns false if it knows no such message, either.
   * @throws {ProtocolError} If it makes no sense.
   */
  take(
    bytes: Uint8Array,
    start: number,
    end: number,
    segments: readonly ArrayBuffer[],
    own: (kind: number, value: () => unknown) => boolean,
  ): void {
    const kind = bytes[start]!;
    const again = () => {
      // Bytes may be a Buffer, whose own slice() does not copy.
      const copy = Uint8Array.prototype.slice.call(bytes, start, end);
      this.#stalled!.push(() => this.take(copy, 0, copy.length, segments, own));
    };
    // What a loading module may wait for itself is let through; everything else keeps its order.
    if (this.#stalled && kind !== MESSAGE.RESULT && kind !== MESSAGE.FAILURE && kind !== MESSAGE.MODULES) {
      return again();
    }
    if (isObserved()) observe(this.link, false, bytes, start, end);
    const reader = this.#reader;
    reader.reset(bytes, start + 1, end);
    this.#decoder.begin(segments);
    try {
      if (own(kind, () => this.#decoder.value(reader))) return;
      if (kind === MESSAGE.CALL) {
        const loading = this.#init.booted ? undefined : followCalls();
        if (!loading) return this.callee.called(reader);
        this.#stall(loading);
        return again();
      }
      this.#dispatch(kind, reader, segments);
    } finally {
      this.references.takeArriving(); // of a message that does not wait for any of it
      this.#decoder.begin(NO_SEGMENTS); // or it would keep what it decoded last
    }
  }

  #dispatch(kind: number, reader: Reader, segments: readonly ArrayBuffer[]): void {
    switch (kind) {
      case MESSAGE.RESULT:
        return this.caller.succeeded(reader);
      case MESSAGE.FAILURE:
        return this.caller.failed(reader);
      case MESSAGE.DEFINE: {
        const loading = this.definitions.defined(reader);
        if (loading) this.#stall(loading);
        return;
      }
      case MESSAGE.CANCEL:
        return this.callee.cancelled(reader.varint(), this.#value(reader));
      case MESSAGE.RELEASE:
        return this.references.released(reader);
      case MESSAGE.DROP:
        return this.callee.dropped(reader);
      case MESSAGE.ROOTS:
        return this.exchange.announced(reader);
      case MESSAGE.FETCH:
        return this.exchange.asked(reader);
      case MESSAGE.MODULES:
        return this.exchange.arrived(reader);
      case MESSAGE.BLOB:
        return this.references.blobs.arrived(reader.varint(), this.#value(reader));
      case MESSAGE.SIGNAL:
        return this.references.signals.said(reader.varint(), this.#value(reader));
      case MESSAGE.LOG:
        return recordsArrived(this.#records, reader);
      case MESSAGE.STREAM:
        return this.streams.arrived(reader, segments);
    }
    throw new ProtocolError(`Cannot take a message of kind ${kind}`);
  }

  /** Reads a value of which nothing may be missing; an error in its place if it cannot be had. */
  #value(reader: Reader): unknown {
    const value = this.#decoder.outcome(reader);
    return this.references.takeArriving() ? new OperationError("Cannot wait for what belongs to a reason") : value;
  }

  /** Keeps messages back until something is loaded that they need. */
  #stall(loading: Promise<unknown>): void {
    const stalled: (() => void)[] = this.#stalled = [];
    loading.catch(ignore).then(() => {
      this.#stalled = undefined;
      try {
        while (stalled.length > 0 && !this.#stalled) stalled.shift()!();
        // One of them stalled again: the others wait behind it.
        if (this.#stalled) (this.#stalled as (() => void)[]).push(...stalled);
      } catch (error) {
        this.#init.fail(error);
      }
    });
  }

  /** What is under way and held. */
  counters(): Pick<ConnectionStatus, Counters> {
    const { caller, callee, references, streams, exchange } = this;
    return {
      callsInFlight: caller.inFlight,
      callsRunning: callee.running,
      referencesHeld: references.imported,
      referencesGiven: references.exported,
      resultsHeld: callee.holding,
      streamsOpen: streams.open,
      modulesSent: exchange.sent,
    };
  }

  /**
   * Ends everything: nothing will be asked or answered any more.
   *
   * @param makeError Makes the error that each who waits is told.
   * @param quiet Whether calls that nobody watches are not reported as unhandled.
   * @returns Whether anybody was told.
   */
  clear(makeError: () => DisconnectError, quiet: boolean): boolean {
    const error = makeError();
    const waited = this.streams.clear(error);
    const told = this.caller.clear(makeError, quiet) || waited;
    this.callee.clear(error);
    this.references.clear(error);
    this.exchange.clear(error);
    recordsOver(this.#records);
    return told;
  }
}
