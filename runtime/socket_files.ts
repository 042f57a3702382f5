/**
 * The files of Unix sockets that we listen on: readable for nobody else, put in the place of dead ones, and taken away at the end. What is no socket,
 * or a socket that somebody listens on, is never touched. Private folders for such files, too.
 *
 * @module
 */

import { builtin, deno, pid } from "./host.ts";

/** What is used of `node:fs/promises`. */
interface Files {
  lstat(path: string): Promise<{ readonly ino: number; isSocket(): boolean }>;
  chmod(path: string, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdtemp(prefix: string): Promise<string>;
  rmdir(path: string): Promise<void>;
}
interface Net {
  connect(options: { readonly path: string }): {
    on(event: string, listener: (error: { readonly code?: string }) => void): unknown;
    destroy(): unknown;
  };
}
const files = () => builtin<Files>("node:fs/promises");

/** What is at a path, links not followed; undefined where nothing is. */
async function look(path: string): Promise<{ readonly inode: unknown; readonly isSocket: boolean } | undefined> {
  try {
    if (!deno) {
      const found = await (await files()).lstat(path);
      return { inode: found.ino, isSocket: found.isSocket() };
    }
    // Node's function does not know sockets in older versions of Deno.
    const { ino, isSocket } = await deno.lstat(path);
    return { inode: ino, isSocket: !!isSocket };
  } catch {
    return;
  }
}

/** How long the path of a Unix socket may be, in bytes, on Linux: Node 20 cuts off what is more, and would listen somewhere else. */
const LONGEST = 107;

/** What others may do with what we make. */
const MASK = 0o177;

/** Sets which rights new files lack. It is one setting for the whole process, so nothing else may happen meanwhile. */
function umask(mask: number): number | undefined {
  type Process = { umask?(mask: number): number };
  try {
    return deno ? deno.umask(mask) : (globalThis as { process?: Process }).process?.umask?.(mask);
  } catch {
    return; // a Worker, or no permission: then chmod() has to do
  }
}

/** Says whether somebody listens on a socket. */
async function isAlive(path: string): Promise<boolean> {
  const { connect } = await builtin<Net>("node:net");
  return await new Promise((resolve) => {
    const socket = connect({ path });
    const finish = (alive: boolean) => {
      socket.destroy();
      resolve(alive);
    };
    socket.on("connect", () => finish(true));
    // Only this is the sign of nobody. A listener that has too much to do has another one.
    socket.on("error", ({ code }) => finish(code !== "ECONNREFUSED"));
  });
}

/** The file of one socket. */
export class SocketFile {
  /** Where it is. */
  readonly path: string;
  #inode: unknown;

  /** @param path Where it is to be. */
  constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes it, with the mode 0600.
   *
   * @param listen Makes a socket of the path, within this turn of the event loop.
   * @throws {Error} when something is there that must stay
   */
  async create<T>(listen: () => Promise<T>): Promise<T> {
    const size = new TextEncoder().encode(this.path).length;
    if (size > LONGEST && (globalThis as { process?: { platform: string } }).process?.platform === "linux") {
      throw new Error(`Cannot listen on ${this.path}: it has ${size} bytes, where ${LONGEST} are allowed`);
    }
    await this.#clear();
    const before = umask(MASK);
    let listening: Promise<T>;
    try {
      listening = listen();
    } finally {
      if (before !== undefined) umask(before);
    }
    const made = await listening;
    await (await files()).chmod(this.path, 0o600);
    this.#inode = (await look(this.path))?.inode;
    return made;
  }

  /** Removes a socket that nobody listens on. */
  async #clear(): Promise<void> {
    const { path } = this;
    const { rename, unlink } = await files();
    const found = await look(path);
    if (!found) return;
    const refused = (why: string) =>
      Object.assign(new Error(`Cannot listen on ${path}: ${why}`), { code: "EADDRINUSE" });
    if (!found.isSocket) throw refused("there is something that is not a socket");
    if (await isAlive(path)) throw refused("somebody listens there");
    // Somebody else may have had the same thought and be listening by now: what was moved away is looked at once more.
    const aside = `${path}.${pid()}.stale`;
    await rename(path, aside);
    if ((await look(aside))?.inode !== found.inode && await isAlive(aside)) {
      await rename(aside, path);
      throw refused("somebody listens there");
    }
    await unlink(aside);
  }

  /**
   * Removes it, unless something else took its place.
   *
   * @param close Stops to listen. The runtimes remove then whatever has the path.
   */
  async remove(close: () => Promise<void>): Promise<void> {
    const { rename, unlink } = await files();
    const { path } = this;
    const found = await look(path);
    const aside = found && found.inode !== this.#inode ? `${path}.${pid()}.kept` : undefined;
    if (aside) await rename(path, aside);
    await close();
    if (aside) await rename(aside, path);
    else await unlink(path).catch(() => {}); // some runtimes do not
  }
}

/** A folder that nobody else can look into. */
export interface PrivateFolder {
  readonly path: string;
  /** Removes it; it must be empty. */
  remove(): Promise<void>;
}

/** Makes a private folder below the system's temporary one. */
export async function privateFolder(): Promise<PrivateFolder> {
  const { mkdtemp, rmdir } = await files();
  const { tmpdir } = await builtin<{ tmpdir(): string }>("node:os");
  const path = await mkdtemp(`${tmpdir()}/across-`); // with the mode 0700
  return { path, remove: () => rmdir(path).catch(() => {}) };
}
