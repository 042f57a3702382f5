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
import type { Bounds } from "./bounds.ts";
import { Callee } from "./callee.ts";
import type { Caller, CallerContext } from "./caller.ts";
import { isObserved, observe } from "./debug.ts";
import type { Defining } from "./defining.ts";
import { Definitions } from "./definitions.ts";
import type { Exchange } from "./exchange.ts";
import { extension, isExtended } from "./extension.ts";
import { Link } from "./link.ts";
import type { ConnectionStatus } from "./peer.ts";
import type { Records } from "./records.ts";
import { References } from "./references.ts";
import { Stalled } from "./stalled.ts";
import type { StreamPort } from "./streams.ts";
import { withoutOwnFrames } from "./stacks.ts";

/** What the parts are told, and what they tell. */
export interface PartsInit {
  readonly wire: Wire;
  /** The public connection. Where a BIOS began the session it is made when somebody asks. */
  readonly connection: object;
  /** The session that they are parts of. */
  readonly session: object;
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
  /** What a call of the peer has to wait for, if anything. */
  readonly beforeCall: ((link: Link) => Promise<void> | undefined) | undefined;
  /** See {@linkcode Bounds.keep}. Undefined where this end belongs to the peer. */
  readonly keep: Bounds["keep"] | undefined;
  /** Why nothing can be asked any more. */
  readonly over: DisconnectError | undefined;
  /** Settles when it is known whether the peer takes modules from us. */
  peerAccepts(): Promise<boolean>;
  /** Says that something began or ceased to be awaited or to run. */
  busy(change: 1 | -1): void;
  /** Takes an EXTEND message. Gives what must be waited for before the next one is read, if anything. */
  extend(packed: Uint8Array): Promise<void> | undefined;
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

const NOTHING = new Uint8Array(0);
const NO_SEGMENTS: readonly ArrayBuffer[] = [];
/** How many sessions there were: the modules of each have names of their own. */
let count = 0;

/** The parts of one session. */
export class Parts {
  readonly #init: PartsInit;
  readonly #reader = new Reader();
  readonly #decoder: Decoder;
  /** Messages that have to wait. */
  readonly stalled: Stalled = new Stalled((error) => this.#init.fail(error));
  /** What is sent goes through it. */
  readonly link: Link;
  /** What goes by reference. */
  readonly references: References;
  /** Functions and classes of the peer by number. */
  readonly definitions: Definitions;
  #exchange: Exchange | undefined;
  #streams: StreamPort | undefined;
  /** Operations that the peer asks us for. */
  readonly callee: Callee;
  #caller: Caller | undefined;
  #defining: Defining | undefined;
  #records: Records | undefined;

  /** Puts them together. */
  constructor(init: PartsInit) {
    this.#init = init;
    const { acceptCalls, exposed, limit, busy } = init;
    const link = this.link = new Link(
      init.wire,
      {
        classId: (constructor) => this.defining.classNumber(constructor),
        external: (writer, value) => this.references.encode(writer, value),
        stack: (text) => withoutOwnFrames(this.#exchange?.originalStack(text) ?? text),
      },
      limit,
      (error) => init.lost(error),
    );
    const decoder = this.#decoder = new Decoder({
      classById: (number) => this.definitions.classById(number),
      external: (reader) => this.references.decode(reader),
    });
    const importModule = (specifier: string, options: unknown) => this.exchange.import(specifier, options);
    const prepare = (source: string) => isExtended() ? this.exchange.prepare(source) : undefined;
    const definitions = this.definitions = new Definitions({
      acceptCalls,
      refuse: (name) => extension().actions.refuse(name),
      prepare,
      import: importModule,
      resolveExported: (name, any) => this.exchange.resolveExported(name, any),
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
      sides: (context) => extension().sides(context),
      get defining() {
        return parts.defining;
      },
      defined: (number) => definitions.get(number),
      held: (id) => this.callee.held(id),
    });
    this.callee = new Callee({
      link,
      decoder,
      references,
      definitions,
      get connection() {
        return init.connection;
      },
      session: init.session,
      acceptCalls,
      exposed,
      importModule,
      prepare,
      busy,
    });
  }

  /** What the parts of the extension are told. */
  #common(): CallerContext {
    // deno-lint-ignore no-this-alias -- for a getter
    const parts = this;
    const init = this.#init;
    const { link, references, defining } = this;
    return {
      link,
      references,
      defining,
      decoder: this.#decoder,
      busy: init.busy,
      session: init.session,
      get streams() {
        return parts.streams;
      },
      get connection() {
        return init.connection;
      },
      get peer() {
        return init.peer;
      },
      get over() {
        return init.over;
      },
    };
  }

