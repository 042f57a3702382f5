/**
 * The receiving side: makes modules that the peer sent importable here, under their original URLs. The ways to do that are in `runtime/`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { runtime, runtimeVersion } from "../runtime/host.ts";
import { importHook } from "../runtime/hook.ts";
import type { ImportHook } from "../runtime/import_hook.ts";
import { freeModuleUrl, heedSourceMaps, moduleUrl, prefersModuleUrls } from "../runtime/module_url.ts";
import { isName, nativeSpecifier, needsHook } from "../runtime/native_import.ts";
import { addOwner, dropOwner } from "./installed.ts";
import { IMPORTER, type ModuleSource } from "./source.ts";

/** What a {@linkcode ModuleLoader} needs from its session. */
export interface ModuleLoaderInit {
  /** Put before the ids where other peers may bring modules of the same names: empty where one peer owns the process, else unique to the connection (`across:/3/`). */
  readonly prefix: string;
  /** Asks the peer for a module and what it imports, minus what was sent before; gives what came. May be asked for one several times at once. */
  fetch(id: string): Promise<readonly ModuleSource[]>;
}

/** What an exported module gets in place of `import` and `import.meta`: see `IMPORTER`. */
type Importer = (id: string, args: readonly [specifier?: unknown, options?: ImportCallOptions]) => unknown;

const process = globalThis as unknown as Record<symbol, unknown>;
/** Entry points of across that are loaded here: name and namespace. */
const core = (): Record<string, object> => (process[Symbol.for("across.core")] ?? {}) as Record<string, object>;
const IMPORTERS = "across.importers";
const importers = (process[Symbol.for(IMPORTERS)] ??= []) as Importer[];

/** An entry point of across, or a piece of one, that is loaded here: its namespace. */
export function providedPart(id: string): object | undefined {
  return Object.hasOwn(core(), id) ? core()[id] : undefined;
}

/** Installs and imports what one peer exported. */
export class ModuleLoader {
  readonly #init: ModuleLoaderInit;
  readonly #modules = new Map<string, ModuleSource>();
  /** Modules that mean something in this process only. */
  readonly #local = new Map<string, ModuleSource>();
  /** Where each linked module is importable. */
  readonly #urls = new Map<string, string>();
  readonly #metas = new Map<string, object>();
  #hook: ImportHook | undefined;
  #number = 0;

  /** Makes a loader; nothing is installed in the runtime before it is needed. */
  constructor(init: ModuleLoaderInit) {
    this.#init = init;
  }

