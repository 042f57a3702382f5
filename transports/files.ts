/**
 * Halves of wires over what reads into and writes from buffers: Deno's files and connections, and what `runtime/descriptors.ts` makes of others.
 *
 * @module
 */

import type { ByteFile } from "../runtime/descriptors.ts";
import { isWouldBlock } from "../runtime/host.ts";
import type { Sink, Source } from "./join.ts";
import { createSource, ignore } from "./join.ts";

/** What a pipe of the system holds at most, so that one read takes all there is. */
const BUFFER_SIZE = 65536;

/** Up to this size a write that blocks the thread is cheaper than one that does not. */
const SMALL = 4096;

/** Bytes that we write without a sign of life from the peer before we stop to write in a way that could block: a pipe holds more. */
const CREDIT = 16384;

/**
 * Makes functions that try again what a descriptor refused that does not block (somebody who shares it made it so), until it is not refused.
 * Deno offers no better way to wait for one.
 *
 * @param attempt What to do.
 * @returns a function that does it and returns what it returns
 */
function patient<T>(attempt: (bytes: Uint8Array) => Promise<T>): (bytes: Uint8Array) => Promise<T> {
  return async (bytes) => {
    for (let pause = 1;; pause = Math.min(2 * pause, 16)) {
      try {
        return await attempt(bytes);
      } catch (error) {
        if (!isWouldBlock(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    }
  };
}

/** Frees a file that may be closed already. */
function close(file: Pick<ByteFile, "close">): void {
  try {
    file.close();
  } catch {
    // So it is.
  }
}

/**
 * Reads a file, with one buffer over and over.
 *
 * @param file The file; closed at the end.
 * @returns the source
 */
export function fileSource(file: Pick<ByteFile, "read" | "close">): Source {
  return createSource(async (data) => {
    const buffer = new Uint8Array(BUFFER_SIZE);
    const read = patient((buffer) => file.read(buffer));
    for (let size; (size = await read(buffer));) {
      const wait = data(buffer.subarray(0, size));
      if (wait) await wait;
    }
    close(file);
  }, () => close(file));
}

/** A sink over a file. */
export interface FileSink extends Sink {
  /** To be called when the peer was heard: it is alive, and reads. */
  heard(): void;
}

/**
 * Writes to a file: small chunks at once as long as the peer shows that it reads, so that the thread does not block on a full pipe.
 *
 * @param file The file; closed at the end.
 * @returns the sink
 */
export function fileSink(file: Pick<ByteFile, "write" | "writeSync" | "close">): FileSink {
  let credit = CREDIT;
  let free = ignore;
  let fail: (reason: unknown) => void = ignore;
  const some = patient((chunk) => file.write(chunk));
  const rest = async (chunk: Uint8Array) => {
    while (chunk.length) chunk = chunk.subarray(await some(chunk));
  };
  const finish = () => {
    close(file);
    free();
  };
  let writing: Promise<void> | undefined;
  return {
    write(chunk) {
      credit -= chunk.length;
      if (file.writeSync && chunk.length <= SMALL && credit >= 0) {
        try {
          chunk = chunk.subarray(file.writeSync(chunk));
          if (!chunk.length) return;
        } catch (error) {
          if (!isWouldBlock(error)) return Promise.reject(error);
        }
      }
      return writing = new Promise((resolve, reject) => {
        fail = reject;
        rest(chunk).then(resolve, reject);
      });
    },
    heard() {
      credit = CREDIT;
    },
    end: () => Promise.resolve(writing).catch(ignore).then(finish),
    stop(reason) {
      fail(reason);
      finish();
    },
    done: new Promise<void>((resolve) => free = resolve),
  };
}
