/**
 * Descriptors that this process was started with (stdin, stdout, or others that a shell moved the wire to) as something to read from and write
 * to, by the fastest means of each runtime. How they are used is the business of `transports/stdio.ts`.
 *
 * @module
 */

import type { FileFunctions } from "./host.ts";
import { builtin, bun, deno, granted, isWouldBlock } from "./host.ts";

/** A file, pipe or connection of Deno, or what stands for one elsewhere. */
export interface ByteFile {
  /**
   * Reads what there is, waiting for at least one byte.
   *
   * @returns how many bytes it read, or null at the end
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a part at least, and says how many bytes that were. */
  write(chunk: Uint8Array): Promise<number>;
  /** The same at once: it blocks, or throws, when it has to wait. */
  writeSync?(chunk: Uint8Array): number;
  /** Frees it. A read that is under way need not end. */
  close(): unknown;
}

/** What is used of a `net.Socket`. */
export interface Socket {
  on(event: string, listener: (value: never) => void): unknown;
  emit(event: string, value: unknown): unknown;
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): boolean;
  end(callback?: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/** A descriptor to read from: one of these is there. */
export interface Input {
  readonly file?: Pick<ByteFile, "read" | "close">;
  readonly socket?: Socket;
  readonly stream?: ReadableStream<Uint8Array>;
}

/** A descriptor to write to: a file or a socket is there. */
export interface Output {
  readonly file?: Pick<ByteFile, "write" | "writeSync" | "close">;
  readonly socket?: Socket;
  /** Writes what goes without waiting to the socket's descriptor, or throws. */
  readonly writeSync?: (chunk: Uint8Array) => number;
}

type Net = { Socket: new (options: object) => Socket };

/** A socket of Node's making over a descriptor. Not in Deno before 2.7, and not for files. */
function openSocket({ Socket }: Net, fd: number, readable: boolean): Socket {
  const socket: Socket = new Socket({
    fd,
    readable,
    writable: !readable,
    // Node reads into one buffer then. Deno's imitation does not know it and emits "data" by itself.
    onread: readable && {
      buffer: new Uint8Array(65536),
      callback: (size: number, buffer: Uint8Array) => socket.emit("data", buffer.subarray(0, size)),
    },
  });
  // Else Node keeps the descriptor open after the last write, and a reader of a pipe sees no end.
  if (!readable) socket.on("finish", () => socket.destroy());
  if (fd < 3) {
    socket.on("close", () => {
      // libuv leaves standard descriptors open.
      if (!deno) (builtin("node:fs") as FileFunctions).closeSync(fd);
      plug(fd);
    });
  }
  return socket;
}

/** Puts something harmless in the place of a standard descriptor, or the next file to be opened would get what programs print. */
function plug(fd: number): void {
  type Files = { openSync(path: string, mode: string): unknown };
  try {
    if (deno) deno.openSync("/dev/null", { read: !fd, write: !!fd });
    else (builtin("node:fs") as Files).openSync("/dev/null", fd ? "w" : "r");
  } catch {
    // No permission then, for other files neither.
  }
}

/**
 * Ends a descriptor that Deno has a copy of and no means of its own for: a socket is shut down, anything else closed. Of stdout Deno from 2.8 on keeps
 * another copy for good. This takes 25 ms, which is lost on a process that is about to end.
 */
export async function closeOriginal(fd: number): Promise<void> {
  try {
    const socket = openSocket(await builtin<Net>("node:net"), fd, false);
    socket.on("error", () => {});
    socket.end();
  } catch {
    // Too old, or a file: then the peer sees the end when the process ends.
  }
}

/** Whether a standard descriptor of Deno does not block, as somebody who shares it made it so. Only Linux tells, and where we may ask. */
function isNonBlocking(fd: number): boolean {
  try {
    const path = `/proc/self/fdinfo/${fd}`;
    return granted({ name: "read" }) &&
      (parseInt(/flags:\s*(\d+)/.exec(deno!.readTextFileSync(path))![1]!, 8) & 0o4000) > 0;
  } catch {
    return false;
  }
}

/**
 * Deno's stdout goes through a buffer: of what it says it could not write yet, it has kept a part, so that to try again would write that twice. A
 * connection that breaks is better than one that is wrong.
 */
function refuse(error: unknown): never {
  throw isWouldBlock(error) ? new Error("Cannot write to stdout as it does not block", { cause: error }) : error;
}

/** Opens a descriptor of Deno once more: what comes of it blocks, whatever the original does. Sockets cannot be opened like that. */
const reopen = (fd: number, options?: Deno.OpenOptions): Deno.FsFile => deno!.openSync(`/dev/fd/${fd}`, options);

/** A socket in Deno that does not block. Not before 2.7: there every write fails. */
function patientOutput(fd: number): Pick<ByteFile, "write" | "close"> {
  const opened = Promise.resolve(builtin<Net>("node:net")).then((net) => openSocket(net, fd, false));
  opened.catch(() => {});
  let failure: unknown;
  void opened.then((it) => it.on("error", (error) => failure = error), () => {});
  return {
    async write(chunk) {
      const socket = await opened;
      if (failure) throw failure;
      return new Promise((resolve, reject) =>
        socket.write(chunk, (error) => error ? reject(error) : resolve(chunk.length))
      );
    },
    close: () => opened.then((it) => it.end(), () => {}),
  };
}

/** What is used of `node:fs`. */
type CallbackFunctions = {
  [name in "read" | "write"]: (
    fd: number,
    chunk: Uint8Array,
    done: (error: Error | null, size: number) => void,
  ) => void;
};

/** What Node's and Bun's file functions do with a descriptor, whatever it is. A read that waits takes one of few threads. */
function openFile(fd: number): Omit<ByteFile, "read"> & { read(buffer: Uint8Array): Promise<number> } {
  // Taken before they are patched, as above.
  const { read, write, writeSync, closeSync } = builtin("node:fs") as FileFunctions & CallbackFunctions;
  const promised = (act: typeof read) => (chunk: Uint8Array) =>
    new Promise<number>((resolve, reject) => act(fd, chunk, (error, size) => error ? reject(error) : resolve(size)));
  return {
    read: promised(read),
    write: promised(write),
    writeSync: (chunk) => writeSync(fd, chunk),
    close() {
      closeSync(fd);
      if (fd < 3) plug(fd);
    },
  };
}

/**
 * Opens a descriptor for reading.
 *
 * @param fd Its number. In Deno it must be stdin, a pipe or a file.
 * @returns what to read from
 */
export function openInput(fd: number): Input {
  if (bun) return { stream: (bun as unknown as { file(fd: number): Blob }).file(fd).stream() };
  if (deno) {
    if (fd) return { file: reopen(fd) };
    try {
      if (isNonBlocking(0)) return { file: reopen(0) };
    } catch {
      // A socket: it is asked again and again (`transports/files.ts`).
    }
    const { stdin } = deno;
    return { file: { read: stdin.read.bind(stdin), close() {} } };
  }
  try {
    return { socket: openSocket(builtin("node:net") as Net, fd, true) };
  } catch {
    return { file: openFile(fd) };
  }
}

/**
 * Opens a descriptor for writing.
 *
 * @param fd Its number. In Deno it must be stdout, a pipe or a file.
 * @param closed Called when Deno has closed its copy: see {@linkcode closeOriginal}.
 * @returns what to write to
 */
export function openOutput(fd: number, closed?: (fd: number) => unknown): Output {
  if (deno) {
    let file: Pick<Deno.FsFile, "write" | "writeSync" | "close"> = deno.stdout;
    try {
      if (fd !== 1 || isNonBlocking(1)) file = reopen(fd, { append: true });
    } catch (error) {
      if (fd !== 1) throw error;
      return { file: patientOutput(1) };
    }
    // These are going to be patched, in the interest of the wire.
    const write = file.write.bind(file);
    const writeSync = file.writeSync.bind(file);
    return {
      file: {
        write: (chunk) => write(chunk).catch(refuse),
        writeSync(chunk) {
          try {
            return writeSync(chunk);
          } catch (error) {
            return refuse(error);
          }
        },
        close() {
          file.close();
          closed?.(fd);
        },
      },
    };
  }
  const file = openFile(fd);
  // Bun's sockets do not take descriptors.
  if (bun) return { file };
  try {
    return { socket: openSocket(builtin("node:net") as Net, fd, false), writeSync: file.writeSync! };
  } catch {
    return { file };
  }
}
