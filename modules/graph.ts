/**
 * The exporting side: which modules the peer may read, and what each of them imports. Nothing here ever runs a module.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { readUrl, realPath, resolveName, resolveRelative } from "../runtime/files.ts";
import { dropsUnusedImports, stripTypes } from "../runtime/strip.ts";
import { dropUnusedImports, prepare, scanImports } from "./imports.ts";
import { installedSource } from "./installed.ts";
import { IMPORTER, type ModuleSource } from "./source.ts";
import "./text_names.ts";

/** Files that are read at one time. */
const READERS = 64;
/** Across itself, however it is called. */
const SELF = /^(?:(?:jsr|npm):\/?)?@x\/across(?:@[^/]*)?(\/.*)?$/;
const SCHEME = /^[a-z][a-z\d+.-]*:/i;
/** What the far end resolves as we do, wherever it stands. */
const SAME = /^(?:node|https?|data|blob):/;

/** Where Deno keeps the packages of npm, and with them name and version: `npm/REGISTRY/NAME/VERSION/`, `node_modules/.deno/SCOPE+NAME@VERSION/`. */
const CACHED = /\/(?:npm\/[^/]+|node_modules\/\.deno)\/((?:@[^/+]+[/+])?[^/@]+)[/@](\d[^/_]*)[^/]*\//;

/** What a {@linkcode ModuleGraph} is told about this process. */
export interface ModuleGraphInit {
  /** URLs of across's own entry points here, and what each is for the peer (`@x/across` or `@x/across/ENTRY`). */
  readonly selfUrls?: ReadonlyMap<string, string>;
  /** The source (types stripped) of an entry point of across that the core does not contain. */
  entry?(name: string): Promise<string | undefined> | string | undefined;
}

/** A module as it was read, and what of it is ours to serve. */
interface Loaded {
  readonly module: ModuleSource;
  /** Ids of modules that travel with it. */
  readonly own: readonly string[];
}

/** How a text was stripped, for connections to come: a module is the same for as long as the process lives. */
const stripped = new Map<string, { readonly text: string; readonly code: string }>();

/** Serves the sources of exported modules. */
export class ModuleGraph {
  readonly #init: ModuleGraphInit;
  /** Modules that were exported, or are imported by such. */
  readonly #files = new Set<string>();
  readonly #directories = new Map<string, Promise<string>>();
  readonly #resolvers = new Map<string, (specifier: string) => string>();
  readonly #loaded = new Map<string, Promise<Loaded>>();

  /** Makes a graph that serves nothing yet. */
  constructor(init: ModuleGraphInit = {}) {
    this.#init = init;
  }

