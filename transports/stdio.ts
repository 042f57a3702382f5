/**
 * The wire of a process that was started to be a remote end: its stdin and stdout, or the descriptors that a shell moved them to.
 *
 * @module
 */

import type { Input, Output } from "../runtime/descriptors.ts";
import { openInput, openOutput } from "../runtime/descriptors.ts";
import { guardStdio } from "../runtime/stdio_guard.ts";
import { fileSink, fileSource } from "./files.ts";
import { joinWire } from "./join.ts";
import { nodeSink, nodeSource } from "./node_streams.ts";
import { webSource } from "./web_streams.ts";
import type { Wire } from "./wire.ts";

/** The descriptors of a wire. */
export interface Descriptors {
  /** What is read; 0, that is stdin, when absent. */
  readonly input?: number | undefined;
  /** What is written; 1, that is stdout, when absent. */
  readonly output?: number | undefined;
  /** Ends the output where the runtime has but a copy of it: `closeOriginal()`. Absent where the process ends with the wire. */
  readonly closeOriginal?: (fd: number) => unknown;
}

/** A wire that a second thread can write to as well. */
export interface StdioWire extends Wire {
  /** The descriptor that is written. */
  readonly output: number;
  /**
   * Makes every write from now on take a lock, so that a watchdog's heartbeat never lands in the middle of one.
   *
   * @returns the lock: its first element is 0 while nobody writes, its second counts our writes
   */
  share(): Int32Array<SharedArrayBuffer>;
}

function join(input: Input, output: Output): Wire {
  const source = input.file
    ? fileSource(input.file)
    : input.stream
    ? webSource(input.stream)
    : nodeSource(input.socket!);
  if (!output.file) return joinWire(source, nodeSink(output.socket!, output.writeSync));
  const sink = fileSink(output.file);
  return joinWire(source, sink, {
    start: (receiver) =>
      source.start({
        data(chunk) {
          sink.heard();
          return receiver.data(chunk);
        },
        end: (error) => receiver.end(error),
      }),
  });
}

/**
 * A wire over descriptors of this process. Where these are stdin or stdout, what the rest of the program prints goes to stderr from now on, and
 * it finds its stdin empty. The wire keeps the process alive as long as it is open, as nothing else may.
 *
 * @param descriptors Which ones.
 * @returns the wire
 */
export function stdioWire({ input = 0, output = 1, closeOriginal }: Descriptors = {}): StdioWire {
  const from = openInput(input);
  const to = openOutput(output, closeOriginal);
  if (!input || output === 1) guardStdio();
  const wire = join(from, to);
  let lock: Int32Array<SharedArrayBuffer> | undefined;
  let writing = false;
  let closing = false;
  const take = () => {
    if (!lock || closing) return; // closed, it is ours for good
    // The other side writes four bytes, if at all: that is soon over.
    while (Atomics.compareExchange(lock, 0, 0, 1)) Atomics.wait(lock, 0, 1);
    Atomics.add(lock, 1, 1);
  };
  const free = () => {
    writing = false;
    // Once it is closed the descriptor may become something else's: nobody gets the lock any more.
    if (!lock || closing) return;
    Atomics.store(lock, 0, 0);
    Atomics.notify(lock, 0);
  };
  const close = () => {
    if (!writing && !closing) take();
    closing = true;
  };
  return {
    ...wire,
    output,
    write(chunk) {
      take();
      const wait = wire.write(chunk);
      if (!wait) {
        free();
        return;
      }
      writing = true;
      return wait.finally(free);
    },
    end() {
      close();
      return wire.end();
    },
    abort(reason) {
      close();
      wire.abort(reason);
    },
    share() {
      if (!lock) {
        lock = new Int32Array(new SharedArrayBuffer(8));
        if (writing) lock[0] = 1;
      }
      return lock;
    },
  };
}
