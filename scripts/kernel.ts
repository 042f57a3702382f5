/**
 * Parting across: the kernel, which a BIOS boots; its extension, which is run among the kernel's names; and bundles that use what these two have,
 * instead of bringing it along once more.
 *
 * Kernel and extension are bundled and shortened as one program, which is then cut in two. So the extension calls what the kernel has by its short
 * names, for which the kernel needs to give nothing away. Declarations that the kernel does not use go to the extension, whichever file they are in.
 *
 * @module
 */

import { dirname, join, relative } from "@std/path";
import type { Plugin } from "esbuild";
// deno-lint-ignore no-import-prefix -- nothing but this script needs it
import type { Node } from "npm:acorn@8.19.0";
// deno-lint-ignore no-import-prefix -- as above
import { parse } from "npm:acorn@8.19.0";
import type { Bundle } from "./bundle.ts";
import { bundle, ROOT, shorten } from "./bundle.ts";
import { inlineConstants } from "./constants.ts";

/** Where the extension puts what others use of both. */
const SHARED = `globalThis[Symbol.for("across.kernel")]`;

/** What stack traces call both where they were booted. `session/stacks.ts` looks for it. */
export const KERNEL_URL = "across:core";

/** Where the program is cut. */
const CUT = "debugger;";

/** An import or re-export of names. Ours are all of this form. */
const NAMES = /^(?:import|export) \{([^}]*)\} from "(\.[^"]*)";/gm;

/** For each file of the kernel and its extension, the names that other bundles import from it. */
export type Shared = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Finds out what bundles use of the kernel and its extension.
 *
 * @param users Files of the bundles, relative to the project.
 * @param files Files of kernel and extension, likewise.
 */
export async function findShared(users: Iterable<string>, files: Iterable<string>): Promise<Shared> {
  const shared = new Map([...files].sort().map((file) => [file, new Set<string>()]));
  for (const user of users) {
    if (shared.has(user) || !user.endsWith(".ts")) continue;
    const source = await Deno.readTextFile(join(ROOT, user)).catch(() => "");
    for (const [, list, path] of source.matchAll(NAMES)) {
      const names = shared.get(join(dirname(user), path!));
      for (const part of list!.split(",").map((part) => part.trim())) {
        if (part && !part.startsWith("type ")) names?.add(part.split(" as ")[0]!);
      }
    }
  }
  return shared;
}

/** All shared names in their order, which tells them apart. */
function* sharedNames(shared: Shared): Generator<readonly [file: string, name: string]> {
  for (const [file, names] of shared) {
    for (const name of [...names].sort()) yield [file, name];
  }
}

/** The first module of the kernel, and that of the extension, which gives away what others use. */
const entries = (shared: Shared): Readonly<Record<string, string>> => {
  const names = [...sharedNames(shared)];
  const imports = names.map(([file, name], index) => `import { ${name} as shared${index} } from "./${file}";`);
  return {
    kernel: `import { boot } from "./bios/boot.ts"; boot(init);`,
    extension: `import "./session/extended.ts"; ${imports.join("\n")}
      ${SHARED} = [${names.map((_, index) => `shared${index}`).join()}];`,
  };
};

/** Makes modules of these texts, as `entry:NAME`. */
const fromTexts = (texts: Readonly<Record<string, string>>): Plugin => ({
  name: "from-texts",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^entry:/ }, ({ path }) => ({ path: path.slice(6), namespace: "entry" }));
    onLoad({ filter: /./, namespace: "entry" }, ({ path }) => ({ contents: texts[path]!, resolveDir: ROOT }));
  },
});

/** Names that a piece of a program uses, and maybe some more. */
function namesIn(node: Node, names: Set<string> = new Set()): Set<string> {
  if (node.type === "Identifier") names.add((node as Node & { name: string }).name);
  const { computed, shorthand } = node as { computed?: boolean; shorthand?: boolean };
  for (const [key, child] of Object.entries(node)) {
    // Names of properties are none of variables.
    if (!computed && (key === "property" || key === "key" && !shorthand)) continue;
    for (const part of Array.isArray(child) ? child : [child]) {
      if (typeof part?.type === "string") namesIn(part, names);
    }
  }
  return names;
}

/** A part of a program: the declaration of one name, or a statement that does something. */
interface Part {
  readonly text: string;
  /** The file that it comes from; none where esbuild made it. */
  readonly file: string | undefined;
  readonly declares: string | undefined;
  readonly uses: ReadonlySet<string>;
}