  /**
   * Serves a module and what it imports, or a directory.
   *
   * @param root URL of a module; or one that ends in `/`, to serve what modules import from below it.
   * @param resolve `import.meta.resolve` of the module, where one has it.
   */
  allow(root: string, resolve?: (specifier: string) => string): void {
    const url = new URL(root).href;
    if (url.endsWith("/")) {
      if (this.#directories.has(url)) return;
      const real = realPath(url);
      real.catch(() => {});
      this.#directories.set(url, real);
    } else {
      this.#files.add(url);
      if (resolve) this.#resolvers.set(url, resolve);
    }
  }

  /** Whether the peer may ask for a module, as far as is known without reading anything. */
  serves(id: string): boolean {
    return !this.#refusal(id);
  }

  /**
   * Reads modules and all that they import, but what is known.
   *
   * @returns The modules; in the place of an import that cannot be served there is one of kind `error`, so that only who imports it fails
   * @throws {OperationError} when one of `ids` cannot be served
   */
  async collect(ids: readonly string[], known: ReadonlySet<string>): Promise<ModuleSource[]> {
    const found = new Map<string, ModuleSource>();
    const seen = new Set([...known, ...ids]);
    let queue = ids.filter((id) => !known.has(id));
    const wanted = new Set(queue);
    while (queue.length) {
      const now = queue.slice(0, READERS), next = queue.slice(READERS);
      for (const [index, loaded] of (await Promise.allSettled(now.map((id) => this.#load(id)))).entries()) {
        const id = now[index]!;
        if (loaded.status === "rejected") {
          if (wanted.has(id)) throw loaded.reason;
          found.set(id, { id, kind: "error", source: loaded.reason.message, imports: {}, at: [] });
          continue;
        }
        found.set(id, loaded.value.module);
        for (const own of loaded.value.own) {
          // What is merely below an exported directory has no claim on what is not.
          if (this.#files.has(id) || own.startsWith("@")) this.#files.add(own);
          if (!seen.has(own)) next.push(own);
          seen.add(own);
        }
      }
      queue = next;
    }
    return [...found.values()];
  }

  #load(id: string): Promise<Loaded> {
    let loaded = this.#loaded.get(id);
    if (!loaded) {
      loaded = this.#read(id);
      this.#loaded.set(id, loaded);
      // What failed may be there the next time.
      loaded.catch(() => this.#loaded.delete(id));
    }
    return loaded;
  }

  /** Why a module is not served. */
  #refusal(id: string): string | undefined {
    if (this.#files.has(id)) return;
    const { href, pathname } = URL.canParse(id) ? new URL(id) : { href: "", pathname: "" };
    const directory = href === id && [...this.#directories.keys()].find((it) => id.startsWith(it));
    if (!directory) return "it is not part of what was exported: export it, or the directory that it is in";
    return hidden(pathname.slice(new URL(directory).pathname.length));
  }

  async #read(id: string): Promise<Loaded> {
    const refuse = (why: string, cause?: unknown): never => {
      throw new OperationError(`Cannot serve "${id}": ${why}`, { cause });
    };
    const refusal = this.#refusal(id);
    if (refusal) refuse(refusal);
    const entry = id.startsWith("@x/across/");
    const installed = installedSource(id);
    if (installed) {
      return { module: installed, own: Object.values(installed.imports).filter((to) => installedSource(to)) };
    }
    const asDefault = (value: string): Loaded => ({
      module: { id, kind: "js", source: `export default ${value}`, imports: {}, at: [] },
      own: [],
    });
    const [url, as] = id.split("#") as [string, string?];
    const kind = entry ? "js" : kindOf(url, as);
    if (typeof kind === "object") refuse(kind.why);
    let bytes: Uint8Array;
    try {
      if (!this.#files.has(id)) await this.#checkLinks(url, refuse);
      bytes = entry ? new TextEncoder().encode(await this.#init.entry?.(id)) : await readUrl(url);
    } catch (error) {
      if (error instanceof OperationError) throw error;
      return refuse(`it cannot be read (${(error as Error)?.message})`, error);
    }
    if (kind === "bytes") {
      let binary = "";
      for (const byte of bytes) binary += String.fromCharCode(byte);
      return asDefault(`Uint8Array.from(atob("${btoa(binary)}"), (c) => c.charCodeAt(0))`);
    }
    const text = new TextDecoder().decode(bytes);
    if (kind === "text") return asDefault(JSON.stringify(text));
    if (kind === "json") return asDefault(`JSON.parse(${JSON.stringify(text)})`);
    let code = text;
    if (/\.m?ts$/.test(new URL(url, "file:").pathname)) {
      try {
        code = await this.#strip(url, text, refuse);
      } catch (error) {
        if (error instanceof OperationError) throw error;
        refuse(`its types cannot be stripped (${(error as Error)?.message})`, error);
      }
    }
    if (code.includes(`${IMPORTER}(`)) refuse(`the name "${IMPORTER}" is reserved for the import of modules`);
    return this.#link(id, code);
  }

  async #strip(url: string, text: string, refuse: (why: string) => never): Promise<string> {
    const before = stripped.get(url);
    if (before?.text === text) return before.code;
    let code = await stripTypes(text, url);
    if (code === undefined) {
      return refuse(
        "exporting TypeScript takes Deno 2.9, Node 22.13 or Bun: export built JavaScript, or use one of these",
      );
    }
    if (dropsUnusedImports) code = dropUnusedImports(code);
    stripped.set(url, { text, code });
    return code;
  }

  /** Resolves the imports of a module, which become available with it. */
  #link(id: string, code: string): Loaded {
    const scan = scanImports(code);
    const imports: Record<string, string> = Object.create(null);
    const own = new Set<string>();
    const { source, at } = prepare(code, scan, (site) => {
      const to = this.#resolve(site, id);
      if (to !== site.specifier) imports[site.specifier] = to;
      if (!this.#travels(to, id)) return SAME.test(to) ? "same" : "other";
      own.add(to);
      const resolve = this.#resolvers.get(id);
      if (resolve) this.#resolvers.set(to, resolve);
      return "own";
    });
    return { module: { id, kind: "js", source, imports, at }, own: [...own] };
  }

  /** Whether the target of an import is ours to send; what is not, the peer finds by itself. */
  #travels(to: string, from: string): boolean {
    if (to.startsWith("@x/across")) return to !== "@x/across" && !!this.#init.entry;
    // What a module from the network imports is served when that was exported itself; otherwise all of it is within the peer's reach.
    return to.startsWith("file:") || /^https?:/.test(from) && to.startsWith(new URL(from).origin);
  }

  #resolve({ specifier, type }: { specifier: string; type?: string }, parent: string): string {
    let to = this.#resolveName(specifier, parent);
    const name = this.#init.selfUrls?.get(to) ?? to;
    const self = SELF.exec(name);
    if (self) return `@x/across${self[1] ?? ""}`;
    if (to.startsWith("file:") && (type === "text" || type === "bytes")) to = `${to.split("#")[0]}#${type}`;
    return to;
  }

  #resolveName(specifier: string, parent: string): string {
    if (/^\.{0,2}\//.test(specifier)) {
      return URL.canParse(specifier, parent) ? resolveRelative(specifier, parent) : specifier;
    }
    if (SCHEME.test(specifier)) return URL.canParse(specifier) ? new URL(specifier).href : specifier;
    if (SELF.test(specifier)) return specifier;
    let to: string | undefined;
    try {
      to = (this.#resolvers.get(parent) ?? resolveName)(specifier);
    } catch {
      // It stays as it is.
    }
    return to && !/\/node_modules\//.test(to) && !CACHED.test(to) ? to : packageName(specifier, to);
  }

  /** A file below a directory must be there in truth, too, not by way of a link. */
  async #checkLinks(url: string, refuse: (why: string) => never): Promise<void> {
    let why = "";
    for (const [directory, root] of this.#directories) {
      if (!url.startsWith(directory)) continue;
      const [top, path] = [(await root).replace(/[/\\]*$/, ""), await realPath(url)];
      const below = path.startsWith(top) && /^[/\\]/.test(path.slice(top.length));
      why = below
        ? hidden(path.slice(top.length)) ?? ""
        : "it is a link to something outside of the exported directory";
      if (!why) return;
    }
    refuse(why);
  }
}

/** Why nothing of that path below an exported directory is served. */
function hidden(path: string): string | undefined {
  if (/(?:^|[/\\])\./.test(path) || /%(?:2f|5c|00|2e)/i.test(path)) {
    return "files and directories whose names begin with a dot are not exported";
  }
  return undefined;
}

/** Installed packages are not ours to send. The far end needs to know where they are from, and best which version. */
function packageName(specifier: string, found = ""): string {
  const [, name, version] = CACHED.exec(found) ?? [];
  if (!name) return specifier;
  const own = name.replace("+", "/");
  const path = specifier.startsWith(`${own}/`) ? specifier.slice(own.length) : "";
  return `npm:${own}@${version}${path}`;
}

/** What a file is for an import, or why it is nothing. */
function kindOf(url: string, as: string | undefined): "js" | "json" | "text" | "bytes" | { why: string } {
  if (as === "text" || as === "bytes") return as;
  const extension = /\.(\w+)$/.exec(new URL(url).pathname)?.[1]?.toLowerCase();
  switch (extension) {
    case "json":
      return "json";
    case undefined:
    case "js":
    case "mjs":
    case "ts":
    case "mts":
      return "js";
    case "cjs":
    case "cts":
      return { why: "CommonJS modules cannot be exported: make it an ES module" };
    case "jsx":
    case "tsx":
      return { why: "JSX cannot be exported: compile it to JavaScript first" };
    default:
      return {
        why:
          `".${extension}" is no JavaScript, TypeScript or JSON: import it with { type: "text" } or { type: "bytes" }`,
      };
  }
}
