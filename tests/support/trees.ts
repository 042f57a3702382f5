/**
 * Trees of files for the tests of `RSync`: made, changed, and described so that two can be compared; and a bare end to send them to.
 *
 * @module
 */

import type { RSyncInit, RSyncReport, RSyncTargetInit } from "../../gateways/rsync.ts";
import { RSync } from "../../gateways/rsync.ts";
import { biosCommand, Connection } from "../../mod.ts";
import { inFolder } from "./folder.ts";

/** A test that gets a folder of its own, and a bare end. */
export function withEnd(
  body: (folder: string, connection: Connection) => Promise<void>,
  runtime: string = Deno.execPath(),
): () => Promise<void> {
  return inFolder(async (folder) => {
    const connection = Connection.fromCommand(biosCommand({ runtime }));
    try {
      await body(folder, connection);
    } finally {
      await connection.close().catch(() => {});
    }
  });
}

/** Bytes that no compression or coincidence makes equal; the same ones for the same seed. */
export function noise(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed * 0x9e3779b9 | 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, size);
}

/** Writes a file and the directories that it is in, with a time in the past. */
export async function put(path: string, content: string | Uint8Array, seconds = 1_600_000_000.123): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
  await Deno.utime(path, seconds, seconds);
}

async function digest(path: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return new Uint8Array(hash).toHex();
}

/** All that is in a tree: a line for each entry, in order. */
export async function describe(root: string, prefix = ""): Promise<string[]> {
  const lines: string[] = [];
  for (const { name } of [...Deno.readDirSync(`${root}/${prefix}`)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const path = prefix + name, full = `${root}/${path}`;
    const { isFile, isDirectory, isSymlink, mode, mtime, size } = await Deno.lstat(full);
    const dress = `${((mode ?? 0) & 0o7777).toString(8)} ${mtime?.toISOString()}`;
    if (isSymlink) lines.push(`${path} -> ${await Deno.readLink(full)}`);
    else if (isDirectory) lines.push(`${path}/ ${dress}`, ...await describe(root, `${path}/`));
    else if (isFile) lines.push(`${path} ${dress} ${size} ${await digest(full)}`);
    else lines.push(`${path} something else`);
  }
  return lines;
}

/** Sends a tree to one target. */
export async function sendTo(
  connection: Connection,
  source: string,
  destination: string,
  init: RSyncInit & RSyncTargetInit & { raises?: boolean } = {},
): Promise<RSyncReport> {
  const { delete: deletes = false, finished, raises = true, ...rest } = init;
  const rsync = new RSync(source, rest);
  rsync.addTarget({ connection }, destination, { delete: deletes, ...(finished && { finished }) });
  const [report] = await rsync.send({ raises });
  return report!;
}
