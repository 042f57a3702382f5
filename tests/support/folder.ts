/**
 * Folders for tests.
 *
 * @module
 */

import { noLeaks } from "./leaks.ts";

/** A test that gets a folder of its own, which is removed afterwards, and may leave nothing else, either. */
export function inFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return noLeaks(async () => {
    const folder = await Deno.realPath(await Deno.makeTempDir());
    try {
      await body(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
