/**
 * URLs that contain a module themselves. They need no import hook, which takes 15 ms to install in Deno and 30 in Node 20, and are all that Deno has
 * before 2.8; but what is in them can only import what has a URL already, so there are no cycles.
 *
 * @module
 */

import { deno, runtime, runtimeVersion } from "./host.ts";

/** Larger graphs are better off with a hook: the source maps take 0.25 ms per KiB. */
const WORTHWHILE = 40_000;
/** Each `data:` URL contains those of all modules that it imports: longer ones would grow out of hand. */
const LONGEST = 1 << 18;

/** Whether a version is older than one that is given as 1000 times its first number plus the second. */
const before = (version: string, other: number): boolean => {
  const [major, minor] = version.split(".");
  return Number(major) * 1000 + Number(minor) < other;
};
const oldDeno = deno && before(deno.version.deno, 2008);
const oldNode = runtime === "node" && before(runtimeVersion, 22015);

/** Whether modules of this size altogether should get URLs of their own. Where `module.registerHooks` costs nothing, that is never so. */
export function prefersModuleUrls(size: number): boolean {
  return deno ? oldDeno! || size < WORTHWHILE : oldNode;
}

/**
 * The URL of a module with this text.
 *
 * @param source JavaScript, in which imported modules stand by their URLs.
 * @param id What stack traces are to call it.
 * @returns undefined when the text is too long
 */
export function moduleUrl(source: string, id: string): string | undefined {
  if (deno) {
    // Deno does not heed sourceURL, but it does heed source maps.
    const text = source.includes("\n//# sourceMappingURL=") ? source : source + sameMap(source, id);
    return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  }
  const text = new TextEncoder().encode(`${source}\n//# sourceURL=${id}`);
  if (text.length > LONGEST) return;
  const { Buffer } = globalThis as unknown as {
    Buffer: { from(bytes: Uint8Array): { toString(as: "base64"): string } };
  };
  return `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
}

/** Frees what a URL holds. */
export function freeModuleUrl(url: string): void {
  URL.revokeObjectURL(url);
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
