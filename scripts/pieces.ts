/**
 * Pieces: parts of across that a booted end runs as a script among what kernel and extension have, as `kernel.ts` makes these, or imports as a module
 * like any entry point. What is in their files, other entry points take from them.
 *
 * @module
 */

import { join, relative } from "@std/path";
import type { Plugin } from "esbuild";
import type { Bundle } from "./bundle.ts";
import { bundle, ROOT } from "./bundle.ts";
import type { Shared } from "./kernel.ts";
import { findShared, fromKernel, KERNEL_URL } from "./kernel.ts";

/** What a piece consists of. */
export interface Piece {
  /** What it is imported as. */
  readonly specifier: string;
  /** Its files, and the names in them that others use. */
  readonly shared: Shared;
}

/** Where parts of across are found that are loaded. `modules/loader.ts` looks there. */
const LOADED = `globalThis[Symbol.for("across.core")]`;

/**
 * Finds out what a piece consists of.
 *
 * @param specifier What it is imported as.
 * @param file The first of its files.
 * @param shared What it takes from kernel and extension.
 * @param users Files that may use what is in it.
 */
export async function findPiece(
  specifier: string,
  file: string,
  shared: Shared,
  users: Iterable<string>,
): Promise<Piece> {
  const { metafile } = await bundle({ entryPoints: [join(ROOT, file)] }, [fromKernel(shared)]);
  const files = Object.keys(metafile.inputs).filter((input) => !input.startsWith("kernel:"));
  return { specifier, shared: await findShared([...users].filter((user) => !files.includes(user)), files) };
}

/** A piece as a module. */
export async function bundlePiece({ shared }: Piece, kernel: Shared): Promise<Bundle> {
  const exports = [...shared].filter(([, names]) => names.size > 0)
    .map(([file, names]) => `export { ${[...names].sort().join(", ")} } from "./${file}";`);
  return await bundle({ stdin: { contents: exports.join("\n"), resolveDir: ROOT, sourcefile: "piece" } }, [
    fromKernel(kernel),
  ]);
}

/**
 * Makes a script of a module that imports nothing, which leaves its exports where those of loaded parts are.
 *
 * @param text The module, shortened.
 * @param specifier What it is imported as.
 */
export function asScript(text: string, specifier: string): string {
  const [, body, list] = /^([^]*)export\s*\{([^{}]*)\};?\s*$/.exec(text) ?? [];
  if (body === undefined || /^import\b/m.test(body)) throw new Error(`Cannot make a script of "${specifier}"`);
  const exports = list!.split(",").map((part) => part.trim().split(" as ")).map(([own, name = own]) =>
    `${name}:${own}`
  );
  const result = `(${LOADED}??={})[${JSON.stringify(specifier)}]={${exports}}`;
  return `(()=>{"use strict";${body}${result}})();\n//# sourceURL=${KERNEL_URL}`;
}

/** Has a bundle take what is in a piece from there. */
export function fromPiece({ specifier, shared }: Piece): Plugin {
  return {
    name: "from-piece",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const file = relative(ROOT, join(resolveDir, path));
        return shared.has(file) ? { path: file, namespace: "piece" } : undefined;
      });
      onResolve({ filter: /./ }, ({ path }) => path === specifier ? { path, external: true } : undefined);
      onLoad({ filter: /./, namespace: "piece" }, ({ path }) => ({
        contents: `export { ${[...shared.get(path)!].join(", ")} } from ${JSON.stringify(specifier)};`,
      }));
    },
  };
}
