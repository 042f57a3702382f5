/**
 * What the receiving end of an {@linkcode RSync} does to single entries below the destination, and nowhere else: no link is followed there. What is
 * done when is the business of `rsync_receiver.ts`; large files are that of `rsync_arrival.ts`.
 *
 * @module
 */

import { isMissing } from "../runtime/tree_files.ts";
import type { EntryInfo, TreeFiles } from "../runtime/tree_files.ts";
import { fileMode, temporary } from "./rsync_arrival.ts";
import type { Entry } from "./rsync_messages.ts";

/** A directory below the destination, or that itself. */
export interface Place {
  readonly path: string;
  readonly mode: number;
  readonly time: number;
  /** What it is; undefined where it could not be made: then nothing happens in it. */
  readonly identity: string | undefined;
  /** Whether nothing was in it: what is listed need not be looked for. */
  readonly empty: boolean;
  /** The names that were listed, until all are. */
  names: Set<string> | undefined;
}

/** Which permissions of directories are set. */
const placeMode = (mode: number): number => mode & 0o3777;

/** What an error says. */
export const textOf = (error: unknown): string => error instanceof Error ? error.message : String(error);

/** Whether two times are the same. Some runtimes know milliseconds only. */
export const sameTime = (one: number, other: number): boolean => Math.abs(one - other) < 1;

/** The disk below one destination. */
export class Disk {
  readonly #files: TreeFiles;
  readonly #delete: boolean;
  #root = "";
  /** With which permissions small files were made, by those that were wanted. */
  readonly #made = new Map<number, number>();

  /**
   * @param files How files are read and written.
   * @param deletes Whether directories that are not empty may be replaced.
   */
  constructor(files: TreeFiles, deletes: boolean) {
    this.#files = files;
    this.#delete = deletes;
  }

  /** Makes the destination, which alone may be reached through links. */
  begin(destination: string, mode: number, time: number): Place {
    this.#files.makeDirectories(destination);
    this.#root = this.#files.realPath(destination);
    const { identity, kind } = this.#files.follow(this.#root);
    if (kind !== "directory") throw new Error(`Cannot copy to "${destination}" as it is no directory`);
    const empty = this.#files.names(this.#root).length === 0;
    return { path: this.#root, mode, time, identity, empty, names: new Set() };
  }

  /** @throws {Error} If a directory is not the one that it was: somebody put a link in its place. */
  check(place: Place): void {
    const { path, identity } = place;
    if (identity === undefined) throw new Error("Its directory could not be made");
    if (this.#files.look(path)?.identity !== identity) throw new Error("Its directory was replaced meanwhile");
  }

  /** What is wrong with it, if anything is. */
  broken(place: Place): unknown {
    try {
      this.check(place);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Deletes what was not listed. */
  async clear({ path, names }: Place, deleted: string[], kept: [string, string][]): Promise<void> {
    for (const name of this.#files.names(path)) {
      if (names!.has(name)) continue;
      const below = `${path}/${name}`;
      try {
        if (this.#files.look(below)?.kind === "directory") await this.#files.removeTree(below);
        else this.#files.remove(below);
        deleted.push(below.slice(this.#root.length + 1));
      } catch (error) {
        if (!isMissing(error)) kept.push([below.slice(this.#root.length + 1), textOf(error)]);
      }
    }
  }

  /** Makes a directory, or takes the one that is there. */
  place(parent: Place, { name, mode, time }: Entry): Place {
    const files = this.#files, below = `${parent.path}/${name}`;
    let info = parent.empty ? undefined : files.look(below);
    if (info && info.kind !== "directory") {
      files.remove(below);
      info = undefined;
    }
    const empty = !info;
    if (!info) files.makeDirectory(below, 0o700);
    else if ((info.mode & 0o700) !== 0o700) files.setMode(below, info.mode | 0o700);
    info ??= files.look(below);
    if (info?.kind !== "directory") throw new Error("The directory was replaced meanwhile");
    return { path: below, mode, time, identity: info.identity, empty, names: new Set() };
  }

  /** Makes room for something that is no directory. */
  async replace(path: string, info: EntryInfo | undefined): Promise<void> {
    if (info?.kind !== "directory") return;
    if (this.#delete) return await this.#files.removeTree(path);
    try {
      this.#files.removeEmpty(path);
    } catch (cause) {
      throw new Error("There is a directory that is not empty: pass delete to have it replaced", { cause });
    }
  }

  /** Makes a link, or has the one that is there. */
  async link(place: Place, { name, link, inside, time }: Entry): Promise<void> {
    const files = this.#files, path = `${place.path}/${name}`;
    const target = inside === true ? `${this.#root}/${link}` : link!;
    const info = place.empty ? undefined : files.look(path);
    if (info?.kind !== "link" || files.linkTarget(path) !== target) {
      await this.replace(path, info);
      const made = temporary(place.path);
      files.makeLink(target, made);
      try {
        files.rename(made, path);
      } catch (error) {
        files.remove(made);
        throw error;
      }
    } else if (sameTime(info.time, time)) return;
    files.setLinkTime(path, time);
  }

  /** The digest of a small file; undefined if it cannot be read. */
  digest(path: string, size: number): Uint8Array | undefined {
    try {
      const file = this.#files.open(path);
      try {
        const bytes = new Uint8Array(size);
        return file.readNow(bytes) === size ? new Uint8Array(this.#files.digest(bytes)) : undefined;
      } finally {
        file.close();
      }
    } catch {
      return undefined;
    }
  }

  /** Sets permissions and time of a file whose content is right. Returns whether that could be done. */
  dress(path: string, mode: number, time: number): boolean {
    try {
      const file = this.#files.open(path);
      try {
        file.setMode(fileMode(mode));
        file.setTime(time);
      } finally {
        file.close();
      }
      return true;
    } catch {
      return false;
    }
  }

  /** Writes a small file. */
  write({ path }: Place, name: string, mode: number, time: number, content: Uint8Array): void {
    const made = temporary(path);
    const wanted = fileMode(mode);
    const file = this.#files.create(made, wanted);
    try {
      // The mask takes the same from all files.
      const got = this.#made.get(wanted) ?? file.info().mode;
      this.#made.set(wanted, got);
      file.writeNow(content);
      file.setTime(time);
      if (got !== wanted) file.setMode(wanted);
      file.close();
      this.#files.rename(made, `${path}/${name}`);
    } catch (error) {
      file.close();
      this.#files.remove(made);
      throw error;
    }
  }

  /** The mask may be another one from here on. */
  forget(): void {
    this.#made.clear();
  }

  /** Gives a directory its time, which writing into it has changed, and its permissions. */
  finish({ path, mode, time, identity }: Place): void {
    const info = this.#files.look(path);
    if (!info || info.identity !== identity) throw new Error("The directory was replaced meanwhile");
    const wanted = placeMode(mode);
    if (info.mode !== wanted || !sameTime(info.time, time)) this.#files.dress(path, wanted, time);
  }
}
