/**
 * The import rules of this project, enforced: who may import whom, no cycles, nothing external in what the far side runs, and runtime names in
 * `runtime/` only. `deno run -A scripts/check_imports.ts` prints the offenders and exits with 1 when there are any.
 *
 * Sizes and names of files are the business of `check_files.ts`.
 *
 * @module
 */

import { fromFileUrl, relative } from "@std/path";
import { projectFiles } from "./project_files.ts";

/** A part of the library and what it may import beside itself. A file belongs to the first part that its path matches. */
interface Layer {
  readonly name: string;
  readonly files: RegExp;
  readonly imports: readonly string[];
  /** Of layers that it may import only in part: which files. */
  readonly only?: Readonly<Record<string, RegExp>>;
}

const CORE = ["connection", "wires", "session", "modules", "transports", "wire", "bios", "runtime", "protocol"];

/** From the bottom up: a layer names only what stands above it in this list, so there can be no cycle between layers. */
const LAYERS: readonly Layer[] = [
  { name: "runtime", files: /^runtime\//, imports: [] },
  { name: "protocol", files: /^protocol\//, imports: [] },
  { name: "wire", files: /^transports\/wire\.ts$/, imports: [] }, // what transports promise to those above
  { name: "modules", files: /^modules\//, imports: ["runtime", "protocol"] },
  { name: "transports", files: /^transports\//, imports: ["wire", "runtime", "protocol"] },
  { name: "bios", files: /^bios\/(?!boot\.ts|worker\.ts)/, imports: ["runtime", "protocol"] },
  { name: "session", files: /^session\//, imports: ["modules", "wire", "runtime", "protocol"] },
  { name: "wires", files: /^wires\.ts$/, imports: ["wire", "transports", "bios", "runtime", "protocol"] },
  {
    name: "connection",
    files: /^connection\.ts$/,
    imports: CORE.filter((name) => name !== "connection"),
  },
  { name: "current", files: /^current\.ts$/, imports: ["connection", "session"] },
  { name: "boot", files: /^bios\/boot\.ts$/, imports: CORE },
  { name: "worker", files: /^bios\/worker\.ts$/, imports: ["boot", "transports", "wire", "runtime", "protocol"] },
  { name: "dial", files: /^dial\.ts$/, imports: CORE },
  { name: "mod", files: /^mod\.ts$/, imports: [...CORE, "current", "dial"] },
  // Everything else is built on the public face alone, but for the one message that carries log records.
  { name: "logging", files: /^logging\.ts$|^logging\//, imports: ["mod", "session", "runtime"] },
  // Handlers take what was accepted, prove it and pass it on as it is: they know of wires.
  {
    name: "servers",
    files: /^servers\//,
    imports: ["mod", "connection", "wires", "session", "wire", "runtime", "protocol"],
  },
  // Channels end with their connection and hold the event loop while they are waited for: they know of sessions.
  {
    name: "gateways",
    files: /^gateways\//,
    imports: ["mod", "servers", "wires", "session", "runtime", "protocol"],
  },
  // Faces whose object may be here or there are operators of their own; processes are started, and waited for. See objects/mod.ts.
  {
    name: "objects",
    files: /^objects\//,
    imports: ["mod", "wires", "session", "runtime", "protocol"],
    only: {
      session: /\/(?:faces|call|context|perform|lookup|marks|source|watch)\.ts$/,
      runtime: /\/(?:waiting|start_worker|host)\.ts$/,
      protocol: /\/messages\.ts$/,
    },
  },
  {
    name: "cli",
    files: /^(cli|across_bios)\.ts$|^cli\//,
    imports: ["mod", "servers", "gateways", "objects", "logging", "bios", "protocol"],
  },
];

/** Layers that run on our side only and may use `@std`. No other layer imports anything external, for the far side has nothing but us. */
const MAY_USE_STD = new Set(["cli"]);

/** Layers that may name a runtime: its globals and its `node:` modules. */
const MAY_NAME_RUNTIMES = new Set(["runtime", "cli"]);

interface Dependency {
  readonly specifier: string;
  readonly code?: { readonly specifier?: string; readonly span?: { readonly start: { readonly line: number } } };
  readonly type?: { readonly specifier?: string; readonly span?: { readonly start: { readonly line: number } } };
}

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly Dependency[];
}

const root = new URL("../", import.meta.url);
const offenders: string[] = [];

/** What Deno itself takes for the imports of the files, types included. */
async function moduleGraph(files: readonly string[]): Promise<readonly Module[]> {
  const folder = await Deno.makeTempDir();
  try {
    const entry = `${folder}/entry.ts`;
    await Deno.writeTextFile(
      entry,
      files.map((file) => `import ${JSON.stringify(new URL(file, root).href)};\n`).join(""),
    );
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", fromFileUrl(new URL("deno.json", root)), entry],
    }).output();
    if (code !== 0) throw new Error(`Cannot read the module graph: ${new TextDecoder().decode(stderr)}`);
    return JSON.parse(new TextDecoder().decode(stdout)).modules;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const layerOf = (file: string): Layer | undefined => LAYERS.find((layer) => layer.files.test(file));

/** Path of one of our own files, from the project's root. */
function ownFile(specifier: string): string | undefined {
  return specifier.startsWith(root.href) ? relative(fromFileUrl(root), fromFileUrl(specifier)) : undefined;
}

function checkDependency(file: string, layer: Layer, dependency: Dependency, graph: Map<string, string[]>): void {
  const found = dependency.code ?? dependency.type;
  const where = `${file}:${(found?.span?.start.line ?? 0) + 1}`;
  const target = found?.specifier === undefined ? undefined : ownFile(found.specifier);
  if (target === undefined || target.startsWith("links/")) {
    if (dependency.specifier.startsWith("node:")) {
      if (!MAY_NAME_RUNTIMES.has(layer.name)) {
        offenders.push(`${where}: only runtime/ may import "${dependency.specifier}"`);
      }
    } else if (!(MAY_USE_STD.has(layer.name) && dependency.specifier.startsWith("@std/"))) {
      offenders.push(`${where}: ${layer.name} may import nothing external, but imports "${dependency.specifier}"`);
    }
    return;
  }
  graph.get(file)?.push(target);
  const other = layerOf(target);
  if (!other) offenders.push(`${where}: "${target}" belongs to no layer and may not be imported by the library`);
  else if (other !== layer && !(layer.imports.includes(other.name) && (layer.only?.[other.name] ?? /^/).test(target))) {
    offenders.push(`${where}: ${layer.name} may not import ${other.name} ("${target}")`);
  }
}

/** Reports each cycle once, as the path that leads back to where it began. */
function checkCycles(graph: ReadonlyMap<string, readonly string[]>): void {
  const state = new Map<string, "open" | "done">();
  const path: string[] = [];
  const visit = (file: string): void => {
    if (state.get(file) === "done") return;
    if (state.get(file) === "open") {
      offenders.push(`Import cycle: ${[...path.slice(path.indexOf(file)), file].join(" -> ")}`);
      return;
    }
    state.set(file, "open");
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    state.set(file, "done");
  };
  for (const file of graph.keys()) visit(file);
}

/** Replaces comments and literals by blanks, so that what remains are names. Line numbers stay. */
function namesOnly(source: string): string {
  const blank = (text: string): string => text.replace(/[^\n]/g, " ");
  return source.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`/g,
    (text) => text[0] !== "`" ? blank(text) : text.replace(/(^|\})(?:\\[\s\S]|[^\\])*?(\$\{|$)/g, blank),
  );
}

function checkNames(file: string, source: string): void {
  const text = namesOnly(source);
  // A parameter may be called `process`: then the name is not the runtime's in that file.
  const own = /[(,{]\s*process\s*\??\s*[:,=)]|\b(?:const|let)\s+process\b/.test(text);
  for (
    const match of text.matchAll(
      /(?<![.\w$#])(Deno|Bun|process)\b(?!\s*\??:)|\bglobalThis\s*\.\s*(?:Deno|Bun|process)\b/g,
    )
  ) {
    if (match[1] === "process" && own) continue;
    const line = text.slice(0, match.index).split("\n").length;
    offenders.push(`${file}:${line}: only runtime/ may name ${match[0]}`);
  }
}

const files = (await projectFiles()).filter((file) => file.endsWith(".ts") && layerOf(file) !== undefined);
const graph = new Map<string, string[]>(files.map((file) => [file, []]));
for (const module of await moduleGraph(files)) {
  const file = ownFile(module.specifier);
  const layer = file === undefined ? undefined : layerOf(file);
  if (file === undefined || !layer) continue;
  for (const dependency of module.dependencies ?? []) checkDependency(file, layer, dependency, graph);
}
checkCycles(graph);
for (const file of files) {
  if (!MAY_NAME_RUNTIMES.has(layerOf(file)?.name ?? "")) checkNames(file, await Deno.readTextFile(new URL(file, root)));
}
for (const offender of offenders) console.error(offender);
console.error(`Checked the imports of ${files.length} files: ${offenders.length} offenders`);
Deno.exit(offenders.length > 0 ? 1 : 0);
