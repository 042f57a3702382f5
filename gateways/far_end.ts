/**
 * What a gateway talks to on its far side: it runs sources, and counts them. Nothing here runs on the side of the user. How a far side starts further
 * gateways is in `carrier.ts`.
 *
 * This, and all that it imports, is what a booted end is sent for a gateway, as a script (`scripts/pieces.ts`): nothing here may import `mod.ts`.
 *
 * @module
 */

import type { CallContext } from "../session/context.ts";
import { currentCall, followCalls, runInCall } from "../session/context.ts";
import { ref } from "../session/handling.ts";
import type { Reference, Remote } from "../session/types.ts";
import { ignore } from "../runtime/waiting.ts";
import type { Watched } from "../wires.ts";
import type { ProcessFacts, Surroundings } from "../runtime/surroundings.ts";
import { enter, processFacts } from "../runtime/surroundings.ts";
import type { Attachment } from "./attachment.ts";
import { attachmentBehind } from "./attachment.ts";
import type { Channel } from "./channel.ts";
import { channelOf, refuseClose } from "./channel.ts";
import type { Peer } from "./channel_core.ts";
import { ChannelCore } from "./channel_core.ts";

/** What a gateway is doing. */
export interface RemoteStatus {
  /** Sources that wait because of `maxConcurrency`. */
  readonly queued: number;
  /** Sources that run. */
  readonly executing: number;
  /** Channels that are open. */
  readonly channels: number;
}

/** What {@linkcode Gateway.reconfigure} passes on. */
export interface FarConfiguration {
  /** How many sources may run at a time. */
  readonly maxConcurrency?: number;
}

/** What is run: it gets its channel, the arguments, and something to say whether a module has a default export. */
export type Source = (
  channel: Channel,
  kwargs: Readonly<Record<string, unknown>>,
  tell?: (hasDefault: boolean) => void,
) => unknown;

const channels = new WeakMap<CallContext, Channel>();
/** Channels of the sources that run. */
const running = new Set<Channel>();
/** Channels of modules that are being imported. Bun does not tell a module at its top level which call it is imported in. */
const importing: Channel[] = [];
let imported: Channel | undefined;
/** What is in the text of a source that imports something. */
const IMPORT = /\bimport\b|\$mport\b/;

/**
 * The channel of the source that is running, for modules that `remoteExec` runs.
 *
 * @throws {Error} If none is running: this is for code on the far side of a gateway.
 */
export function getChannel(): Channel {
  const call = currentCall();
  let channel = call && channels.get(call);
  // No call is running, as far as one can tell.
  if (!call) channel = imported = importing.shift() ?? imported;
  if (!channel && running.size === 1) [channel] = running;
  if (!channel) throw new Error("Cannot tell the channel as no source of a gateway is running");
  return channel;
}

/** Runs one source, and is the other end of its channel. */
export class Execution {
  readonly #far: FarEnd;
  readonly #core: ChannelCore;
  readonly #channel: Channel;

  /** Made by {@linkcode FarEnd.open}. */
  constructor(far: FarEnd, core: ChannelCore) {
    this.#far = far;
    this.#core = core;
    this.#channel = channelOf(core);
  }

  /** See {@linkcode Peer.push}. */
  push(seq: number, item: unknown): unknown {
    return this.#core.face.push(seq, item);
  }

  /** See {@linkcode Peer.skip}. */
  skip(seq: number, why?: string): unknown {
    return this.#core.face.skip(seq, why);
  }

  /** See {@linkcode Peer.end}. */
  end(seq: number, whole: boolean, failure?: { readonly error: unknown }): unknown {
    return this.#core.face.end(seq, whole, failure);
  }

  /** Runs the source. Does not wait for its end, of which the channel tells. */
  run(
    source: Source,
    kwargs: Readonly<Record<string, unknown>>,
    tell?: (hasDefault: boolean) => void,
  ): void {
    const module = tell !== undefined;
    const channel = this.#channel;
    const call = currentCall()!;
    channels.set(call, channel);
    refuseClose(channel, "Cannot close the channel of the source that is running: it closes at the end of the source");
    // A source that waits, or does nothing but run, has its channel for as long.
    this.#core.holder = channel;
    // What it imports may ask for the channel, also behind an `await`. Others need not pay for that.
    const following = module || IMPORT.test(Function.prototype.toString.call(source)) ? followCalls() : undefined;
    void this.#far.admit(async () => {
      let failure: { readonly error: unknown } | undefined;
      running.add(channel);
      try {
        if (following) await following;
        if (module) importing.push(channel);
        await runInCall(call, () => source(channel, kwargs, tell));
      } catch (error) {
        failure = { error: error ?? new Error(`The source threw ${String(error)}`) };
      }
      running.delete(channel);
      if (importing.includes(channel)) importing.splice(importing.indexOf(channel), 1);
      if (imported === channel) imported = undefined;
      refuseClose(channel, undefined);
      this.#core.holder = undefined;
      this.#core.close(failure?.error);
    });
  }
}

/** The far side of a gateway. */
export class FarEnd {
  readonly #session: Watched;
  readonly #attachment: Attachment;
  #max = Infinity;
  #executing = 0;
  readonly #queue: (() => Promise<void>)[] = [];

  /** Made by {@linkcode openFarEnd}. */
  constructor(session: Watched) {
    this.#session = session;
    this.#attachment = attachmentBehind(session);
  }

  /** Makes the other end of a channel, which can run a source. */
  open(peer: Peer): Reference<Execution> {
    const core = new ChannelCore();
    core.bind(peer, this.#attachment);
    return ref(new Execution(this, core));
  }

  /** Runs something when its turn has come. */
  admit(body: () => Promise<void>): void {
    this.#queue.push(body);
    this.#start();
  }

  #start(): void {
    while (this.#executing < this.#max && this.#queue.length > 0) {
      const body = this.#queue.shift()!;
      this.#executing++;
      void body().finally(() => {
        this.#executing--;
        this.#start();
      });
    }
  }

  /** What it is doing. */
  status(): RemoteStatus {
    return { queued: this.#queue.length, executing: this.#executing, channels: this.#attachment.cores.size };
  }

  /** Where and what it is. */
  info(): ProcessFacts {
    return processFacts();
  }

  /** Changes how it works. */
  configure({ maxConcurrency }: FarConfiguration): void {
    if (maxConcurrency !== undefined) this.#max = maxConcurrency;
    this.#start();
  }

  /** Ends it, when the answer has left. */
  exit(): void {
    setTimeout(() => void this.#session.close().catch(ignore));
  }
}

/** What of this is called from elsewhere. */
export interface FarModule {
  /** See {@linkcode openFarEnd}. */
  openFarEnd(init: Surroundings): Promise<Reference<FarEnd>>;
}

/** A proxy of a far end. */
export type RemoteFarEnd = Remote<FarEnd>;

/**
 * Makes this process the far side of a gateway. Gateways call it over their connection; it is not for programs.
 *
 * @param init What is to be changed here first.
 */
export async function openFarEnd(init: Surroundings): Promise<Reference<FarEnd>> {
  const session = currentCall()!.session as Watched;
  await enter(init);
  return ref(new FarEnd(session));
}
