/**
 * Gateways: a connection, and what runs sources at its other end. Opening one is at the end of this file; what a specification means is in `dial.ts`.
 *
 * @module
 */

import type { Connection, Exportable } from "../mod.ts";
import { Connection as Connections, DisconnectError, keep, ref, ship } from "../mod.ts";
import type { ProcessFacts } from "../runtime/surroundings.ts";
import { idleTimeout } from "../runtime/host.ts";
import { ignore, within } from "../runtime/waiting.ts";
import { attachmentTo } from "./attachment.ts";
import type { Attachment } from "./attachment.ts";
import type { CarrierModule } from "./carrier.ts";
import type { Lane } from "./lane.ts";
import { LaneEnd, laneTo } from "./lane.ts";
import type { Channel, WaitInit } from "./channel.ts";
import { channelOf, nameChannel, timeoutOf } from "./channel.ts";
import type { Peer } from "./channel_core.ts";
import { ChannelCore } from "./channel_core.ts";
import { dial, failure, surroundings } from "./dial.ts";
import { lostError, remoteError, TimeoutError } from "./errors.ts";
import type { FarModule, RemoteFarEnd, RemoteStatus, Source } from "./far_end.ts";
import { moduleFunction, moduleUrl, sourceFunction } from "./source.ts";
import type { XSpec } from "./spec.ts";

/** How long `await using` waits for a gateway before it kills it. Milliseconds. */
const PATIENCE = 5_000;
/** How long it takes at most to hear from a carrier how a gateway ended. Milliseconds. */
const LAST_WORDS = 500;
/** How long a carrier has to end what it carries. Milliseconds. */
const GRACE = 500;
/** How long a gateway may take to open through another one. Milliseconds. */
const OPENING = 60_000;

/** What {@linkcode Gateway.remoteExec} runs as a function: it gets the channel, and the arguments. */
// deno-lint-ignore no-explicit-any -- what the arguments are is between the caller and the function
export type RemoteFunctionSource = (channel: Channel, kwargs: any) => unknown;

/** What can be changed of a gateway. */
export interface GatewayConfiguration {
  /** How long whatever has no timeout of its own waits: `join()`, `remoteStatus()`, `remoteInfo()`. Milliseconds; for ever without it. */
  readonly timeout?: number;
  /** How many sources may run at a time; further ones are queued. */
  readonly maxConcurrency?: number;
}

/** What a gateway consists of. */
interface Parts {
  readonly spec: XSpec;
  readonly id: string;
  readonly connection: Connection;
  readonly far: RemoteFarEnd;
  /** Kills what is beyond the connection. */
  readonly kill: () => void;
  /** The gateway through which it is spoken to. */
  readonly via: Gateway | undefined;
}

/** Makes a gateway of its parts. */
let makeOf: (parts: Parts) => Gateway;
/** Resolves when a gateway is gone. */
export let gatewayOver: (gateway: Gateway) => Promise<unknown>;
/** Ends a gateway at once. Resolves when it is gone, or its carrier cannot say so as its thread is blocked: it will be gone when that is. */
export let killGateway: (gateway: Gateway) => Promise<void>;

/** A process elsewhere that runs sources, each with a channel to here. {@linkcode makeGateway} makes one. */
export class Gateway implements AsyncDisposable {
  /** Its name in the group. */
  readonly id: string;
  /** What it was made from. */
  readonly spec: XSpec;
  /** The connection that it is built on: all that one can do with a connection, one can do with this one. */
  readonly connection: Connection;
  /** The gateway through which it is spoken to, if any. */
  readonly via: Gateway | undefined;
  readonly #far: RemoteFarEnd;
  readonly #attachment: Attachment;
  readonly #kill: () => void;
  #timeout: number | undefined;
  #channels = 0;
  #runs = 0;
  /** Modules that have been run, and whether they have a default export, as soon as that is known. */
  readonly #modules = new Map<string, boolean | undefined>();

