/**
 * A wire over the pipes of a child process: its end is the child's end. Starting one is `command.ts`.
 *
 * @module
 */

import type { ChildLike, DenoChildLike, NodeChildLike } from "../runtime/spawn.ts";
import { killProcess } from "../runtime/spawn.ts";
import type { Sink, Source } from "./join.ts";
import { ignore, joinWire } from "./join.ts";
import { lateWire } from "./late.ts";
import type { NodeReadable, NodeWritable } from "./node_streams.ts";
import { nodeSink, nodeSource } from "./node_streams.ts";
import { webSink, webSource } from "./web_streams.ts";
import type { Wire } from "./wire.ts";

/** What is kept of the child's stderr for error messages, and who reads it. */
export interface Complaints {
  /** Reads stderr. */
  readonly source: Source;
  /** The end of what was read so far. */
  tail(): string;
}

/** The parts of a child, whoever made it. */
interface Child {
  readonly source: Source;
  readonly sink: Sink;
  /** Resolves when it is reaped. */
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Things that keep the process alive as long as the child runs. */
  readonly held: readonly ({ ref?(): void; unref?(): void } | null | undefined)[];
}

/** How often we look whether a child that has ended left something to read, in ms, and how often at most. */
const LINGER = 50;
const LINGERS = 20;

function fromDeno(child: DenoChildLike): Child {
  // Where one is not piped this throws, and the other is not in use yet.
  const { stdin, stdout, status } = child;
  return {
    source: webSource(stdout),
    sink: webSink(stdin, false),
    exit: status.then(({ code, signal }) => ({ code: signal ? null : code, signal })),
    held: [child as { ref?(): void; unref?(): void }],
  };
}

/** What is used of a child of Node's beyond what users see. */
interface NodeChild extends NodeChildLike {
  readonly signalCode: string | null;
  readonly stdio?: readonly ({ ref?(): void; unref?(): void; destroy(): void } | null)[];
  ref?(): void;
  unref?(): void;
  on(event: string, listener: (first: never, second: never) => void): unknown;
}

function fromNode(child: NodeChild): Child {
  const { stdin, stdout, stdio = [] } = child;
  if (!stdin || !stdout) throw new TypeError(`Cannot connect to process ${child.pid}: pipe its stdin and stdout`);
  return {
    source: nodeSource(stdout as NodeReadable),
    sink: nodeSink(stdin as NodeWritable),
    exit: new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode) resolve({ code: child.exitCode, signal: child.signalCode });
      child.on("exit", (code: number | null, signal: string | null) => resolve({ code, signal }));
      child.on("error", ignore); // a signal could not be sent
    }),
    held: [child, ...stdio],
  };
}

/**
 * Stands for a child of Node's that could not be started, for a reason that it tells only later.
 *
 * @param child The child, which has no number.
 * @param failure Makes an error of the reason.
 * @returns a wire that never opens
 */
export function unbornWire(child: ChildLike, failure: (error: unknown) => unknown): Wire {
  const { stdio, on } = child as NodeChild;
  return lateWire(
    new Promise((_, reject) => {
      on.call(child, "error", (error: Error) => {
        stdio?.forEach((stream) => stream?.destroy());
        reject(failure(error));
      });
    }),
  );
}

/**
 * A wire over a child's stdin and stdout.
 *
 * @param child Of Deno's or Node's making.
 * @param name What messages call it.
 * @param complaints Its stderr, if it is ours to read.
 * @returns the wire; `abort()` kills the child
 * @throws {TypeError} when its stdin or stdout is not piped, or in use already
 */
export function processWire(child: ChildLike, name?: string, complaints?: Complaints): Wire {
  if (!child.pid) return unbornWire(child, (error) => error);
  const { source, sink, exit, held } = "status" in child ? fromDeno(child) : fromNode(child as NodeChild);
  const readers = complaints ? [source, complaints.source] : [source];
  const read = Promise.all(readers.map((reader) => reader.done));
  let received = 0;
  let status: Awaited<typeof exit> | undefined;
  const reaped = exit.then((it) => {
    status = it;
    sink.stop();
    // What it wrote before it ended is still in the pipe, but somebody whom it left behind may hold that open for ever.
    let seen = received;
    let lingers = 0;
    const timer = setInterval(() => {
      if (seen !== received && ++lingers < LINGERS) seen = received;
      else readers.forEach((reader) => reader.stop());
    }, LINGER);
    return read.then(() => clearInterval(timer));
  });
  const wire = joinWire(source, sink);
  return {
    ...wire,
    start: (receiver) =>
      source.start({
        data(chunk) {
          received++;
          return receiver.data(chunk);
        },
        end: (error) => receiver.end(error),
      }),
    abort(reason) {
      if (!status) kill(child);
      wire.abort(reason);
    },
    hold: (on) =>
      held.forEach((it) => {
        try {
          on ? it?.ref?.() : it?.unref?.();
        } catch {
          // Deno has no way to ask whether the pipes are still there. What has ended holds nothing.
        }
      }),
    closed: Promise.all([wire.closed, reaped]).then(() => status && { ...status, stderr: complaints?.tail() ?? "" }),
    describe() {
      const how = status?.signal
        ? `was killed by ${status.signal}`
        : status
        ? `exited with status ${status.code}`
        : "closed its stdout";
      const tail = complaints?.tail() ?? "";
      return `${name ?? `Process ${child.pid}`} ${how}${tail && `: ${tail}`}`;
    },
  };
}

/** Ends a child at once. */
function kill(child: ChildLike): void {
  try {
    if (child.kill("SIGKILL") === false && (child as NodeChild).exitCode === null) killProcess(child.pid!);
  } catch {
    // It has ended already.
  }
}
