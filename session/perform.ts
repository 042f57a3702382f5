/**
 * What an operation of the peer does once all that it takes is there: getting and calling what its path leads to, and passing
 * it on. The rarer ones are in `actions.ts`; how all of them arrive and are answered is in `callee.ts`.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import { ACTION, WANT } from "../protocol/messages.ts";
import type { CallContext } from "./context.ts";
import { extension } from "./extension.ts";
import { type AnyFace, anyFace } from "./face.ts";
import { follow, member, plain } from "./lookup.ts";
import { isClass } from "./source.ts";

/** An operation that the peer asked for. */
export interface Request {
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

/** Source that is to be executed: no value that one could go on from. */
export class Script {
  readonly run: () => unknown;

  constructor(run: () => unknown) {
    this.run = run;
  }
}

/** Does to `base` what a request says. */
export function perform(base: unknown, request: Request): unknown {
  const { path } = request;
  const face = anyFace(base);
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
function forward(face: AnyFace, path: readonly string[], request: Request): unknown {
  const { flags, action, args, context } = request;
  request.entered = true; // what fails is not the caller's connection
  return face.pass(path, action, args, !!(flags & WANT.REFERENCE), !!(flags & WANT.HOLD), context.signal);
}

/** Does something to `holder`, or to its property `name` if there is one. */
function act(holder: unknown, name: string | undefined, self: unknown, request: Request): unknown {
  const { action, args, context } = request;
  context.check();
  holder = plain(holder);
  const face = anyFace(holder);
  if (face) return forward(face, name === undefined ? [] : [name], request);
  if (action === ACTION.SET || action === ACTION.DELETE || action === ACTION.HAS) {
    return extension().actions.change(holder, name, action, args);
  }
  const target = name === undefined ? holder : plain(member(holder, name));
  if (target instanceof Promise) return target.then((target) => act(target, undefined, self, request));
  if (action === ACTION.DISPOSE) return extension().actions.dispose(target);
  if (action === ACTION.ITERATE) {
    request.entered = true;
    return extension().actions.iterable(target);
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
