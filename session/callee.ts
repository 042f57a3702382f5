/**
 * Serving: the operations that the peer asks for are carried out here, and their results kept for as long as it builds upon them.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { ACTION, BASE, MESSAGE, WANT } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Decoder } from "../protocol/decoder.ts";
import { CallContext, runInCall } from "./context.ts";
import { largeOf } from "./call.ts";
import type { Definitions } from "./definitions.ts";
import { refusal } from "./definitions.ts";
import { Script } from "./execute.ts";
import type { Face } from "./faces.ts";
import { faceOf, passOn } from "./faces.ts";
import { isOperationError, withoutFields } from "./failures.ts";
import { iterable } from "./iterable.ts";
import type { Link } from "./link.ts";
import { change, follow, member, plain } from "./lookup.ts";
import { ITSELF, Referred } from "./marks.ts";
import { readPath } from "./paths.ts";
import { complete } from "./pending.ts";
import type { References } from "./references.ts";
import { isClass } from "./source.ts";
import { ignore } from "./waiting.ts";
import { watch } from "./watch.ts";

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
  readonly acceptCalls: boolean;
  readonly exposed: object | undefined;
  /** Imports a module for the peer: one that it exported, else one of ours. */
  importModule(specifier: string, options?: unknown): Promise<object>;
  /** What must be waited for before code of the peer runs, if anything. */
  prepare(source: string): Promise<unknown> | undefined;
  /** Says that something began or ceased to run for the peer. */
  busy(change: 1 | -1): void;
}

/** An operation that the peer asked for. */
interface Request {
  readonly id: number;
  flags: number;
  readonly path: readonly string[];
  readonly action: number;
  args: readonly unknown[];
  readonly context: CallContext;
  /** Whether code of the program was entered: what it throws is its own. */
  entered: boolean;
  /** The object whose method was called. */
  self: unknown;
  /** Whether that is what the operation started from, which the caller has a proxy of. */
  readonly direct: boolean;
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
    const { references, connection } = this.#context;
    const context = new CallContext(connection);
    references.signals.call = context;
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
    references.signals.call = undefined;
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
      if (isThenable(result)) return this.#later(request, result);
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
        const script = new Script(
          source,
          variables,
          (specifier, options) => this.#context.importModule(String(specifier), options),
        );
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
    if (!acceptCalls) throw refusal();
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
    if (faceOf(result) && !(flags & (WANT.VALUE | WANT.REFERENCE))) return void this.#held.set(id, { value: result });
    this.#running.set(id, request);
    this.#context.busy(1);
    if (flags & WANT.HOLD) {
      if (faceOf(result)) this.#held.set(id, { value: result });
      else this.#hold(id, Promise.resolve(result));
    }
    result.then((value) => {
      if (!this.#ended(id)) return;
      const held = this.#held.get(id);
      if (held && !faceOf(held.value)) this.#held.set(id, { value });
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

  #succeed({ id, flags, self, direct, context }: Request, value: unknown): void {
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
      this.#answerFailure(id, error);
    }
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
    this.#context.references.tell(MESSAGE.FAILURE, id, error, withoutFields);
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

/** Does to `base` what a request says. */
function perform(base: unknown, request: Request): unknown {
  const { path } = request;
  const face = faceOf(base);
  if (face) return forward(face, path, request);
  if (base instanceof Script) {
    request.entered = true;
    return base.run();
  }
  if (request.action === ACTION.GET) return follow(base, path);
  const last = path.length - 1;
  if (last < 0) return act(base, undefined, undefined, request);
  const owner = last === 0 ? base : follow(base, path.slice(0, last));
  if (owner instanceof Promise) return owner.then((owner) => act(owner, path[last], owner, request));
  return act(owner, path[last], owner, request);
}

/** Has an operation done where its object lives, with which we have another connection. */
function forward(face: Face, path: readonly string[], request: Request): unknown {
  const { flags, action, args, context } = request;
  request.entered = true; // what fails is not the caller's connection
  const { operator, call, proxy } = passOn(face, path, action, args, !!(flags & WANT.REFERENCE), !!(flags & WANT.HOLD));
  watch(context.signal, { aborted: (reason) => operator.cancel(call, reason) });
  return proxy;
}

/** Does something to `holder`, or to its property `name` if there is one. */
function act(holder: unknown, name: string | undefined, self: unknown, request: Request): unknown {
  const { action, args, context } = request;
  context.check();
  holder = plain(holder);
  const face = faceOf(holder);
  if (face) return forward(face, name === undefined ? [] : [name], request);
  if (action === ACTION.SET || action === ACTION.DELETE || action === ACTION.HAS) {
    return change(holder, name, action, args);
  }
  const target = name === undefined ? holder : plain(member(holder, name));
  if (target instanceof Promise) return target.then((target) => act(target, undefined, self, request));
  if (action === ACTION.DISPOSE) return dispose(target);
  if (action === ACTION.ITERATE) {
    request.entered = true;
    return iterable(target);
  }
  if (typeof target !== "function") {
    throw new TypeError(`${name === undefined ? "The target of the call" : `"${name}"`} is not a function`);
  }
  if (action !== ACTION.CALL && action !== ACTION.NEW && action !== ACTION.INVOKE) {
    throw new ProtocolError(`Cannot perform action ${action}`);
  }
  request.entered = true;
  if (action === ACTION.NEW || action === ACTION.INVOKE && isClass(target)) return Reflect.construct(target, args);
  request.self = plain(self);
  return Reflect.apply(target, plain(self), args);
}

async function dispose(value: unknown): Promise<void> {
  if (Object(value) !== value) return;
  const object = value as Partial<AsyncDisposable & Disposable>;
  if (typeof object[Symbol.asyncDispose] === "function") await object[Symbol.asyncDispose]!();
  else if (typeof object[Symbol.dispose] === "function") object[Symbol.dispose]!();
}
