/**
 * Serving: the operations that the peer asks for are carried out here, and their results kept for as long as it builds upon them.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { BASE, MESSAGE, WANT } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Decoder } from "../protocol/decoder.ts";
import { ignore } from "../runtime/waiting.ts";
import { CallContext, runInCall } from "./context.ts";
import { largeOf } from "./call.ts";
import type { Definitions } from "./definitions.ts";
import { extended, extension, isExtended } from "./extension.ts";
import { anyFace } from "./face.ts";
import { isOperationError, withoutFields } from "./failures.ts";
import type { Link } from "./link.ts";
import { plain } from "./lookup.ts";
import { ITSELF, Referred } from "./marks.ts";
import { readPath } from "./paths.ts";
import { complete } from "./pending.ts";
import { perform, type Request, Script } from "./perform.ts";
import type { References } from "./references.ts";

/** Arguments of one call that are accepted. */
const ARGUMENT_LIMIT = 1 << 16;

/** What serving needs of the rest of a session. */
export interface CalleeContext {
  readonly link: Link;
  readonly decoder: Decoder;
  readonly references: References;
  readonly definitions: Definitions;
  /** The public connection. */
  readonly connection: object;
  /** What is behind it. */
  readonly session: object;
  readonly acceptCalls: boolean;
  readonly exposed: object | undefined;
  /** Imports a module for the peer: one that it exported, else one of ours. */
  importModule(specifier: string, options?: unknown): Promise<object>;
  /** What must be waited for before code of the peer runs, if anything. */
  prepare(source: string): Promise<unknown> | undefined;
  /** Says that something began or ceased to run for the peer. */
  busy(change: 1 | -1): void;
}

/** A held result: a value, or a promise of it. */
type Held = { readonly value: unknown };

/** Carries out what the peer asks for. */
export class Callee {
  readonly #context: CalleeContext;
  /** Operations that have not come to an end yet. */
  readonly #running = new Map<number, Request>();
  readonly #held = new Map<number, Held>();

  constructor(context: CalleeContext) {
    this.#context = context;
  }

  /** How many operations run. */
  get running(): number {
    return this.#running.size;
  }

  /** How many results are held for the peer. */
  get holding(): number {
    return this.#held.size;
  }

  /** Reads a CALL message and starts the operation. */
  called(reader: Reader): void {
    const id = reader.varint(), flags = reader.u8(), kind = reader.peek();
    if (this.#running.has(id) || this.#held.has(id)) throw new ProtocolError(`Cannot take call ${id} twice`);
    let base: unknown, path: readonly string[] | undefined, action, args;
    let failure: { error: unknown } | undefined;
    const { references } = this.#context;
    const context = new CallContext(this.#context);
    references.call = context;
    try {
      base = this.#readBase(reader);
    } catch (error) {
      // What is malformed breaks the connection; what cannot be had fails this one call.
      if (!(error instanceof OperationError)) throw error;
      failure = { error };
    }
    try {
      path = readPath(reader);
      action = reader.u8();
      args = this.#readArguments(reader); // of a call that is refused, too: or what they refer to would never be given back
    } catch (error) {
      if (!failure && !(error instanceof OperationError)) throw error;
      failure ??= { error };
    }
    references.call = undefined;
    if (flags & WANT.NOTHING) context.abort(undefined);
    const arriving = references.takeArriving();
    const request: Request = {
      id,
      flags,
      path: path!,
      action: action!,
      args: args!,
      context,
      entered: false,
      self: undefined,
      direct: path?.length === 1 && (kind === BASE.HANDLE || kind === BASE.ROOT),
    };
    if (this.#running.size + this.#held.size >= LIMITS.calls) {
      return this.#fail(request, new OperationError(`Cannot take another call as ${LIMITS.calls} are open`));
    }
    if (failure) return this.#failAtOnce(request, failure.error);
    if (arriving) {
      // What was here before the message is nobody's to look into.
      const ours = kind === BASE.HANDLE || kind === BASE.RESULT || kind === BASE.ROOT;
      const whole = complete([ours ? undefined : base, request.args] as const, arriving);
      return this.#later(
        request,
        whole.then(([sent, args]) => {
          request.args = args;
          return this.#start(request, ours ? base : sent);
        }),
      );
    }
    let result;
    try {
      if (base instanceof Promise) return this.#later(request, base.then((base) => this.#start(request, base)));
      result = this.#start(request, base);
      // Another's `then` may do anything: it is called once.
      if (isThenable(result)) {
        return this.#later(request, result instanceof Promise || anyFace(result) ? result : Promise.resolve(result));
      }
    } catch (error) {
      return this.#failAtOnce(request, error);
    }
    if (flags & WANT.HOLD) this.#held.set(id, { value: result });
    this.#succeed(request, result);
  }

  #readBase(reader: Reader): unknown {
    const { acceptCalls, definitions, decoder, references } = this.#context;
    const at = reader.position;
    const base = reader.u8();
    let value: unknown;
    switch (base) {
      case BASE.DEFINED:
        value = definitions.get(reader.varint());
        break;
      case BASE.VALUE:
        value = decoder.value(reader);
        break;
      case BASE.MODULE: {
        const specifier = reader.string();
        value = acceptCalls && this.#context.importModule(specifier);
        break;
      }
      case BASE.SOURCE: {
        const source = reader.string();
        const variables = decoder.value(reader) as Record<string, unknown>;
        const importer = (specifier: unknown, options: unknown) => {
          return this.#context.importModule(String(specifier), options);
        };
        const script = new Script(extension().script(source, variables, importer));
        value = acceptCalls && this.#context.prepare(source)?.then(() => script) || script;
        break;
      }
      default:
        reader.position = at;
        value = references.readOrigin(reader);
        if (base === BASE.ROOT && value === undefined) {
          throw new OperationError(
            "Cannot find anything at the root as the peer exposes nothing: it would have to set the option expose",
          );
        }
        return value;
    }
    if (!acceptCalls) throw extension().actions.refuse();
    if (value instanceof Promise) value.catch(ignore); // nobody may get to wait for it
    return value;
  }

