/**
 * A hand-written echo of one line of JSON per message over stdio: what one would write without a library, and the least that text can cost.
 *
 * @module
 */

import { linesOver, ownPipes } from "../support/pipes.ts";
import type { Pipes } from "../support/pipes.ts";
import { rawPeer } from "../support/raw_peer.ts";
import type { RawPeer } from "../support/raw_peer.ts";
import type { Contender } from "./contender.ts";
import { startServing } from "./contender.ts";

function peerOver(pipes: Pipes): RawPeer {
  const lines = linesOver(pipes);
  const peer = rawPeer((message) => lines.send(JSON.stringify(message)));
  lines.receive((line) => peer.take(JSON.parse(line)));
  return peer;
}

/** Raw newline-JSON. */
export const rawJson: Contender = {
  name: "raw JSON",
  textOnly: true,
  async start(latency) {
    const pipes = await startServing(this.name, latency);
    return { ...peerOver(pipes), close: pipes.close };
  },
  serve: () => void peerOver(ownPipes()),
};
