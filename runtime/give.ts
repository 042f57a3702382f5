/**
 * Giving a connected socket to a child process, where that can be done: in Node, on Linux. What is passed, and what the child does with it, is the
 * business of `servers/`.
 *
 * @module
 */

import type { FileFunctions } from "./host.ts";
import { builtinNow, runtime } from "./host.ts";
import type { NodeChildLike } from "./spawn.ts";

/** A connected socket that another process is to use in our place. */
export interface GivenSocket {
  /** Its descriptor, valid as long as nobody closes the socket here. */
  readonly fd: number;
  /** Whether its peer has ended its direction, or all of it, whether or not anybody has read what it sent before. */
  gone(): boolean;
}

/** What is used of what is behind a socket of `node:net`. */
interface Handle {
  readonly fd?: number;
  readStop?(): unknown;
}

/** What is used of `node:fs`. */
interface Files extends FileFunctions {
  readlinkSync(path: string): string;
  readFileSync(path: string, encoding: "utf8"): string;
}

/** How long what was read of the system's table of connections counts, in milliseconds: many ask at the same time. */
const TABLE_AGE = 100;
/** Columns of the table: the state and the number of a socket. */
const STATE = 3, INODE = 9;
const ESTABLISHED = "01";

let table: { readonly time: number; readonly established: ReadonlySet<string> } | undefined;

/** The numbers of all TCP sockets whose peer has not ended its direction. */
function established(files: Files): ReadonlySet<string> {
  const time = performance.now();
  if (!table || time - table.time > TABLE_AGE) {
    const found = new Set<string>();
    for (const name of ["tcp", "tcp6"]) {
      try {
        for (const line of files.readFileSync(`/proc/self/net/${name}`, "utf8").split("\n")) {
          const columns = line.trim().split(/\s+/);
          if (columns[STATE] === ESTABLISHED) found.add(columns[INODE]!);
        }
      } catch {
        // A system without IPv6.
      }
    }
    table = { time, established: found };
  }
  return table.established;
}

/**
 * Stops to read from a socket, so that a child process can do it instead. Nothing but the system knows whether its client is still there, once the child
 * keeps itself busy: where it does not tell, the socket stays what it is.
 *
 * @param socket Any socket.
 * @returns its descriptor, and how to ask; undefined where it cannot be given away
 */
export function giveSocket(socket: object): GivenSocket | undefined {
  const files = builtinNow<Files>("node:fs");
  const { _handle: handle, encrypted, pause } = socket as {
    _handle?: Handle | null;
    encrypted?: boolean;
    pause?(): void;
  };
  const { fd = -1 } = handle ?? {};
  if (runtime !== "node" || !files || encrypted || fd < 0 || !handle?.readStop) return;
  let gone: () => boolean;
  try {
    const inode = /\d+/.exec(files.readlinkSync(`/proc/self/fd/${fd}`))![0];
    if (handle.constructor.name === "TCP") {
      gone = () => !established(files).has(inode);
    } else {
      gone = () => {
        try {
          // Nothing is written: it fails where there is nobody to write to.
          return files.writeSync(fd, new Uint8Array(0)) > 0;
        } catch {
          return true;
        }
      };
    }
    table = undefined;
    if (gone()) return;
  } catch {
    return; // no Linux
  }
  pause!.call(socket);
  handle.readStop();
  return { fd, gone };
}

/** What is used of a child with more descriptors than three. */
export interface ServingChild extends NodeChildLike {
  /** What is at the other end of its descriptors, where that is ours. */
  readonly stdio?: readonly unknown[];
  on(event: string, listener: () => void): unknown;
}

/**
 * Starts a program with the descriptors that it is to have.
 *
 * @param args The program and its arguments.
 * @param stdio What its descriptors are: some of ours, or pipes to it.
 * @returns the child, also when Node will say only later that it could not be started
 * @throws {Error} when it cannot be started
 */
export function spawnWith(
  [command = "", ...args]: readonly string[],
  stdio: readonly (number | "pipe" | "ignore" | "inherit")[],
): ServingChild {
  type Spawn = (command: string, args: readonly string[], options: { stdio: typeof stdio }) => ServingChild;
  return builtinNow<{ spawn: Spawn }>("node:child_process")!.spawn(command, args, { stdio });
}
