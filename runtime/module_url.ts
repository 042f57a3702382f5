/**
 * URLs that contain a module themselves. They need no import hook, which takes 15 ms to install in Deno 2.9 and 30 in Node 20, and are all that Deno
 * has before 2.8, and browsers ever; but what is in them can only import what has a URL already, so there are no cycles.
 *
 * @module
 */

import { deno, nodeProcess, runtime, runtimeVersion } from "./host.ts";

/** Each `data:` URL contains those of all modules that it imports: longer ones would grow out of hand. */
const LONGEST = 1 << 18;

/** Major and minor version as one number. */
const [major, minor] = runtimeVersion.split(".");
const version = Number(major) * 1000 + Number(minor);

/**
 * Whether modules should get URLs of their own rather than a hook. Where `module.registerHooks` costs nothing (Node, and Deno 2.8) that is never so. In
 * Deno 2.9 it costs 15 ms, and URLs 1 ms for each module and 4 KiB.
 */
export function prefersModuleUrls(modules: number, size: number): boolean {
  if (runtime === "deno") return version < 2008 || version > 2008 && modules + size / 4000 < 12;
  return runtime === "other" || runtime === "node" && version < 22015;
}

/**
 * The URL of a module with this text.
 *
 * @param source JavaScript, in which imported modules stand by their URLs.
 * @param id What stack traces are to call it.
 * @returns undefined when the text is too long, or has a source map of its own that would not be heeded
 */
export function moduleUrl(source: string, id: string): string | undefined {
  const mapped = source.includes("\n//# sourceMappingURL=");
  const name = `\n//# sourceURL=${id}`;
  if (deno || runtime === "other") {
    // Deno does not heed sourceURL, but it does heed source maps.
    const named = mapped ? source : source + (deno ? sameMap(source, id) : name);
    return URL.createObjectURL(new Blob([named], { type: "text/javascript" }));
  }
  // Node heeds the one or the other.
  const text = new TextEncoder().encode(source + name);
  if (mapped || text.length > LONGEST) return;
  const { Buffer } = globalThis as unknown as {
    Buffer: { from(bytes: Uint8Array): { toString(as: "base64"): string } };
  };
  return `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
}

/** Frees what a URL holds. */
export function freeModuleUrl(url: string): void {
  URL.revokeObjectURL(url);
}

/** Has stack traces follow the source maps of modules, where that is not so anyway. */
export function heedSourceMaps(): void {
  (nodeProcess as { setSourceMapsEnabled?(on: boolean): void } | undefined)?.setSourceMapsEnabled?.(true);
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** One number of a source map. */
function digits(value: number): string {
  let rest = value < 0 ? -value * 2 + 1 : value * 2, text = "";
  do {
    text += DIGITS[rest & 31 | (rest > 31 ? 32 : 0)];
    rest >>>= 5;
  } while (rest);
  return text;
}

/** A source map that says of each word that it is where it is, in the file called `id`. */
function sameMap(source: string, id: string): string {
  let line = 0, column = 0;
  const mappings = source.split("\n").map((text, at) => {
    let last = 0;
    return [...text.matchAll(/[\w$]+/g)].map(({ index }) => {
      const segment = `${digits(index - last)}A${digits(at - line)}${digits(index - column)}`;
      last = column = index;
      line = at;
      return segment;
    }).join();
  }).join(";");
  const map = JSON.stringify({ version: 3, sources: [id], names: [], mappings });
  return `\n//# sourceMappingURL=data:application/json;base64,${btoa(map)}`;
}
