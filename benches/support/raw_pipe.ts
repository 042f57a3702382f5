/**
 * Bytes that come back through bare pipes: what the transport itself can do at most. Written as one would who wants them fast, for Deno and for Node.
 *
 * @module
 */

import { deno, evalCommand, startPipes } from "./pipes.ts";

const DENO_LOOP = `const buffer = new Uint8Array(65536);
for (let n; (n = await Deno.stdin.read(buffer)) !== null;) data(buffer.subarray(0, n));`;
const DENO_WRITE = `bytes => { while (bytes.length) bytes = bytes.subarray(Deno.stdout.writeSync(bytes)) }`;
const NODE_LOOP = `process.stdin.on("data", data);`;
const NODE_WRITE = `bytes => process.stdout.write(bytes)`;

/** Bytes there and back through bare pipes. */
export interface RawPipe {
  echo(bytes: Uint8Array): Promise<Uint8Array>;
  close(): Promise<unknown>;
}

/** The child sends back what it has while more arrives, so both directions are busy at the same time. */
const STREAMING = deno
  ? `const buffer = new Uint8Array(65536);
for (let n; (n = await Deno.stdin.read(buffer)) !== null;)
  for (let at = 0; at < n;) at += Deno.stdout.writeSync(buffer.subarray(at, n));`
  : `process.stdin.pipe(process.stdout)`;

/** The child waits until it has everything, as whoever passes a value on must. The length goes ahead. */
const WHOLE = `let bytes, at = 0;
const data = chunk => {
  if (!bytes) bytes = new Uint8Array(Number(new TextDecoder().decode(chunk.subarray(0, 12)))), chunk = chunk.subarray(12);
  bytes.set(chunk, at);
  at += chunk.length;
  if (at < bytes.length) return;
  (${deno ? DENO_WRITE : NODE_WRITE})(bytes);
  bytes = undefined;
  at = 0;
};
${deno ? DENO_LOOP : NODE_LOOP}`;

/**
 * Bytes through bare pipes, which are collected in one buffer here.
 *
 * @param whole Whether the child collects them, too, before it sends them back.
 */
export async function startRaw(whole: boolean): Promise<RawPipe> {
  const pipes = await startPipes(evalCommand(whole ? WHOLE : STREAMING));
  let into = new Uint8Array(0), at = 0;
  let finish = () => {};
  pipes.read((chunk) => {
    into.set(chunk, at);
    at += chunk.length;
    if (at === into.length) finish();
  });
  return {
    async echo(bytes) {
      into = new Uint8Array(bytes.length);
      at = 0;
      const done = new Promise<void>((resolve) => finish = resolve);
      if (whole) pipes.write(new TextEncoder().encode(String(bytes.length).padStart(12)));
      // In pieces, as one does with a stream whose other side is slower.
      for (let from = 0; from < bytes.length; from += 1 << 18) {
        await pipes.write(bytes.subarray(from, from + (1 << 18)));
      }
      await done;
      return into;
    },
    close: pipes.close,
  };
}
