/**
 * Groups: gateways that have names, are asked together, and end together. Spreading work over them is in `map.ts`.
 *
 * @module
 */

import type { Exportable } from "../mod.ts";
import type { WaitInit } from "./channel.ts";
import { timeoutOf } from "./channel.ts";
import type { Gateway, RemoteFunctionSource } from "./gateway.ts";
import { gatewayOver, killGateway, openGateway } from "./gateway.ts";
import type { MapInit } from "./map.ts";
import { mapOver } from "./map.ts";
import { MultiChannel } from "./multi_channel.ts";
import { getSocketServer } from "./socket_server.ts";
import type { XSpecInit } from "./spec.ts";
import { XSpec } from "./spec.ts";
import { Turns } from "./turns.ts";

/**
 * How many gateways one machine opens at a time. Interpreters that start all at once only get in each other's way; and sshd begins to turn clients away
 * when ten are not logged in yet.
 */
const OPENING = 8;
/** How long `await using` waits before it kills. Milliseconds. */
const PATIENCE = 5_000;
/** How long a carrier gets at least, when what it carried took all the time. Milliseconds. */
const GRACE = 500;

/** What a group can be told. */
export interface GroupInit {
  /** What `makeGateway()` opens when it is given nothing. */
  readonly defaultSpec?: string | XSpecInit | XSpec;
}

/** How {@linkcode Group.tree} grows. */
export interface TreeInit {
  /** How many gateways each one starts, at most. */
  readonly fanout?: number;
}

/**
 * Gateways by their ids. One that ends, or is lost, leaves it.
 *
 * @example
 * ```ts
 * import { Group } from "@x/across/gateways";
 * import { assertEquals } from "@std/assert";
 *
 * await using group = new Group();
 * await group.makeGateways(["popen//id=a", "popen//id=b"]);
 * const channels = group.remoteExec("await channel.send(6 * 7)");
 * assertEquals(await channels.receiveEach(), [42, 42]);
 * ```
 */
export class Group implements Iterable<Gateway>, AsyncDisposable {
  readonly #gateways = new Map<string, Gateway>();
  /** Ids of gateways that are being opened, and when that is over. */
  readonly #opening = new Map<string, Promise<unknown>>();
  #defaultSpec: XSpec;
  readonly #places = new WeakMap<Gateway, number>();
  #sequence = 0;
  #last = 0;
  /** Whose turn it is to be opened from here, and through each carrier: that one has its own machine to start things on. */
  readonly #turns = new WeakMap<Group | Gateway, Turns>();

  /**
   * Makes an empty group.
   *
   * @param init What it is told.
   * @throws {TypeError} If the specification makes no sense.
   */
  constructor(init: GroupInit = {}) {
    this.#defaultSpec = new XSpec(init.defaultSpec);
  }

  /** What `makeGateway()` opens when it is given nothing. */
  get defaultSpec(): XSpec {
    return this.#defaultSpec;
  }

  /** Changes it. */
  set defaultSpec(spec: string | XSpecInit | XSpec) {
    this.#defaultSpec = new XSpec(spec);
  }

  /** How many gateways there are. */
  get length(): number {
    return this.#gateways.size;
  }

  /** The gateways, in the order in which they were made. */
  [Symbol.iterator](): IterableIterator<Gateway> {
    return [...this.#gateways.values()][Symbol.iterator]();
  }

  /**
   * Finds a gateway.
   *
   * @param key Its id; or its position, from the end if negative.
   */
  get(key: string | number): Gateway | undefined {
    return typeof key === "string" ? this.#gateways.get(key) : [...this.#gateways.values()].at(key);
  }

  /** Whether a gateway, or one of that id, is in it. */
  has(key: Gateway | string): boolean {
    return typeof key === "string" ? this.#gateways.has(key) : this.#gateways.get(key.id) === key;
  }

  /**
   * Opens a gateway. It is in the group when its far side has answered.
   *
   * @param spec What to open; the group's `defaultSpec` without it.
   * @throws {TypeError} If the specification makes no sense, its id is taken, or there is no gateway of the id after `via=`.
   * @throws {HostNotFound} If a machine cannot be reached.
   * @throws {Error} If it does not open for another reason. Nothing is left of it then.
   */
  async makeGateway(spec: string | XSpecInit | XSpec = this.#defaultSpec): Promise<Gateway> {
    return await this.#make(new XSpec(spec), this.#sequence++);
  }

  async #make(checked: XSpec, place: number): Promise<Gateway> {
    const via = checked.via === undefined ? undefined : this.#gateways.get(checked.via);
    if (checked.via !== undefined && !via) {
      throw new TypeError(`Cannot use key "via" in a specification: there is no gateway "${checked.via}"`);
    }
    const id = checked.id ?? this.#freeId();
    if (this.#gateways.has(id) || this.#opening.has(id)) {
      throw new TypeError(`Cannot use key "id" in a specification: there is a gateway "${id}" already`);
    }
    const opening = this.#turnsOf(via ?? this).take(() => this.#open(checked, id, via, place));
    this.#opening.set(id, opening.catch(() => {}));
    try {
      return await opening;
    } finally {
      this.#opening.delete(id);
    }
  }

