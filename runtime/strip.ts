/**
 * Makes JavaScript of TypeScript by what the runtime has for that, keeping lines and columns where it can.
 *
 * @module
 */

import { builtin, deno, nodeProcess, runtime } from "./host.ts";

type Strip = (
  source: string,
  options: { mode: "strip" | "transform"; sourceMap?: boolean; sourceUrl?: string },
) => string;
type BunTranspiler = new (
  options: { loader: "ts"; trimUnusedImports: boolean },
) => { transformSync(source: string): string };

/** Whether this runtime, when it loads a TypeScript module itself, drops imports that are not used: they may be types. Bun's transpiler does that here, too. */
export const dropsUnusedImports: boolean = deno !== undefined;

/**
 * Strips the types of a module.
 *
 * @param source Its text.
 * @param url Where it is from, for source maps.
 * @returns JavaScript; undefined where the runtime cannot do that
 * @throws {SyntaxError} when the text is no TypeScript
 */
export async function stripTypes(source: string, url: string): Promise<string | undefined> {
  if (runtime === "bun") {
    const { Transpiler } = (globalThis as unknown as { Bun: { Transpiler: BunTranspiler } }).Bun;
    return new Transpiler({ loader: "ts", trimUnusedImports: true }).transformSync(source);
  }
  // 20 ms in Deno: not before there is something to strip.
  const { stripTypeScriptTypes: strip } = await builtin<{ stripTypeScriptTypes?: Strip }>("node:module");
  if (!strip) return;
  return quietly(() => {
    try {
      return strip(source, { mode: "strip" });
    } catch (refusal) {
      // Enums and the like need more than blanks. Node 26 has no other mode.
      try {
        return nameSource(strip(source, { mode: "transform", sourceMap: true, sourceUrl: url }), url);
      } catch {
        throw refusal;
      }
    }
  });
}

const MAP = /(\/\/# sourceMappingURL=data:application\/json;base64,)(\S+)\s*$/;

/** Gives a source map the module's name, which not every runtime writes into it, and leaves the text out, which would travel twice. */
function nameSource(code: string, url: string): string {
  return code.replace(MAP, (_, head, map) => {
    const { version, names, mappings } = JSON.parse(atob(map));
    return head + btoa(JSON.stringify({ version, sources: [url], names, mappings }));
  });
}

/** Keeps Node from announcing once more that its stripper is experimental. */
function quietly<T>(body: () => T): T {
  const host = nodeProcess as { emitWarning?: unknown } | undefined;
  if (!host) return body();
  const { emitWarning } = host;
  host.emitWarning = () => {};
  try {
    return body();
  } finally {
    host.emitWarning = emitWarning;
  }
}