  #readArguments(reader: Reader): readonly unknown[] {
    const args = this.#context.decoder.value(reader);
    if (!Array.isArray(args) || args.length > ARGUMENT_LIMIT) {
      throw new ProtocolError("Cannot take the arguments of a call");
    }
    return args;
  }

  /** Begins an operation whose base and arguments are there. */
  #start(request: Request, base: unknown): unknown {
    request.context.check();
    return runInCall(request.context, () => perform(base, request));
  }

  /** Answers when a promise settles. */
  #later(request: Request, result: PromiseLike<unknown>): void {
    const { id, flags } = request;
    if (anyFace(result) && !(flags & (WANT.VALUE | WANT.REFERENCE))) return void this.#held.set(id, { value: result });
    this.#running.set(id, request);
    this.#context.busy(1);
    if (flags & WANT.HOLD) {
      if (anyFace(result)) this.#held.set(id, { value: result });
      else this.#hold(id, Promise.resolve(result));
    }
    result.then((value) => {
      if (!this.#ended(id)) return;
      const held = this.#held.get(id);
      if (held && !anyFace(held.value)) this.#held.set(id, { value });
      this.#succeed(request, value);
    }, (error) => {
      if (this.#ended(id)) this.#fail(request, error);
    });
  }

  #hold(id: number, result: Promise<unknown>): void {
    result.catch(ignore); // whoever builds upon it gets the failure
    this.#held.set(id, { value: result });
  }

  #ended(id: number): boolean {
    const known = this.#running.delete(id);
    if (known) this.#context.busy(-1);
    return known;
  }

  #succeed(request: Request, value: unknown): void {
    const { id, flags, self, direct, context } = request;
    if (!(flags & (WANT.VALUE | WANT.REFERENCE))) return;
    const { link, references } = this.#context;
    const start = link.begin(MESSAGE.RESULT);
    references.begin(context);
    try {
      link.writer.varint(id);
      // A method that returns its object is for going on with the object, not for copying it.
      const itself = value === self && typeof value === "object" && value !== null;
      let answer = value;
      if (itself && direct) answer = ITSELF;
      else if (itself || flags & WANT.REFERENCE) answer = new Referred(plain(value));
      link.value(answer, "result");
      link.commit(start, { kept: value, behind: largeOf(references.takeNeeded()) });
    } catch (error) {
      link.rollback(start);
      references.undo();
      if (!this.#putOff(() => this.#succeed(request, value))) this.#answerFailure(id, error);
    }
  }

  /** What the kernel cannot send, the extension may: asks for it, and does `again` when it is here. Returns false if it is. */
  #putOff(again: () => void): boolean {
    if (isExtended()) return false;
    const { link } = this.#context;
    queueMicrotask(() => link.commit(link.begin(MESSAGE.EXTEND)));
    extended.then(again);
    return true;
  }

  #failAtOnce(request: Request, error: unknown): void {
    if (request.flags & WANT.HOLD) this.#hold(request.id, Promise.reject(error));
    this.#fail(request, error);
  }

  #fail(request: Request, error: unknown): void {
    const { id, flags } = request;
    // The caller must not take for its own what is about something else.
    if (request.entered && isOperationError(error)) error = new Error(error.message, { cause: error });
    if (flags & (WANT.VALUE | WANT.REFERENCE)) this.#answerFailure(id, error);
  }

  #answerFailure(id: number, error: unknown): void {
    this.#context.references.tell(MESSAGE.FAILURE, id, error, (error) => {
      if (this.#putOff(() => this.#answerFailure(id, error))) throw error; // so nothing is sent yet
      return withoutFields(error);
    });
  }

  /** Takes a CANCEL message. */
  cancelled(id: number, reason: unknown): void {
    const request = this.#running.get(id);
    if (!request) return;
    request.flags &= WANT.HOLD;
    request.context.abort(reason);
  }

  /** Reads a DROP message. */
  dropped(reader: Reader): void {
    for (let left = reader.varint(); left > 0; left--) this.#held.delete(reader.varint());
  }

  /** The result of an earlier call. */
  held(id: number): unknown {
    const held = this.#held.get(id);
    if (!held) throw new OperationError(`Cannot find the result of call ${id} as it is not held any more`);
    return held.value;
  }

  /** Aborts everything that runs: nobody waits for it any more. */
  clear(reason: unknown): void {
    for (const id of [...this.#running.keys()]) {
      this.#running.get(id)!.context.abort(reason);
      this.#ended(id);
    }
    this.#held.clear();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}
