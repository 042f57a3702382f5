/**
 * A file server over a channel: lists, gets and puts files of any size on a machine where nothing is installed but an interpreter. Pass a specification
 * of a gateway, and what is to be done.
 *
 *   deno run -A examples/gateways/file_server.ts ssh=wonderland list /etc
 *   deno run -A examples/gateways/file_server.ts ssh=wonderland get /var/log/syslog copy.txt
 *   deno run -A examples/gateways/file_server.ts ssh=wonderland put copy.txt /tmp/copy.txt
 *
 * Each request has a channel of its own, over which the file goes in pieces. A channel waits for a slow reader, so neither side ever holds more than a few
 * megabytes, whatever the size of the file.
 *
 * @module
 */

import { makeGateway } from "@x/across/gateways";
import type { Channel } from "@x/across/gateways";
import type { FileHandle } from "node:fs/promises";

/** What is asked for: what is to be done, with which path over there, and the channel for it. */
type Request = readonly [what: "list" | "get" | "put", path: string, data: Channel];

/** Runs over there, on Deno, Node or Bun. It is sent by its source, so it uses nothing from here. */
async function serveFiles(requests: Channel): Promise<void> {
  const { open, opendir, rename, rm } = await import("node:fs/promises");
  const write = async (file: FileHandle, piece: Uint8Array) => {
    for (let at = 0; at < piece.length;) at += (await file.write(piece, at)).bytesWritten;
  };
  const serve = {
    async list(path: string, data: Channel) {
      for await (const entry of await opendir(path)) await data.send(entry.name + (entry.isDirectory() ? "/" : ""));
    },
    async get(path: string, data: Channel) {
      const file = await open(path);
      try {
        for (;;) {
          const piece = new Uint8Array(1 << 16);
          const { bytesRead } = await file.read(piece, 0, piece.length);
          if (bytesRead === 0) return;
          await data.send(piece.subarray(0, bytesRead));
        }
      } finally {
        await file.close();
      }
    },
    // Under another name until it is whole.
    async put(path: string, data: Channel) {
      const file = await open(`${path}.part`, "w");
      try {
        for await (const piece of data) await write(file, piece as Uint8Array);
        await file.close();
        await rename(`${path}.part`, path);
      } catch (error) {
        await file.close().catch(() => {});
        await rm(`${path}.part`);
        throw error;
      }
    },
  };
  for await (const request of requests) {
    const [what, path, data] = request as Request;
    serve[what](path, data).then(() => data.close(), (error) => data.close(error));
  }
}

const [spec, what, from, to] = Deno.args;
if (!spec || !from || !(what === "list" || to && (what === "get" || what === "put"))) {
  console.error("Usage: file_server.ts SPEC (list FOLDER | get THERE HERE | put HERE THERE)");
  Deno.exit(2);
}
await using gateway = await makeGateway(spec);
const server = gateway.remoteExec(serveFiles);
const data = gateway.newChannel();
await server.send([what, what === "put" ? to : from, data]);
try {
  if (what === "list") { for await (const name of data) console.log(name); }
  if (what === "get") await data.readable.pipeTo((await Deno.create(to!)).writable);
  if (what === "put") {
    await (await Deno.open(from)).readable.pipeTo(data.writable);
    await data.waitClose();
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error); // what went wrong over there, too
  Deno.exitCode = 1;
}
server.close();
