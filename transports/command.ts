/**
 * A wire to a program that we start.
 *
 * @module
 */

import { writeStderr } from "../runtime/host.ts";
import type { ChildLike, SpawnInit } from "../runtime/spawn.ts";
import { spawn } from "../runtime/spawn.ts";
import type { Complaints } from "./child.ts";
import { processWire, unbornWire } from "./child.ts";
import type { Source } from "./join.ts";
import { ignore } from "./join.ts";
import { lateWire } from "./late.ts";
import type { NodeReadable } from "./node_streams.ts";
import { nodeSource } from "./node_streams.ts";
import { webSource } from "./web_streams.ts";
import type { Wire } from "./wire.ts";

/** How a command is started. */
export interface CommandInit extends SpawnInit {
  /**
   * Where its stderr goes: to ours as it is (`inherit`), nowhere, or into a stream, which is closed at its end. When absent it goes to ours as
   * well, but passes through us, so that error messages can quote its end.
   */
  readonly stderr?: "inherit" | "null" | WritableStream<Uint8Array>;
}

/** How much of stderr error messages quote at most, in bytes. */
const TAIL_SIZE = 8192;

/** Reads stderr of a child, passes it on, and keeps its end. */
function complaints(source: Source, to: "null" | WritableStream<Uint8Array> | undefined): Complaints {
  let tail = new Uint8Array();
  const writer = typeof to === "object" ? to.getWriter() : undefined;
  source.start({
    data(chunk) {
      const joined = new Uint8Array(tail.length + chunk.length);
      joined.set(tail);
      joined.set(chunk, tail.length);
      tail = joined.slice(-TAIL_SIZE);
      if (!to) writeStderr(chunk);
      // A stream that broke is no reason to let the child block on a full pipe.
      return writer?.write(chunk.slice()).catch(ignore);
    },
    end: () => void writer?.close().catch(ignore),
  });
  return {
    source,
    // The cut may have left half a character at the start.
    tail: () => new TextDecoder().decode(tail).replace(/^\ufffd+/, "").trim(),
  };
}

/**
 * Starts a program and makes a wire of its stdin and stdout.
 *
 * @param args The program and its arguments.
 * @param init How it is started.
 * @returns the wire; `opened` rejects when the program cannot be started
 */
export function commandWire(args: readonly string[], init: CommandInit = {}): Wire {
  const { stderr } = init;
  const name = `Command "${args[0]}"`;
  const failure = (error: unknown) =>
    new Error(
      `Cannot start "${args[0]}"${init.cwd === undefined ? "" : ` in ${init.cwd}`}: ${(error as Error).message}`,
      { cause: error },
    );
  const connect = (child: ChildLike & { stderr?: unknown }): Wire => {
    if (!child.pid) return unbornWire(child, failure);
    if (stderr === "inherit") return processWire(child, name);
    const source = "status" in child
      ? webSource(child.stderr as ReadableStream<Uint8Array>)
      : nodeSource(child.stderr as NodeReadable);
    return processWire(child, name, complaints(source, stderr));
  };
  try {
    const child = spawn(args, init, stderr === "inherit" ? stderr : "piped");
    return child instanceof Promise ? lateWire(child.then(connect)) : connect(child);
  } catch (error) {
    return lateWire(Promise.reject(failure(error)));
  }
}
