/**
 * What specifiers mean to this runtime itself, for what is imported by modules that came from a peer but did not come with them.
 *
 * @module
 */

import { deno, runtime } from "./host.ts";
import { nodeIsWanted } from "./node_guard.ts";
import { workingDirectory, workingDirectoryUrl } from "./files.ts";

/** What is used of Bun. */
interface BunGlobal {
  readonly Bun: { resolveSync(specifier: string, parent: string): string };
}

/** `npm:NAME@VERSION/PATH` */
const NPM = /^npm:\/?((?:@[^/]+\/)?[^/@]+)(?:@[^/]*)?(\/.*)?$/;

/** Whether a specifier is the name of a package, which every place may resolve differently. */
export const isName = (specifier: string): boolean => !/^(?:\.{0,2}\/|[a-z][a-z\d+.-]*:)/i.test(specifier);

/** The specifier to use here. Relative ones are relative to the working directory. */
export function nativeSpecifier(specifier: string): string {
  if (/^\.{0,2}\//.test(specifier)) return new URL(specifier, workingDirectoryUrl()).href;
  if (/^n(?:ode|pm):/.test(specifier)) nodeIsWanted();
  if (!deno) specifier = specifier.replace(NPM, "$1$2");
  if (runtime !== "bun" || !isName(specifier)) return specifier;
  try {
    return (globalThis as unknown as BunGlobal).Bun.resolveSync(specifier, workingDirectory());
  } catch {
    // Bun will say so better.
    return specifier;
  }
}

/** Whether a specifier has to be imported from a module that the hook knows: Node does not look for packages from where the core is. */
export const needsHook = (specifier: string): boolean => runtime === "node" && isName(nativeSpecifier(specifier));
