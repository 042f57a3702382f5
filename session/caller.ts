/**
 * Asking: operations that this side issues, until they are answered.
 *
 * @module
 */

import type { DisconnectError } from "../protocol/errors.ts";
import { OperationError, ProtocolError } from "../protocol/errors.ts";
import type { Decoder } from "../protocol/decoder.ts";
import { ACTION, BASE, MESSAGE, WANT } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import { Call, largeOf } from "./call.ts";
import { CallTable } from "./call_table.ts";
import type { Defining } from "./defining.ts";
import { provision } from "./provision.ts";
import { type Holding, type Operator, type Origin, RemoteFace } from "./faces.ts";
import { Holdings } from "./holdings.ts";
import type { Link } from "./link.ts";
import { writeOrigin, writePath } from "./paths.ts";
import { complete } from "./pending.ts";
import type { Receiver, References } from "./references.ts";
import { joinStacks } from "./stacks.ts";
import type { StreamPort } from "./streams.ts";
import { Unneeded } from "./unneeded.ts";

/** For how many calls of each so many milliseconds it is noted where they were issued, which costs as much as all the rest of a call. */
const NOTED_SITES = 16;
const NOTED_WITHIN = 16;
const NOTHING: readonly string[] = [];
const NONE: readonly never[] = [];

/** What asking needs of the rest of a session. */
export interface CallerContext {
  readonly link: Link;
  readonly decoder: Decoder;
  readonly references: References;
  readonly defining: Defining;
  readonly streams: StreamPort;
  /** The public connection. */
  readonly connection: object;
  /** What is behind it. */
  readonly session: object;
  /** Who and where the peer is, for stacks. */
  readonly peer: string;
  /** Why nothing can be asked any more. */
  readonly over: Error | undefined;
  /** Says that something began or ceased to be awaited. */
  busy(change: 1 | -1): void;
}

/** What an operation starts from, where that is not a face: kind (one of `BASE`), and what belongs to it. */
export type Base =
  | { readonly base: 0; readonly fn: object }
  | { readonly base: 4; readonly specifier: string }
  | { readonly base: 5; readonly value: unknown }
  | { readonly base: 6; readonly source: string; readonly variables: Record<string, unknown> };

/** Issues operations and takes the answers. */
export class Caller implements Operator, Receiver {
  readonly #context: CallerContext;
  readonly #holdings: Holdings;
  /** Where the operation started whose answer is being decoded. */
  #asked: unknown;
  /** Calls whose answer is expected. */
  readonly #calls = new CallTable();
  /** Calls of this turn, whose flags can still change. */
  #turn: Call[] = [];
  #last = 0;
  /** The span of time that we are in, and for how many calls in it we noted where they were issued. */
  #span = 0;
  #noted = 0;
  readonly #unneeded: Unneeded;
  /** How many calls are expected to be answered, or of this turn, that are not quiet. */
  #loud = 0;
  /** Whether calls that are issued are quiet: they do not count as awaited. Who says so holds the event loop as long as it sees fit. */
  quiet = false;

  constructor(context: CallerContext) {
    this.#context = context;
    this.#unneeded = new Unneeded(context);
    this.#holdings = new Holdings(context.link, this);
  }

  get connection(): object {
    return this.#context.connection;
  }

  /** What is behind the connection. */
  get session(): object {
    return this.#context.session;
  }

  get caller(): this {
    return this;
  }

  /** How many answers are expected. */
  get inFlight(): number {
    return this.#calls.size;
  }

  operate(origin: Origin, path: readonly string[], action: number, args: readonly unknown[], reference: boolean): Call {
    const failed = origin instanceof Call && origin.failure;
    if (failed) {
      const call = new Call(0, reference, undefined);
      return call.fail(failed.error);
    }
    return this.#issue(origin, path, action, args, reference);
  }

  /** Issues an operation that starts from something else than a face. */
  operateOn(base: Base, action: number, args: readonly unknown[], reference: boolean): Call {
    return this.#issue(base, NOTHING, action, args, reference);
  }

