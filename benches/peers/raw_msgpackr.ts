/**
 * A hand-written echo of msgpackr's messages over stdio, each behind its length: the least that binary messages cost with the fastest general codec.
 *
 * @module
 */

import type { Pipes } from "../support/pipes.ts";
import { ownPipes } from "../support/pipes.ts";
import { rawPeer } from "../support/raw_peer.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import type { Contender } from "./contender.ts";
import { startServing } from "./contender.ts";

/** What is used of the package. */
interface Msgpackr {
  Packr: new (options: object) => { pack(value: unknown): Uint8Array; unpack(bytes: Uint8Array): unknown };
}

/** Not a literal: Deno refuses the package where its optional native parts are not to be had for every platform. */
const PACKAGE: string = "msgpackr";

/** Messages that are msgpackr's, all of a turn in one write. */
function packetsOver(
  { Packr }: Msgpackr,
  pipes: Pipes,
): { send(message: unknown): void; receive(take: (message: unknown) => void): void } {
  const packr = new Packr({ useRecords: false });
  let out: Uint8Array[] = [], size = 0;
  const flush = () => {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const packet of out) {
      view.setUint32(at, packet.length);
      bytes.set(packet, at + 4);
      at += 4 + packet.length;
    }
    out = [];
    size = 0;
    pipes.write(bytes);
  };
  return {
    send(message) {
      if (size === 0) queueMicrotask(flush);
      const packet = packr.pack(message);
      out.push(packet);
      size += 4 + packet.length;
    },
    receive(take) {
      let rest = new Uint8Array(0), filled = 0;
      pipes.read((chunk) => {
        let bytes = chunk;
        if (filled > 0) {
          if (rest.length < filled + chunk.length) {
            const larger = new Uint8Array(2 * (filled + chunk.length));
            larger.set(rest.subarray(0, filled));
            rest = larger;
          }
          rest.set(chunk, filled);
          bytes = rest.subarray(0, filled + chunk.length);
        }
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        let at = 0;
        while (bytes.length - at >= 4) {
          const end = at + 4 + view.getUint32(at);
          if (end > bytes.length) break;
          take(packr.unpack(bytes.subarray(at + 4, end)));
          at = end;
        }
        if (at === 0 && filled > 0) filled = bytes.length;
        else {
          rest = bytes.slice(at);
          filled = rest.length;
        }
      });
    },
  };
}

async function peerOver(pipes: Pipes): Promise<RawPeer> {
  const packets = packetsOver(await import(PACKAGE), pipes);
  const peer = rawPeer(packets.send);
  packets.receive((message) => peer.take(message as Parameters<typeof peer.take>[0]));
  return peer;
}

/** Raw msgpackr. */
export const rawMsgpackr: Contender = {
  name: "raw msgpackr",
  async start(latency) {
    try {
      await import(PACKAGE);
    } catch {
      return;
    }
    const pipes = await startServing(this.name, latency);
    return { ...await peerOver(pipes), close: pipes.close };
  },
  serve: async () => void await peerOver(ownPipes()),
};
