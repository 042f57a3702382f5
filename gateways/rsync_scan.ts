/**
 * Listing the tree that an {@linkcode RSync} copies, a portion at a time, parents first. Links are looked at, not followed. What is done with the
 * lists is the business of `rsync_sender.ts`.
 *
 * @module
 */

import type { EntryInfo, TreeFiles } from "../runtime/tree_files.ts";
import type { Entry, List } from "./rsync_messages.ts";
import { RSYNC } from "./rsync_messages.ts";

/** What a filter is told of an entry. */
export interface RSyncEntry {
  /** What it is. */
  readonly kind: "file" | "directory" | "link";
  /** Bytes of a file; 0 for the others. */
  readonly size: number;
  /** When it was changed last, milliseconds since 1970. */
  readonly time: number;
  /** Its permissions. */
  readonly mode: number;
}

/** An entry that could not be listed. */
export interface Unlisted {
  readonly path: string;
  readonly error: unknown;
}

/** A portion of the list, and what belongs to it here. */
export interface Portion {
  readonly list: List;
  /** Where the directory is below the source: empty, or ends in `/`. */
  readonly prefix: string;
  readonly unlisted: readonly Unlisted[];
}

/** Where an absolute target is below the tree, if it is. */
function inside(root: string, target: string): string | undefined {
  if (target === root) return ".";
  if (!target.startsWith(`${root}/`)) return;
  const below = target.slice(root.length + 1);
  return below.split("/").includes("..") ? undefined : below;
}

/**
 * Lists a tree.
 *
 * @param files How files are looked at.
 * @param root The directory, as an absolute path that links were followed for.
 * @param names Further paths by which links may call it.
 * @param filter Says what belongs to the tree.
 */
export function* scan(
  files: TreeFiles,
  root: string,
  names: readonly string[],
  filter: (path: string, entry: RSyncEntry) => boolean,
): Generator<Portion> {
  const open: { readonly id: number; readonly prefix: string }[] = [{ id: 0, prefix: "" }];
  let next = 1;
  for (let directory = open.pop(); directory; directory = open.pop()) {
    const { id, prefix } = directory;
    const unlisted: Unlisted[] = [];
    let all: string[] = [], known = true;
    try {
      all = files.names(`${root}/${prefix}`);
    } catch (error) {
      known = false;
      unlisted.push({ path: prefix.slice(0, -1) || ".", error });
    }
    const below: { id: number; prefix: string }[] = [];
    for (let at = 0; at === 0 || at < all.length; at += RSYNC.portion) {
      const entries: Entry[] = [], keep: string[] = [], first = next;
      for (const name of all.slice(at, at + RSYNC.portion)) {
        const path = prefix + name;
        try {
          const info = files.look(`${root}/${path}`);
          if (!info) throw new Error(name.includes("\ufffd") ? "Its name is not UTF-8" : "It vanished");
          const entry = entryOf(files, `${root}/${path}`, name, info, [root, ...names]);
          if (!filter(path, { kind: info.kind as RSyncEntry["kind"], ...pick(info) })) continue;
          if (entry.directory) below.push({ id: next, prefix: `${path}/` });
          entries.push(entry);
          next++;
        } catch (error) {
          keep.push(name);
          unlisted.push({ path, error });
        }
      }
      const last = at + RSYNC.portion >= all.length;
      yield { list: { list: id, first, entries, keep, last, known }, prefix, unlisted: unlisted.splice(0) };
    }
    // The first one comes next.
    open.push(...below.reverse());
  }
}

const pick = ({ kind, size, time, mode }: EntryInfo): Omit<RSyncEntry, "kind"> => ({
  size: kind === "file" ? size : 0,
  time,
  mode,
});

function entryOf(
  files: TreeFiles,
  path: string,
  name: string,
  { kind, mode, time, size }: EntryInfo,
  roots: readonly string[],
): Entry {
  if (kind === "file") return { name, mode, time, size };
  if (kind === "directory") return { name, mode, time, directory: true };
  if (kind !== "link") throw new Error("It is neither a file nor a directory nor a link");
  const target = files.linkTarget(path);
  for (const root of roots) {
    const link = inside(root, target);
    if (link !== undefined) return { name, mode, time, link, inside: true };
  }
  return { name, mode, time, link: target };
}
