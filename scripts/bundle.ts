/**
 * Makes one small text of many modules, the same on every machine: bundled, with short names, compressed. What is bundled is in `embed.ts`.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";
import type { BuildOptions, Metafile, Plugin } from "esbuild";
import { build } from "esbuild";
// deno-lint-ignore no-import-prefix -- nothing but this script needs it
import { deflateAsync } from "npm:@gfx/zopfli@1.0.15";
// deno-lint-ignore no-import-prefix -- as above
import { minify } from "npm:terser@5.51.2";

/** The folder of the project. */
export const ROOT: string = fromFileUrl(new URL("../", import.meta.url));

const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  minifySyntax: true,
  write: false,
  metafile: true,
  platform: "neutral",
  // The oldest interpreter that is booted.
  target: ["es2022", "node20"],
  supported: { using: false },
  // Stage 1 decodes chunk by chunk.
  charset: "ascii",
  legalComments: "none",
  external: ["node:*"],
  // No configuration that lies about in a folder above may change anything.
  tsconfigRaw: { compilerOptions: { target: "es2022", useDefineForClassFields: true, verbatimModuleSyntax: true } },
  logLevel: "silent",
} as const satisfies BuildOptions;

/** A bundle, and what it was made from. */
export interface Bundle {
  readonly text: string;
  readonly metafile: Metafile;
}

/** Folder of a package from npm that one of our links stands upon. Deno knows where it put it. */
async function npmFolder(specifier: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", specifier], cwd: ROOT })
    .output();
  const { npmPackages } = JSON.parse(new TextDecoder().decode(stdout));
  for (const { localPath } of Object.values(npmPackages ?? {}) as { localPath?: string }[]) {
    if (localPath) return localPath;
  }
  throw new Error(`Cannot find the files of "${specifier}"`);
}

/** Takes `@std` in, through our links to npm. */
const withStd: Plugin = {
  name: "with-std",
  setup({ onResolve }) {
    onResolve({ filter: /^@std\// }, ({ path }) => ({ path: join(ROOT, "links", path.slice(5), "mod.ts") }));
    onResolve({ filter: /^npm:/ }, async ({ path }) => {
      const inside = path.replace(/^npm:(?:@[^/]+\/)?[^/]+/, "");
      return { path: join(await npmFolder(path), inside) };
    });
  },
};

/**
 * Bundles a module and what it imports, as a module.
 *
 * @param options What to bundle and how, for esbuild.
 * @param plugins What is treated otherwise.
 */
export async function bundle(options: BuildOptions, plugins: readonly Plugin[]): Promise<Bundle> {
  const result = await build({ ...COMMON, format: "esm", ...options, plugins: [...plugins, withStd] });
  for (const { text, location } of result.warnings) {
    throw new Error(`Cannot bundle: ${text} (${location?.file}:${location?.line})`);
  }
  // Modules that are loaded late are called by their paths, which lead to wherever this machine keeps those from npm.
  const text = result.outputFiles![0]!.text.replace(/"(?:\.\.\/)+[^"]*\/(deno-std\/[^"]*)"/g, '"$1"');
  return { text, metafile: result.metafile! };
}

/** Shortens the text of a module. `debugger` statements stay, and nothing is moved over one. */
export async function shorten(text: string): Promise<string> {
  const { code } = await minify(text, {
    ecma: 2020,
    module: true,
    compress: { passes: 2, drop_debugger: false },
    format: { ascii_only: true },
  });
  // What is left stands in regular expressions.
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return code!.replace(/[\u0080-\uffff]/g, escape);
}

/** Deflates as well as can be: 8 % better than zlib at its best, and the same everywhere. */
export async function pack(text: string): Promise<Uint8Array> {
  return await deflateAsync(new TextEncoder().encode(text), { numiterations: 15 });
}