  #issue(
    from: Origin | Base,
    path: readonly string[],
    action: number,
    args: readonly unknown[],
    reference: boolean,
  ): Call {
    const { link, references, over } = this.#context;
    const call = new Call(++this.#last, reference, from);
    if (over) return call.fail(over);
    const start = link.begin(MESSAGE.CALL);
    references.begin();
    const { writer } = link;
    let flags;
    // The rarer actions are not in the kernel.
    if (link.extending || action > ACTION.INVOKE) link.extend();
    try {
      writer.varint(call.id);
      flags = writer.position - start;
      writer.u8(0);
      if (from && "base" in from) this.#writeBase(from);
      else writeOrigin(writer, from, this);
      writePath(writer, path);
      writer.u8(action);
      link.value(args, "args");
      call.needs = references.takeNeeded();
      call.large = link.commit(start, { kept: args, behind: largeOf(call.needs, from) });
    } catch (error) {
      link.rollback(start);
      references.undo();
      return call.fail(error);
    }
    // The header of a frame is not part of a large message's body.
    call.flagsAt = call.large ? flags - 4 : link.start + flags;
    if (call.large) call.carried = references.carried;
    if (this.#turn.length === 0) {
      // Not for every call of a turn, as reading the clock costs a tenth of one.
      const span = Math.floor(Date.now() / NOTED_WITHIN);
      if (span !== this.#span) this.#noted = 0;
      this.#span = span;
    }
    if (this.#noted++ < NOTED_SITES) call.site = new Error();
    this.#turn.push(call);
    call.quiet = this.quiet;
    if (!call.quiet && ++this.#loud === 1) this.#context.busy(1);
    return call;
  }

  /** A call is not expected to be answered any more. */
  #ceased({ quiet }: Call): void {
    if (!quiet && --this.#loud === 0) this.#context.busy(-1);
  }

  #writeBase(from: Base): void {
    const { link, defining } = this.#context;
    const { writer } = link;
    writer.u8(from.base);
    switch (from.base) {
      case BASE.DEFINED:
        return writer.varint(defining.define(from.fn));
      case BASE.MODULE:
        link.extend();
        link.provide(from.specifier);
        return writer.string(from.specifier);
      case BASE.VALUE:
        return link.value(from.value, "value");
      case BASE.SOURCE:
        link.extend();
        writer.string(provision().portable(from.source));
        return link.value(from.variables, "variables");
    }
    from satisfies never;
  }

  /** Fixes what is wanted of the calls of this turn. Called when their messages are about to leave. */
  settleTurn(): void {
    const turn = this.#turn;
    if (turn.length === 0) return;
    this.#turn = [];
    const { writer } = this.#context.link;
    for (const call of turn) {
      const { awaited, chained, failure } = call;
      const wanted = !failure && (awaited || !chained);
      call.held = chained || !awaited && !failure;
      (call.large?.body ?? writer.bytes)[call.flagsAt] = (wanted ? call.reference ? WANT.REFERENCE : WANT.VALUE : 0) |
        (call.held ? WANT.HOLD : 0) | (failure ? WANT.NOTHING : 0);
      call.sent = true;
      if (call.held) this.#unneeded.watch(call);
      if (!wanted) {
        // What is built upon it is watched over, and takes it along.
        call.limit?.end();
        this.#ceased(call);
        continue;
      }
      call.answered = true;
      this.#calls.add(call);
    }
  }

  result(call: Call): Promise<unknown> {
    if (call.awaited) return call.promise;
    call.awaited = true;
    if (!call.sent || call.failure) return call.promise;
    if (!call.answered) {
      // Sent only to be built upon, and now wanted after all: ask for what is held.
      const read = call.scope?.operate(call, NOTHING, ACTION.GET, NONE, call.reference) ??
        this.#issue(call, NOTHING, ACTION.GET, NONE, call.reference);
      read.awaited = true;
      read.promise.then((value) => call.resolve(value), (error) => call.reject(error));
    }
    if (call.held) {
      call.held = false;
      this.#unneeded.add(call.id);
    }
    return call.promise;
  }

  /** Gives a call up that is not settled: it rejects at once, and the peer is told. So are those that only it needs. */
  cancel(call: Call, reason: unknown): void {
    if (call.failure) return;
    call.failure = { error: reason };
    if (this.#calls.get(call.id) === call) {
      this.#calls.delete(call.id);
      this.#ceased(call);
    }
    if (call.sent || call.large && !call.chained) this.#recall(call, reason);
    call.reject(reason);
    for (const base of [call.context, ...call.needs ?? NONE]) {
      if (base instanceof Call && base.scope === call.scope && !base.answered) this.cancel(base, reason);
    }
  }

  /** Says that the result of a call is not wanted any more. */
  #recall({ id, large, chained, carried }: Call, reason: unknown): void {
    const { link, references } = this.#context;
    if (large && !large.gone && !chained) {
      link.abandon(large);
      references.undo(carried);
    } else references.tell(MESSAGE.CANCEL, id, reason, () => undefined, large && [large]);
  }

  /**
   * Iterates over what a path leads to.
   *
   * @param through What issues the operation.
   * @param signal Ends the iteration when it is aborted.
   */
  iterate(
    origin: Origin,
    path: readonly string[],
    through: Operator = this,
    signal?: AbortSignal,
  ): AsyncIterator<unknown> {
    const start = () => through.result(through.operate(origin, path, ACTION.ITERATE, NOTHING, false));
    return this.#context.streams.iterate(start, signal);
  }

  release(holding: Holding): void {
    this.#holdings.release(holding);
  }

  /** How many references we hold. */
  get holding(): number {
    return this.#holdings.size;
  }

  imported(handle: number, name: string): object {
    return this.#holdings.face(handle, name).proxy;
  }

  promised(handle: number, name: string): Promise<unknown> | undefined {
    const face = this.#holdings.face(handle, name);
    return this.unwanted ? undefined : this.result(this.operate(face, NOTHING, ACTION.GET, NONE, false));
  }

  itself(): unknown {
    if (this.#asked instanceof RemoteFace) return this.#asked.proxy;
    if (this.unwanted) return;
    throw new ProtocolError("Cannot take an object for where an operation started from none");
  }

  /** Decodes what nobody wants any more, and gives back what comes with it. */
  discard(decode: () => unknown): void {
    this.#holdings.discard(decode);
    this.#context.references.takeArriving();
  }

  get unwanted(): boolean {
    return this.#holdings.unwanted;
  }

  /** Reads the number and the value of an answer. */
  #answer(reader: Reader): { call: Call | undefined; value: unknown; refused: boolean } {
    const id = reader.varint();
    const call = this.#calls.get(id);
    let value, refused = false;
    if (!call) {
      if (id < 1 || id > this.#last) throw new ProtocolError(`Cannot find call ${id}, which was answered`);
      this.discard(() => this.#context.decoder.value(reader));
      return { call, value, refused };
    }
    const { decoder, references } = this.#context;
    this.#asked = call.context;
    try {
      value = decoder.value(reader);
    } catch (error) {
      references.takeArriving();
      // What breaks the connection reaches this call with all others.
      if (!(error instanceof OperationError)) throw error;
      value = error;
      refused = true;
    } finally {
      this.#asked = undefined;
    }
    this.#calls.delete(id);
    this.#ceased(call);
    return { call, value, refused };
  }

  /** Reads a RESULT message. */
  succeeded(reader: Reader): void {
    const { call, value, refused } = this.#answer(reader);
    const arriving = this.#context.references.takeArriving();
    if (!call) return; // it was cancelled
    if (refused) call.reject(value);
    else if (arriving) {
      complete([value], arriving).then(([value]) => call.resolve(value), (error) => call.reject(error));
    } else call.resolve(value);
  }

  /** Reads a FAILURE message. */
  failed(reader: Reader): void {
    const { call, value: error } = this.#answer(reader);
    this.#context.references.takeArriving();
    if (!call) return;
    if (error instanceof Error) {
      const from = call.context as Origin | Base;
      if (from && "base" in from && from.base === BASE.DEFINED) {
        const { defining } = this.#context;
        const source = defining.sourceOf(defining.define(from.fn));
        if (source) provision().explain(error, source);
      }
      const { peer } = this.#context;
      if (!call.site) return call.rejectLate(error, (site) => joinStacks(error, site, peer));
      joinStacks(error, call.site, peer);
    }
    call.reject(error);
  }

  /**
   * Ends everything that waits.
   *
   * @param makeError Makes the error for each.
   * @param quiet Whether calls that nobody watches are not reported as unhandled.
   * @returns Whether anybody was told.
   */
  clear(makeError: () => DisconnectError, quiet: boolean): boolean {
    const calls = [...this.#calls.values(), ...this.#turn];
    if (this.#loud > 0) this.#context.busy(-1);
    this.#loud = 0;
    this.#calls.clear();
    this.#turn = [];
    this.#holdings.clear();
    let told = false;
    for (const call of calls) {
      if (call.awaited) told = true;
      else if (quiet || call.chained) call.handled();
      call.sent = true;
      const error = makeError();
      call.failure = { error };
      call.reject(error);
    }
    return told;
  }
}