/** Takes a bundle apart. */
function partsOf(text: string): Part[] {
  /** Where what comes from which file begins: esbuild says so before it. */
  const files = [...text.matchAll(/^\/\/ ([\w./:-]+)$/gm)].map(({ 1: file, index }) => ({ file: file!, index }));
  const textOf = ({ start, end }: Node): string => text.slice(start, end);
  return parse(text, { ecmaVersion: 2022, sourceType: "module" }).body.flatMap((statement): Part[] => {
    const file = files.findLast(({ index }) => index < statement.start)?.file;
    const part = (node: Node, declares?: string, text = textOf(node)): Part => {
      return { text, file, declares, uses: namesIn(node) };
    };
    if (statement.type === "FunctionDeclaration" || statement.type === "ClassDeclaration") {
      return [part(statement, statement.id.name)];
    }
    if (statement.type !== "VariableDeclaration") return [part(statement)];
    return statement.declarations.map((node) => part(node, textOf(node.id), `${statement.kind} ${textOf(node)};`));
  });
}

/** Cuts a bundle in two. */
function cut(text: string, isKernel: (file: string) => boolean): Kernel {
  const parts = partsOf(text);
  const byName = new Map(parts.map((part) => [part.declares, part]));
  const needed = new Set(parts.filter(({ file, declares }) => !declares && file && isKernel(file)));
  // A set goes on to what is added meanwhile.
  for (const { uses } of needed) {
    for (const name of uses) if (byName.has(name)) needed.add(byName.get(name)!);
  }
  const texts = [parts.filter((part) => needed.has(part)), parts.filter((part) => !needed.has(part))];
  const sizes = new Map<string, [number, number]>();
  texts.forEach((part, index) =>
    part.forEach(({ text, file = "esbuild" }) => {
      const size = sizes.get(file) ?? [0, 0];
      size[index]! += text.length;
      sizes.set(file, size);
    })
  );
  const [kernel, extension] = texts.map((part) => part.map(({ text }) => text).join("\n"));
  return { kernel: kernel!, extension: extension!, parts: sizes };
}

/** Kernel and extension. */
export interface Kernel {
  /** The body of a function that is called with `init`. */
  readonly kernel: string;
  /** A script that is evaluated in the scope of that function. */
  readonly extension: string;
  /** For each file, how much of it is in the one and in the other, before names are shortened. */
  readonly parts: ReadonlyMap<string, readonly [kernel: number, extension: number]>;
}

/** Bundles entries of {@linkcode entries}. */
async function bundleEntries(
  texts: Readonly<Record<string, string>>,
  names: readonly string[],
): Promise<Bundle> {
  const contents = names.map((name) => `import "entry:${name}";`).join("\n");
  const made = await bundle({
    stdin: { contents, resolveDir: ROOT, sourcefile: "entries" },
    // Uses of import.meta are made for places where it knows nothing.
    define: { "import.meta.resolve": "undefined", "import.meta.url": JSON.stringify(KERNEL_URL) },
  }, [fromTexts(texts)]);
  for (const [file, { imports }] of Object.entries(made.metafile.inputs)) {
    for (const { path, kind, external } of imports) {
      if (external && kind !== "dynamic-import") {
        throw new Error(
          `"${file}" imports "${path}" statically, which a function cannot: use builtin() of runtime/host.ts`,
        );
      }
    }
  }
  return made;
}

/** Makes kernel and extension. */
export async function bundleKernel(shared: Shared): Promise<Kernel> {
  const texts = entries(shared);
  const own = new Set(Object.keys((await bundleEntries(texts, ["kernel"])).metafile.inputs));
  const { text } = await bundleEntries(texts, ["kernel", "extension"]);
  const long = cut(inlineConstants(text), (file) => own.has(file));
  const [kernel, extension, more] = (await shorten(`${long.kernel}\n${CUT}\n${long.extension}`)).split(CUT);
  if (!extension || more !== undefined) throw new Error("Cannot tell the kernel from its extension");
  const evaluate = "init.evaluate=function(){return eval(arguments[0])};";
  return {
    // Unlike a module's, the code of a function is sloppy unless it says otherwise.
    kernel: `"use strict";${evaluate}${kernel}\n//# sourceURL=${KERNEL_URL}`,
    extension: `${extension}\n//# sourceURL=${KERNEL_URL}`,
    parts: long.parts,
  };
}

/** Has a bundle take what kernel and extension have from there. */
export function fromKernel(shared: Shared): Plugin {
  const numbers = new Map([...sharedNames(shared)].map(([file, name], index) => [`${file} ${name}`, index]));
  return {
    name: "from-kernel",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => {
        const file = relative(ROOT, join(resolveDir, path));
        return shared.has(file) ? { path: file, namespace: "kernel" } : undefined;
      });
      onLoad({ filter: /./, namespace: "kernel" }, ({ path }) => ({
        contents: [...shared.get(path)!].map((name) =>
          `export const ${name} = ${SHARED}[${numbers.get(`${path} ${name}`)}];`
        ).join("\n"),
      }));
    },
  };
}