  #turnsOf(starter: Group | Gateway): Turns {
    let turns = this.#turns.get(starter);
    if (!turns) this.#turns.set(starter, turns = new Turns(OPENING));
    return turns;
  }

  async #open(spec: XSpec, id: string, via: Gateway | undefined, place: number): Promise<Gateway> {
    const gateway = await openGateway(await this.#withServer(spec), id, via);
    this.#places.set(gateway, place);
    this.#gateways.set(id, gateway);
    // In the order in which they were asked for, not in that in which they were there.
    const sorted = [...this.#gateways].sort(([, a], [, b]) => this.#places.get(a)! - this.#places.get(b)!);
    this.#gateways.clear();
    for (const [id, gateway] of sorted) this.#gateways.set(id, gateway);
    void gatewayOver(gateway).then(() => {
      if (this.#gateways.get(id) === gateway) this.#gateways.delete(id);
    });
    return gateway;
  }

  /** Starts a server where `installvia=` says, for this gateway alone. */
  async #withServer(spec: XSpec): Promise<XSpec> {
    const { installvia, ...rest } = spec.toObject();
    if (installvia === undefined) return spec;
    const carrier = this.#gateways.get(installvia);
    if (!carrier) {
      throw new TypeError(`Cannot use key "installvia" in a specification: there is no gateway "${installvia}"`);
    }
    // On another machine it has to listen on more than loopback.
    const away = /^(?:.*@)?([^@\s]+)$/.exec(carrier.spec.ssh?.trim().split(/\s+/).at(-1) ?? "")?.[1];
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const channel = carrier.remoteExec(getSocketServer({ host: away ? "0.0.0.0" : "127.0.0.1", port: 0, secret }));
    const found = await channel.receive<Error | readonly [host: string, port: number]>();
    if (found instanceof Error) throw found;
    return new XSpec({ ...rest, socket: `${away ?? found[0]}:${found[1]}`, secret });
  }

  #freeId(): string {
    for (;;) {
      const id = `gw${this.#last++}`;
      if (!this.#gateways.has(id) && !this.#opening.has(id)) return id;
    }
  }

  /**
   * Opens several gateways, eight at a time. When one does not open, those of them that did are ended.
   *
   * @param specs What to open.
   * @returns The gateways, in the same order.
   * @throws {Error} As `makeGateway()`.
   */
  async makeGateways(specs: Iterable<string | XSpecInit | XSpec>): Promise<Gateway[]> {
    return await this.#together([...specs].map((spec) => this.makeGateway(spec)));
  }

  /** All of them, or none. */
  async #together(opening: readonly Promise<Gateway>[]): Promise<Gateway[]> {
    const settled = await Promise.allSettled(opening);
    const failed = settled.find((it) => it.status === "rejected");
    if (failed) {
      const opened = settled.flatMap((it) => it.status === "fulfilled" ? [it.value] : []);
      await this.#terminate(opened, PATIENCE);
      throw failed.reason;
    }
    return await Promise.all(opening);
  }

  /**
   * Opens many gateways as a tree: the first ones from here, the others through these, which send them across. So no machine starts, and sends across to,
   * more than `fanout` others, and all that have someone to start them are started at the same time. Which are behind which says their order: the gateway
   * at position `i` is started by the one at position `floor(i / fanout) - 1`, where there is one.
   *
   * @param specs What to open; without `via`.
   * @param init How it grows.
   * @returns The gateways, in the same order.
   * @throws {TypeError} If a specification has `via`.
   * @throws {RangeError} If the fanout is no number.
   * @throws {Error} As `makeGateway()`; then all that were opened for the tree are ended.
   */
  async tree(specs: Iterable<string | XSpecInit | XSpec>, init: TreeInit = {}): Promise<Gateway[]> {
    const { fanout = 8 } = init;
    if (!(Number.isInteger(fanout) && fanout >= 1)) {
      throw new RangeError(`Cannot use ${String(fanout)} as fanout: it takes whole numbers from 1 on`);
    }
    const checked = [...specs].map((spec) => new XSpec(spec));
    const first = this.#sequence;
    this.#sequence += checked.length;
    for (const { via } of checked) {
      if (via !== undefined) throw new TypeError('Cannot use key "via" in a specification of a tree, which chooses it');
    }
    const opening: Promise<Gateway>[] = [];
    for (const [index, spec] of checked.entries()) {
      // Named and placed in their order, whichever is opened first.
      const named = spec.id === undefined ? spec.with({ id: this.#freeId() }) : spec;
      const carrier = index < fanout ? undefined : opening[Math.floor(index / fanout) - 1];
      opening.push(
        carrier ? carrier.then((via) => this.#makeVia(via, named, first + index)) : this.#make(named, first + index),
      );
    }
    return await this.#together(opening);
  }

  async #makeVia(via: Gateway, spec: XSpec, place: number): Promise<Gateway> {
    if (!this.has(via)) throw await gatewayOver(via);
    return await this.#make(spec.with({ via: via.id }), place);
  }

  /**
   * Runs a source on all gateways, see {@linkcode Gateway.remoteExec}.
   *
   * @param source The source.
   * @param kwargs Arguments by name.
   * @returns The channels, in the order of the gateways.
   */
  remoteExec(source: string | URL | RemoteFunctionSource, kwargs?: Readonly<Record<string, unknown>>): MultiChannel {
    return new MultiChannel([...this].map((gateway) => gateway.remoteExec(source, kwargs)));
  }

  /**
   * Makes modules importable on all gateways, see {@linkcode Connection.export}.
   *
   * @param module URLs of modules, or of folders.
   * @param bindings Functions and classes of a single module by their names.
   */
  async export(module: Exportable | readonly Exportable[], bindings?: object): Promise<void> {
    await Promise.all([...this].map((gateway) => gateway.export(module, bindings)));
  }

  /**
   * Spreads work over the gateways: each item is given to a function that runs on one that has nothing else to do. What a gateway had in hand that is
   * lost, another one gets.
   *
   * @param items The work.
   * @param fn What is done with an item over there: sent by exported name, else by source.
   * @param init How.
   * @returns The results, in the order of the items unless told otherwise.
   * @throws {Error} What the function threw, or when all gateways are lost.
   */
  map<T, R>(
    items: Iterable<T> | AsyncIterable<T>,
    fn: (item: T) => R,
    init: MapInit = {},
  ): AsyncGenerator<Awaited<R>, void, undefined> {
    return mapOver([...this], items, fn, init);
  }

  /**
   * Ends all gateways: asks them, waits, and kills what is left after the timeout. One that others go through is asked when these have ended; it has half
   * a second, at least. Gateways that are being opened are waited for and ended, too.
   *
   * @param init How long to wait. Without a timeout nothing is killed.
   */
  async terminate(init: WaitInit = {}): Promise<void> {
    const timeout = timeoutOf(init.timeout);
    while (this.#opening.size > 0 || this.#gateways.size > 0) {
      await this.#terminate([...this.#gateways.values()], timeout);
      await Promise.all(this.#opening.values());
    }
  }

  async #terminate(gateways: readonly Gateway[], timeout: number | undefined): Promise<void> {
    const end = timeout === undefined ? Infinity : performance.now() + timeout;
    const ending = new Map<Gateway, Promise<void>>();
    // Latest first: whatever goes through a gateway was made after it.
    const latest = gateways.toSorted((a, b) => this.#places.get(b)! - this.#places.get(a)!);
    for (const gateway of latest) {
      const carried = latest.filter(({ via }) => via === gateway).map((it) => ending.get(it)!);
      ending.set(gateway, this.#end(gateway, carried, end));
    }
    await Promise.all(ending.values());
  }

  async #end(gateway: Gateway, carried: readonly Promise<void>[], end: number): Promise<void> {
    await Promise.all(carried);
    gateway.exit();
    try {
      await gateway.join({ timeout: Math.max(carried.length > 0 ? GRACE : 0, end - performance.now()) });
    } catch {
      await killGateway(gateway);
    }
    if (this.#gateways.get(gateway.id) === gateway) this.#gateways.delete(gateway.id);
  }

  /** The same as `terminate({ timeout: 5000 })`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate({ timeout: PATIENCE });
  }
}

/** The group that {@linkcode makeGateway} adds to. */
export const defaultGroup: Group = new Group();

/**
 * Opens a gateway in the {@linkcode defaultGroup}.
 *
 * @param spec What to open; an interpreter on this machine without it.
 * @throws {TypeError} If the specification makes no sense.
 * @throws {HostNotFound} If a machine cannot be reached.
 * @throws {Error} If it does not open for another reason.
 *
 * @example
 * ```ts
 * import { makeGateway } from "@x/across/gateways";
 * import { assertEquals } from "@std/assert";
 *
 * await using gateway = await makeGateway("popen//env:GREETING=hello"); // or "ssh=wonderland"
 * const channel = gateway.remoteExec(`channel.send(Deno.env.get("GREETING"))`);
 * assertEquals(await channel.receive(), "hello");
 * ```
 */
export function makeGateway(spec?: string | XSpecInit | XSpec): Promise<Gateway> {
  return defaultGroup.makeGateway(spec);
}
