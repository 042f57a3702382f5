/**
 * A file server over a channel: names go there, contents come back, nothing is installed over there. Pass a specification of a gateway and names.
 *
 *   deno run -A examples/gateways/file_server.ts ssh=wonderland /etc/hostname
 *
 * @module
 */

import type { Channel } from "@x/across/gateways";
import { makeGateway } from "@x/across/gateways";

/** What runs over there. */
async function serveFiles(channel: Channel): Promise<void> {
  const { readFile } = await import("node:fs/promises");
  for await (const name of channel) {
    await channel.send(await readFile(String(name)).then((bytes) => new Uint8Array(bytes), (error: Error) => error));
  }
}

const [spec = "popen", ...names] = Deno.args;
await using gateway = await makeGateway(spec);
const files = gateway.remoteExec(serveFiles);
for (const name of names) {
  await files.send(name);
  const found = await files.receive<Uint8Array | Error>();
  console.log(name, found instanceof Error ? found.message : `${found.length} bytes`);
}
files.close();
