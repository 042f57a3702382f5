// All files below a folder, hidden ones and those that packages brought left out.

import { readdir, stat } from "node:fs/promises";

/** One file. */
export interface Found {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/** Walks a folder. What cannot be read is passed over. */
export async function* walk(folder: string): AsyncGenerator<Found> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = `${folder}/${entry.name}`;
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield { name: entry.name, size: (await stat(path)).size };
  }
}