  /** Operations that we ask the peer for. Made with the first one. */
  get caller(): Caller {
    if (this.#caller) return this.#caller;
    const caller = this.#caller = extension().caller(this.#common());
    this.link.beforeFlush = () => caller.settleTurn();
    return caller;
  }

  /** Functions and classes of ours by number. Made with the first one. */
  get defining(): Defining {
    return this.#defining ??= extension().defining({
      link: this.link,
      exportedName: (fn) => this.#exchange?.nameOf(fn),
    });
  }

  /** Streams and iterations. Made with the first of either. */
  get streams(): StreamPort {
    const init = this.#init;
    return this.#streams ??= extension().streams({
      link: this.link,
      decoder: this.#decoder,
      references: this.references,
      get peer() {
        return init.peer;
      },
      discard: (decode) => this.caller.discard(decode),
      exported: (constructor) => this.#exchange?.nameOf(constructor) !== undefined,
      busy: init.busy,
    });
  }

  /** Log records. Made when the connection is there, or the first ones come. */
  get records(): Records {
    return this.#records ??= extension().records(this.#common());
  }

  /** Modules. Made when they are first spoken of. */
  get exchange(): Exchange {
    const init = this.#init;
    return this.#exchange ??= extension().exchange({
      link: this.link,
      decoder: this.#decoder,
      limit: init.limit,
      accepts: init.acceptModules,
      booted: init.booted,
      get peerBooted() {
        return init.peerBooted;
      },
      prefix: init.booted ? "" : `across:/${++count}/`,
      peerAccepts: () => init.peerAccepts(),
      renamed: () => this.#defining?.reconsider(),
    });
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
      const waits = this.#init.keep?.(copy, segments);
      this.stalled.add(() => {
        waits?.();
        this.take(copy, 0, copy.length, segments, own);
      });
    };
    // What a loading module may wait for itself is let through; everything else keeps its order, and so does all that the extension may be for.
    if (
      this.stalled.over &&
      (!isExtended() || kind !== MESSAGE.RESULT && kind !== MESSAGE.FAILURE && kind !== MESSAGE.MODULES)
    ) {
      return again();
    }
    if (isObserved()) observe(this.link, false, bytes, start, end);
    const reader = this.#reader;
    reader.reset(bytes, start + 1, end);
    this.#decoder.begin(segments);
    try {
      if (own(kind, () => this.#decoder.value(reader))) return;
      if (kind === MESSAGE.CALL) {
        const loading = this.#init.beforeCall?.(this.link);
        if (!loading) return this.callee.called(reader);
        this.stalled.until(loading);
        return again();
      }
      this.#dispatch(kind, reader, segments);
    } finally {
      this.references.takeArriving(); // of a message that does not wait for any of it
      this.#decoder.begin(NO_SEGMENTS); // or it would keep what it decoded last
      if (end === bytes.length) reader.reset(NOTHING); // and an idle connection what it was read into
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
        if (loading) this.stalled.until(loading);
        return;
      }
      case MESSAGE.EXTEND: {
        const loading = this.#init.extend(reader.raw(reader.end - reader.position));
        if (!loading) return;
        loading.catch((error) => this.#init.fail(error));
        return this.stalled.until(loading);
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
        return this.references.sides.blobs.arrived(reader.varint(), this.#value(reader));
      case MESSAGE.SIGNAL:
        return this.references.sides.signals.said(reader.varint(), this.#value(reader));
      case MESSAGE.LOG:
        return this.records.arrived(reader);
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

  /** Resolves when the first answers have left, also those that wait for what came with them. */
  async answered(): Promise<void> {
    const { link } = this;
    for (;;) {
      if (!link.writing) await link.left();
      if (!this.stalled.over) return;
      await this.stalled.over;
    }
  }

  /** What is under way and held. */
  counters(): Pick<ConnectionStatus, Counters> {
    const { callee, references } = this;
    const caller = this.#caller;
    return {
      callsInFlight: caller?.inFlight ?? 0,
      callsRunning: callee.running,
      referencesHeld: caller?.holding ?? 0,
      referencesGiven: references.exported,
      resultsHeld: callee.holding,
      streamsOpen: this.#streams?.open ?? 0,
      modulesSent: this.#exchange?.sent ?? 0,
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
    const waited = !!this.#streams?.clear(error);
    const told = !!this.#caller?.clear(makeError, quiet) || waited;
    this.callee.clear(error);
    this.references.clear(error);
    this.#exchange?.clear(error);
    this.#records?.over();
    return told;
  }
}
