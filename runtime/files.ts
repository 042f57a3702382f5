/**
 * Reads the files of exported modules, and how the running program resolves names.
 *
 * @module
 */

import { builtin, deno, nodeProcess, runtime } from "./host.ts";

/** What is used of `node:fs/promises`. */
interface Files {
  readFile(path: URL): Promise<Uint8Array>;
  realpath(path: URL): Promise<string>;
}
/** What is used of Bun. */
interface BunResolver {
  resolveSync(specifier: string, parent: string): string;
  fileURLToPath(url: URL): string;
  pathToFileURL(path: string): URL;
}
const files = () => builtin<Files>("node:fs/promises");

/** Reads what is at a URL: a file, else by `fetch`. */
export async function readUrl(url: string): Promise<Uint8Array> {
  const it = new URL(url);
  if (it.protocol === "file:") return await (deno ?? await files()).readFile(it);
  const response = await fetch(it);
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${response.status} ${response.statusText}`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/** The path of a file when all links are followed. */
export async function realPath(url: string): Promise<string> {
  return deno ? await deno.realPath(new URL(url)) : await (await files()).realpath(new URL(url));
}

/** Adds text to the end of a file, which is made if there is none, before it returns. */
export function appendText(path: string, text: string): void {
  if (deno) return deno.writeTextFileSync(path, text, { append: true });
  (builtin("node:fs") as { appendFileSync(path: string, text: string): void }).appendFileSync(path, text);
}

/** Begins a file with a text, unless it has one: of several processes that do so at once, one does. */
export function beginText(path: string, text: string): void {
  const fs = deno ?? (builtin("node:fs") as {
    statSync(path: string): { readonly size: number };
    writeFileSync(path: string, text: string, init: { flag: string }): void;
  });
  try {
    if ("writeTextFileSync" in fs) fs.writeTextFileSync(path, text, { createNew: true });
    else fs.writeFileSync(path, text, { flag: "wx" });
  } catch (error) {
    const { name, code } = error as { name: string; code?: string };
    if (name !== "AlreadyExists" && code !== "EEXIST") throw error;
    if (fs.statSync(path).size === 0) appendText(path, text);
  }
}

/** The working directory. */
export function workingDirectory(): string {
  return deno ? deno.cwd() : (nodeProcess as { cwd?(): string } | undefined)?.cwd?.() ?? "/";
}

/** The URL of the working directory, ending in `/`. */
export function workingDirectoryUrl(): string {
  const slashed = workingDirectory().replaceAll("\\", "/").replace(/\/?$/, "/").replace(/[%?#]/g, encodeURIComponent);
  return new URL(`file://${slashed[0] === "/" ? "" : "/"}${slashed}`).href;
}

/**
 * Resolves a name by the running program's import map, without reaching for the network.
 *
 * @returns undefined when it has no such name
 */
export function resolveName(name: string): string | undefined {
  // Bun would install a package of that name.
  if (runtime === "bun") return;
  try {
    return import.meta.resolve(name);
  } catch {
    return;
  }
}

/** Resolves a relative specifier as the runtime does: Bun finds files without their extension, too. */
export function resolveRelative(specifier: string, parent: string): string {
  const url = new URL(specifier, parent);
  if (runtime === "bun" && url.protocol === "file:") {
    try {
      const { Bun } = globalThis as unknown as { Bun: BunResolver };
      const found = Bun.pathToFileURL(Bun.resolveSync(specifier, Bun.fileURLToPath(new URL(".", parent))));
      // Where it only followed a link, the link is what was meant.
      const last = /[^/]*$/;
      if (last.exec(found.pathname)![0] !== last.exec(url.pathname)![0]) return found.href;
    } catch {
      // It will be missed when it is read.
    }
  }
  return url.href;
}