  static {
    makeOf = (parts) => new Gateway(parts);
    gatewayOver = (gateway) => gateway.#attachment.over;
    killGateway = async (gateway) => {
      gateway.#attachment.leaving = true;
      gateway.#kill();
      gateway.connection.cancel();
      await gateway.join({ timeout: gateway.via ? GRACE : Infinity }).catch(ignore);
    };
  }

  private constructor({ spec, id, connection, far, kill, via }: Parts) {
    this.id = id;
    this.spec = spec;
    this.connection = connection;
    this.via = via;
    this.#far = far;
    this.#kill = kill;
    this.#attachment = attachmentTo(connection);
  }

  /** Whether it can still be asked for something. */
  get isAlive(): boolean {
    return this.#attachment.lost === undefined && !this.#attachment.leaving;
  }

  /**
   * Runs a source over there.
   *
   * A text has `channel`, the arguments and `__name__` bound, and can use `await`. A function is sent by the name under which its module was exported,
   * else by its source, and gets the channel and the arguments. A module, given by its URL, is exported; its default export gets them. Without one it
   * runs anew each time, and asks {@linkcode getChannel}.
   *
   * The channel closes when the source has ended. What it throws arrives as a {@linkcode RemoteError}.
   *
   * @param source The source.
   * @param kwargs Arguments by name; anything that can travel.
   * @returns Our end of the channel.
   *
   * @example
   * ```ts
   * import { makeGateway } from "@x/across/gateways";
   * import type { Channel } from "@x/across/gateways";
   * import { assertEquals } from "@std/assert";
   *
   * await using gateway = await makeGateway();
   * const sum = async (channel: Channel, { start }: { start: number }) => {
   *   for await (const n of channel) await channel.send(start += Number(n));
   * };
   * const channel = gateway.remoteExec(sum, { start: 10 });
   * await channel.send(1);
   * assertEquals(await channel.receive(), 11);
   * channel.close();
   * ```
   */
  remoteExec(
    source: string | URL | RemoteFunctionSource,
    kwargs: Readonly<Record<string, unknown>> = {},
  ): Channel {
    if (typeof source !== "string" && typeof source !== "function" && !(source instanceof URL)) {
      throw new TypeError("Cannot run this: pass source text, a function, or the URL of a module");
    }
    const core = new ChannelCore();
    const channel = this.#channel(core);
    if (this.#attachment.lost || this.#attachment.leaving) {
      core.lose(this.#attachment.lost ?? lostError(this.#attachment.where, new Error("it was asked to exit")));
      return channel;
    }
    const attachment = this.#attachment;
    const peer = attachment.quietly(() => keep(this.#far.open(ref(core.face) as unknown as Peer)));
    core.bind(peer as unknown as Peer, attachment);
    const start = (run: Source, tell?: (hasDefault: boolean) => void) => {
      const begin = () => peer.run(ship(run) as never, kwargs, tell as never) as Promise<unknown>;
      attachment.tell(begin).then(ignore, fail);
    };
    // Where it is the connection that failed, the channel knows already, or is about to hear why.
    const fail = (error: unknown) => {
      if (!(error instanceof DisconnectError)) core.lose(remoteError(error, this.#attachment.where), true);
    };
    try {
      const url = moduleUrl(source);
      if (url !== undefined) this.#runModule(url, start).catch(fail);
      else if (typeof source === "function") start(source as Source);
      else {
        const made = sourceFunction(source as string, Object.keys(kwargs));
        if (made instanceof Promise) made.then((run) => start(run)).catch(fail);
        else start(made);
      }
    } catch (error) {
      fail(error);
    }
    return channel;
  }

  async #runModule(url: string, start: (run: Source, tell?: (hasDefault: boolean) => void) => void): Promise<void> {
    const known = this.#modules.get(url);
    const fresh = this.#modules.has(url) && known !== true;
    if (!this.#modules.has(url)) this.#modules.set(url, undefined);
    const name = fresh ? `${url}${url.includes("?") ? "&" : "?"}run=${++this.#runs}` : url;
    // Bindings, so that it is not imported here to find out what it exports.
    if (url.startsWith("file:")) await this.connection.export(name, {});
    start(moduleFunction(name), (hasDefault) => this.#modules.set(url, hasDefault));
  }

  #channel(core: ChannelCore): Channel {
    const channel = channelOf(core);
    nameChannel(channel, `${this.id}/${++this.#channels}`);
    return channel;
  }

  /** Makes a channel of which the other end is not there yet: send it to whoever is to have that. */
  newChannel(): Channel {
    return this.#channel(new ChannelCore());
  }

  /**
   * What the far side is doing. It answers while its sources wait, and not before one that blocks its thread lets go of that.
   *
   * @param init How long to wait.
   * @throws {TimeoutError} If it has not answered in time.
   */
  async remoteStatus(init: WaitInit = {}): Promise<RemoteStatus> {
    return await this.#ask(() => this.#far.status(), init);
  }

  /**
   * Where and what the far side is.
   *
   * @param init How long to wait.
   * @throws {TimeoutError} If it has not answered in time.
   */
  async remoteInfo(init: WaitInit = {}): Promise<ProcessFacts> {
    return await this.#ask(() => this.#far.info(), init);
  }

  async #ask<T>(ask: () => PromiseLike<T>, init: WaitInit = {}): Promise<T> {
    const timeout = timeoutOf(init.timeout ?? this.#timeout);
    try {
      return await this.#within(timeout, this.#attachment.quietly(ask), "answered");
    } catch (error) {
      throw error instanceof DisconnectError ? await this.#attachment.over : error;
    }
  }

  /** Waits, and keeps the process alive for no longer than that. */
  async #within<T>(timeout: number | undefined, done: PromiseLike<T>, what: string): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      if (timeout === undefined) return;
      const error = () => new TimeoutError(`Gateway "${this.id}" has not ${what} within ${timeout} ms`);
      timer = setTimeout(() => reject(error()), timeout);
    });
    this.#attachment.hold(1);
    try {
      return await Promise.race([done, late]);
    } finally {
      clearTimeout(timer);
      this.#attachment.hold(-1);
    }
  }

  /**
   * Changes how the gateway works.
   *
   * @param init What to change.
   * @throws {TypeError} If there is no such setting.
   * @throws {RangeError} If a number makes no sense.
   */
  async reconfigure(init: GatewayConfiguration): Promise<void> {
    for (const key of Object.keys(init)) {
      if (/coerce|py[23]/.test(key)) {
        throw new TypeError(
          `Cannot reconfigure "${key}": strings are strings on both sides, there is nothing to coerce`,
        );
      }
      if (key !== "timeout" && key !== "maxConcurrency") {
        throw new TypeError(`Cannot reconfigure "${key}": there are timeout, maxConcurrency`);
      }
    }
    const { timeout, maxConcurrency } = init;
    if (maxConcurrency !== undefined && !(maxConcurrency >= 1)) {
      throw new RangeError(`Cannot use ${maxConcurrency} as maxConcurrency: it takes numbers from 1 on`);
    }
    if ("timeout" in init) this.#timeout = timeoutOf(timeout);
    if (maxConcurrency !== undefined) await this.#ask(() => this.#far.configure({ maxConcurrency }));
  }

  /**
   * Makes modules importable over there, see {@linkcode Connection.export}.
   *
   * @param module URLs of modules, or of folders.
   * @param bindings Functions and classes of a single module by their names.
   */
  async export(module: Exportable | readonly Exportable[], bindings?: object): Promise<void> {
    await this.connection.export(module, bindings);
  }

  /** Asks the far side to end, and does not wait for it; {@linkcode Gateway.join} does. */
  exit(): void {
    if (!this.isAlive) return;
    this.#attachment.leaving = true;
    this.#attachment.tell(() => this.#far.exit() as Promise<unknown>).then(ignore, ignore);
  }

  /**
   * Waits until the far side has ended.
   *
   * @param init How long to wait.
   * @throws {TimeoutError} If it has not ended in time.
   */
  async join(init: WaitInit = {}): Promise<void> {
    const timeout = timeoutOf(init.timeout ?? this.#timeout);
    const closed = this.#attachment.over.then(() => this.connection.close()).catch(ignore);
    await this.#within(timeout, Promise.all([closed, this.#attachment.why]), "ended");
  }

  /** Ends it: asks, waits, and kills it when it takes longer than five seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.exit();
    try {
      await this.join({ timeout: PATIENCE });
    } catch {
      await killGateway(this);
    }
  }
}

/**
 * Opens a gateway.
 *
 * @param spec What to open.
 * @param id Its name.
 * @param via The gateway through which to open it.
 * @throws {HostNotFound} If a machine cannot be reached.
 * @throws {Error} If it does not open for another reason. Nothing is left of it then.
 */
export async function openGateway(spec: XSpec, id: string, via: Gateway | undefined): Promise<Gateway> {
  const { connection, kill, why } = via
    ? carried(spec, via)
    : { connection: await dial(spec), kill: ignore, why: undefined };
  const attachment = attachmentTo(connection);
  attachment.where = via ? `Gateway "${id}" (${pathOf(via)})` : `Gateway "${id}"`;
  if (why) attachment.why = why;
  try {
    const far = await keep(connection.import<FarModule>("@x/across/channels").openFarEnd(surroundings(spec)));
    return makeOf({ spec, id, connection, far: far as RemoteFarEnd, kill, via });
  } catch (error) {
    // What the carrier says, unless it is only that we ended it, says most. What went wrong when it was opened says more than that nothing can be asked
    // of it.
    const said = error instanceof DisconnectError && why && await within(LAST_WORDS, why);
    const carrier = said ? await why : undefined;
    kill();
    const cause = await connection.ready().then(() => error, (cause: unknown) => cause);
    connection.cancel();
    await connection.close().catch(ignore);
    throw failure(spec, carrier ?? cause, via && `Cannot open gateway "${id}" ${pathOf(via)}`);
  }
}

/** Who is between a gateway and here. */
function pathOf(via: Gateway): string {
  return `via "${via.id}"${via.via ? ` ${pathOf(via.via)}` : ""}`;
}

/** Opens a connection to what another gateway starts. */
function carried(
  spec: XSpec,
  via: Gateway,
): { connection: Connection; kill: () => void; why: Promise<Error | undefined> } {
  const back = new TransformStream<Uint8Array, Uint8Array>();
  const lane = new LaneEnd(back.writable);
  let tell!: (how?: unknown) => void;
  const why = Promise.race([
    new Promise<Error | undefined>((resolve) => tell = (how) => resolve(how as Error | undefined)),
    gatewayOver(via) as Promise<Error>,
  ]);
  const carrier = via.connection.import<CarrierModule>("@x/across/gateways");
  // Neither call nor stream that would keep this process alive as long as the gateway is open.
  const carriage = carrier.carry(spec.toObject() as never, ref(lane) as unknown as Lane, tell);
  const carrying = attachmentTo(via.connection);
  const there = laneTo(carriage as unknown as Lane, (call) => carrying.tell(call));
  // The carrier, and who carries that, find out whether it lives. Over lanes nobody speaks for a thread that is busy, be it the carrier's.
  const connection = Connections.fromPipes(back.readable, there, { acceptCalls: false, timeout: Infinity });
  const late = idleTimeout(() => tell(new Error(`It did not answer within ${OPENING} ms`)), OPENING);
  connection.ready().catch(ignore).finally(() => clearTimeout(late));
  // Where nothing was started, nothing will be heard.
  void why.then((error) => {
    if (!error) return;
    connection.cancel();
    lane.abort(error);
  });
  return { connection, kill: () => void carrying.tell(() => carriage.stop() as Promise<unknown>).catch(ignore), why };
}
