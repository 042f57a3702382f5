/**
 * Which files belong to the project: those that a clone would hold once everything is committed.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";

const SKIPPED = new Set([".git", ".cache", "node_modules", "coverage"]);

/**
 * Lists the files of the project. Without git, so that it works in an unpacked archive, too.
 *
 * @returns paths from the root, with forward slashes, sorted
 */
export async function projectFiles(): Promise<string[]> {
  const root = fromFileUrl(new URL("../", import.meta.url));
  const files: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory, isFile } of Deno.readDir(join(root, folder))) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (isDirectory && !SKIPPED.has(name)) await walk(path);
      else if (isFile) files.push(path);
    }
  };
  await walk("");
  return files.sort();
}
