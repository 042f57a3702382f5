/**
 * Parting across in two: the kernel, which a BIOS boots, and bundles that use what the kernel has already, instead of bringing it along once more.
 *
 * @module
 */

import { dirname, join, relative } from "@std/path";
import type { Plugin } from "esbuild";
import { ROOT } from "./bundle.ts";

/** Where the kernel puts what others use of it. */
const KERNEL = `globalThis[Symbol.for("across.kernel")]`;

/** An import or re-export of names. Ours are all of this form. */
const NAMES = /^(?:import|export) \{([^}]*)\} from "(\.[^"]*)";/gm;

/** For each file of the kernel, the names that other bundles import from it. */
export type Shared = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Finds out what bundles use of the kernel.
 *
 * @param users Files of the bundles, relative to the project.
 * @param kernel Files of the kernel, likewise.
 */
export async function findShared(users: Iterable<string>, kernel: ReadonlySet<string>): Promise<Shared> {
  const shared = new Map<string, Set<string>>();
  for (const user of users) {
    if (kernel.has(user) || !user.endsWith(".ts")) continue;
    const source = await Deno.readTextFile(join(ROOT, user)).catch(() => "");
    for (const [, list, path] of source.matchAll(NAMES)) {
      const file = join(dirname(user), path!);
      if (!kernel.has(file)) continue;
      const names = shared.get(file) ?? new Set();
      for (const part of list!.split(",").map((part) => part.trim())) {
        if (part && !part.startsWith("type ")) names.add(part.split(" as ")[0]!);
      }
      shared.set(file, names);
    }
  }
  return new Map([...shared].sort(([a], [b]) => a < b ? -1 : 1));
}

/** The kernel's first module: gives away what others use, and boots. */
export function kernelEntry(shared: Shared): string {
  let imports = `import { boot } from "./bios/boot.ts";\n`, list = "";
  for (const [file, names] of shared) {
    const sorted = [...names].sort();
    const prefix = file.replace(/\W/g, "_");
    imports += `import { ${sorted.map((name) => `${name} as ${prefix}_${name}`).join()} } from "./${file}";\n`;
    list += `${JSON.stringify(file)}: { ${sorted.map((name) => `${name}: ${prefix}_${name}`).join()} },`;
  }
  return `${imports}\n${KERNEL} = {${list}};\nboot(init);\n`;
}

/** Has a bundle take what the kernel has from there. */
export function fromKernel(shared: Shared): Plugin {
  return {
    name: "from-kernel",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const file = relative(ROOT, join(resolveDir, path));
        return shared.has(file) ? { path: file, namespace: "kernel" } : undefined;
      });
      onLoad({ filter: /./, namespace: "kernel" }, ({ path }) => ({
        contents: `export const { ${[...shared.get(path)!].sort().join()} } = ${KERNEL}[${JSON.stringify(path)}];`,
        loader: "js",
      }));
    },
  };
}