  /** Takes modules in; what is there already stays. Runs nothing. */
  install(modules: readonly ModuleSource[]): void {
    // What came from one of several peers must not pass for a module of this program.
    if (!this.#init.prefix) addOwner(this);
    for (const module of modules) if (!this.#modules.has(module.id)) this.#modules.set(module.id, withOffsets(module));
  }

  /** The source of a module, if it is here. */
  source(id: string): ModuleSource | undefined {
    return this.#modules.get(id);
  }

  /**
   * Imports a module: one that the peer sent, or would send, else one of the runtime's own, relative to the working directory.
   *
   * @throws {OperationError} when it, or what it imports, is not to be had
   */
  async import(specifier: string, options?: ImportCallOptions): Promise<object> {
    const type = options?.with?.type;
    const id = type === "text" || type === "bytes" ? `${specifier}#${type}` : specifier;
    let refusal: unknown;
    if (!this.#has(id) && id.startsWith("file:")) {
      await this.#init.fetch(id).then((modules) => this.install(modules), (error) => refusal = error);
    }
    if (this.#has(id)) {
      try {
        return await import(await this.#link(id));
      } catch (error) {
        if (error instanceof Error) error.message = this.originalStack(error.message);
        throw error;
      }
    }
    try {
      return await this.#native(nativeSpecifier(specifier), options);
    } catch (error) {
      if (!(refusal instanceof OperationError)) throw error;
      throw new OperationError(`${refusal.message}; and here: ${(error as Error)?.message}`, { cause: error });
    }
  }

  /** A stack trace or message in which modules have their original names. */
  originalStack(stack: string): string {
    for (const [id, url] of this.#urls) if (url !== id && stack.includes(url)) stack = stack.replaceAll(url, id);
    return stack;
  }

  /** Drops all sources; what was imported lives on. */
  forget(): void {
    dropOwner(this);
    this.#hook?.drop(this.#urls.values());
    for (const url of this.#urls.values()) if (url.startsWith("blob:")) freeModuleUrl(url);
    for (const map of [this.#urls, this.#modules, this.#local]) map.clear();
  }

  #get(id: string): ModuleSource | undefined {
    return this.#local.get(id) ?? this.#modules.get(id);
  }

  #has(id: string): boolean {
    return this.#get(id) !== undefined || /^@x\/across(?:\/|$)/.test(id);
  }

  async #native(specifier: string, options?: ImportCallOptions): Promise<object> {
    if (!options && !needsHook(specifier)) return await import(specifier);
    const id = `${IMPORTERS}:`;
    this.#local.set(id, { id, kind: "js", source: "export const load = (s, o) => import(s, o)", imports: {}, at: [] });
    const { load } = await import(await this.#link(id, needsHook(specifier))) as {
      load: (s: string, o?: ImportCallOptions) => Promise<object>;
    };
    return await load(specifier, options);
  }

  /** The URL to import a module by, after all that it statically imports was made importable. */
  async #link(id: string, hooked = false): Promise<string> {
    const known = this.#urls.get(id);
    if (known) {
      await this.#adding;
      return known;
    }
    const { order, hooked: closed } = this.#closure(id);
    const size = order.reduce((sum, each) => sum + this.#get(each)!.source.length, 0);
    if (!hooked && !closed && !this.#hook && prefersModuleUrls(order.length, size) && this.#linkByUrls(order)) {
      return this.#urls.get(id)!;
    }
    const hook = this.#hook ??= await importHook();
    if (!hook) {
      throw new OperationError(
        `Cannot import "${id}" in ${runtime} ${runtimeVersion}: its modules import each other in a circle, which takes Deno 2.8, Node or Bun`,
      );
    }
    // Someone else may have linked some of them meanwhile.
    const rest = order.filter((each) => !this.#urls.has(each));
    const scheme = hook.scheme + this.#init.prefix;
    for (const each of rest) this.#urls.set(each, scheme + (each[0] === "@" ? "across:" : "") + each);
    const added = hook.add(rest.map((each) => [this.#urls.get(each)!, this.#render(each)] as const));
    if (added) await (this.#adding = Promise.all([this.#adding, added]));
    return this.#urls.get(id)!;
  }
  #adding: Promise<unknown> = Promise.resolve();

  #linkByUrls(order: readonly string[]): boolean {
    for (const each of order) {
      const url = moduleUrl(this.#render(each), each);
      if (!url) return false;
      this.#urls.set(each, url);
    }
    return true;
  }

  /** The modules that have to be linked before one can be imported, each behind those that it imports, and whether that takes a hook. */
  #closure(id: string): { order: string[]; hooked: boolean } {
    const order: string[] = [];
    const open = new Map<string, boolean>();
    const stack: { id: string; imports: Iterator<string> }[] = [];
    let hooked = false;
    const enter = (to: string, from: string) => {
      const state = open.get(to);
      hooked ||= state === true;
      if (state !== undefined || this.#urls.has(to)) return;
      if (Object.hasOwn(core(), to)) this.#local.set(to, facade(to));
      const module = this.#get(to);
      if (module && module.kind !== "error") {
        open.set(to, true);
        stack.push({ id: to, imports: staticImports(module).values() });
        return;
      }
      throw new OperationError(`Cannot import "${from || to}": ${module?.source ?? `"${to}" is not here`}`);
    };
    enter(id, "");
    for (let top; (top = stack.at(-1));) {
      const { value, done } = top.imports.next();
      if (done) {
        stack.pop();
        open.set(top.id, false);
        order.push(top.id);
      } else if (this.#has(value) || value.startsWith("file:")) enter(value, top.id);
      else hooked ||= needsHook(value);
    }
    return { order, hooked };
  }

  /** The text of a module, with URLs in place of what it imports. */
  #render(id: string): string {
    const module = this.#get(id)!, { source } = module;
    let text = "", last = 0;
    for (const [index, to] of staticImports(module).entries()) {
      const start = module.at[index]!;
      text += source.slice(last, start) + JSON.stringify(this.#urls.get(to) ?? nativeSpecifier(to));
      last = source.indexOf(source[start]!, start + 1) + 1;
    }
    text += source.slice(last);
    const map = text.lastIndexOf("\n//# sourceMappingURL=");
    if (map > 0) heedSourceMaps();
    if (!source.includes(`${IMPORTER}(`)) return text;
    this.#number ||= importers.push((id, args) => this.#importFrom(id, args));
    const importer = `globalThis[Symbol.for("${IMPORTERS}")][${this.#number - 1}]`;
    // A declaration is there from the start, wherever it stands. At the end it moves nothing; but a source map has to stay the last.
    const end = map > 0 ? map : text.length;
    const declaration = `\nfunction ${IMPORTER}(...a){return ${importer}(${JSON.stringify(id)},a)}`;
    return text.slice(0, end) + declaration + text.slice(end);
  }

  #importFrom(id: string, args: Parameters<Importer>[1]): unknown {
    if (!args.length) return this.#meta(id);
    return this.import(this.#resolve(String(args[0]), id), args[1]);
  }

  #resolve(specifier: string, parent: string): string {
    const imports = this.#modules.get(parent)?.imports ?? {};
    if (Object.hasOwn(imports, specifier)) return imports[specifier]!.replace(/#(?:text|bytes)$/, "");
    return isName(specifier) || !URL.canParse(specifier, parent) ? specifier : new URL(specifier, parent).href;
  }

  /** What `import.meta` is for a module. */
  #meta(id: string): object {
    let meta = this.#metas.get(id);
    if (!meta) {
      meta = { url: id, main: false, resolve: (specifier: unknown) => this.#resolve(String(specifier), id) };
      if (id.startsWith("file:")) {
        const filename = decodeURIComponent(new URL(id).pathname);
        Object.assign(meta, { filename, dirname: filename.replace(/\/[^/]*$/, "") || "/" });
      }
      this.#metas.set(id, meta);
    }
    return meta;
  }
}

/** What a module's static imports stand for, in the order of `at`. */
function staticImports({ source, imports, at }: ModuleSource): string[] {
  return at.map((start) => {
    const specifier = source.slice(start + 1, source.indexOf(source[start]!, start + 1));
    return Object.hasOwn(imports, specifier) ? imports[specifier]! : specifier;
  });
}

/** The text of an entry point of across is that of a bundle, in which imports of another are found without further ado. */
function withOffsets(module: ModuleSource): ModuleSource {
  if (module.id[0] !== "@" || module.at.length) return module;
  const names = module.source.matchAll(/(?<=(?:from|import)\s*)["']@x\/across[\w/-]*["']/g);
  return { ...module, at: [...names].map((name) => name.index) };
}

/** A module with the exports of an entry point that is loaded here: the same instance. */
function facade(id: string): ModuleSource {
  const name = JSON.stringify(id);
  const names = Object.keys(core()[id]!);
  const source = `const core=globalThis[Symbol.for("across.core")][${name}];` +
    names.map((key, index) => `const e${index}=core[${JSON.stringify(key)}];`).join("") +
    `export{${names.map((key, index) => `e${index} as ${key}`)}}`;
  return { id, kind: "js", source, imports: {}, at: [] };
}
