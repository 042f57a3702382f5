/**
 * The caller's end of a served object: one face, whose operations go to wherever the object is at the time: here, on the other side of a connection,
 * or nowhere.
 *
 * @module
 */

import { Call } from "../session/call.ts";
import type { Holding, Operator, Origin } from "../session/faces.ts";
import { RemoteFace } from "../session/faces.ts";
import { notServed } from "./not_served.ts";

/** The face that people hold. */
class RouteFace extends RemoteFace {
  readonly #name: string;

  constructor(route: Route, name: string) {
    super(route, undefined);
    this.#name = name;
  }

  override describe(): string {
    return `Remote <${this.#name}>`;
  }
}

/** Passes operations on. */
export class Route implements Operator {
  readonly #find: () => RemoteFace | undefined;
  /** Who carries a call out: what is built upon it must go there, too. */
  readonly #carriers = new WeakMap<Call, Operator>();
  /** What is given to people. */
  readonly face: RemoteFace;

  /**
   * @param name What the face is called when it is printed.
   * @param find Gives the face of the object where it is now.
   */
  constructor(name: string, find: () => RemoteFace | undefined) {
    this.#find = find;
    this.face = new RouteFace(this, name);
  }

  get connection(): object {
    return this.#need().operator.connection;
  }

  /** So that the face counts as one of the connection that it leads over. */
  get caller(): Operator {
    const there = this.#find();
    // It may be where an operation of that connection starts, or an argument of one.
    (this.face as { holding: Holding | undefined }).holding = there?.holding;
    return there?.holding ? there.operator.caller : this;
  }

  /** Where an operation goes that starts from `origin`, and what it starts from there. */
  locate(origin: Origin): { readonly operator: Operator; readonly origin: Origin } | undefined {
    if (origin instanceof Call) {
      const operator = this.#carriers.get(origin);
      return operator && { operator, origin };
    }
    const there = this.#find();
    return there && { operator: there.operator, origin: there };
  }

  #need(): RemoteFace {
    const there = this.#find();
    if (!there) throw notServed(this.face.describe());
    return there;
  }

  operate(origin: Origin, path: readonly string[], action: number, args: readonly unknown[], reference: boolean): Call {
    const there = this.locate(origin);
    if (!there) return new Call(0, reference, undefined).fail(notServed(this.face.describe()));
    const call = there.operator.operate(there.origin, path, action, args, reference);
    this.#carriers.set(call, there.operator);
    return call;
  }

  async result(call: Call): Promise<unknown> {
    const value = await (this.#carriers.get(call)?.result(call) ?? call.promise);
    // What returns its object gives the proxy that it was called through.
    return value === this.#find()?.proxy ? this.face.proxy : value;
  }

  async *iterate(origin: Origin, path: readonly string[]): AsyncGenerator<unknown> {
    const there = this.locate(origin);
    if (!there) throw notServed(this.face.describe());
    const items = there.operator.iterate(there.origin, path);
    yield* { [Symbol.asyncIterator]: () => items };
  }

  release(): void {}

  cancel(call: Call, reason: unknown): void {
    this.#carriers.get(call)?.cancel(call, reason);
  }
}
