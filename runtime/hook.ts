/**
 * Chooses the runtime's way to make a module importable that is no file. The ways themselves are in `hook_*.ts` and `module_url.ts`.
 *
 * @module
 */

import { runtime } from "./host.ts";
import type { ImportHook } from "./import_hook.ts";
import { bunHook } from "./hook_bun.ts";
import { syncHook } from "./hook_sync.ts";
import { threadHook } from "./hook_thread.ts";

let hook: Promise<ImportHook | undefined> | undefined;

/** Installs the import hook, the first time. Undefined in a Deno before 2.8, and in what is none of the three runtimes. */
export function importHook(): Promise<ImportHook | undefined> {
  return hook ??= runtime === "bun" || runtime === "other"
    ? Promise.resolve(runtime === "bun" ? bunHook() : undefined)
    : syncHook().then((found) => found ?? (runtime === "node" ? threadHook() : undefined));
}
