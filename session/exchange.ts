/**
 * Modules: which of ours the peer may have, and those that we have from it. Sources are read, packed and made importable in `modules/`; here is who
 * asks whom for what.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import type { Decoder } from "../protocol/decoder.ts";
import { MESSAGE } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import { ExportedNames, ownClass, resolveExport, splitName } from "../modules/exported_names.ts";
import type { ModuleGraph } from "../modules/graph.ts";
import { importModule } from "../modules/installed.ts";
import { ModuleLoader, providedPart } from "../modules/loader.ts";
import type { ModuleSource } from "../modules/source.ts";
import { packModules, unpackModules } from "../modules/source.ts";
import { within } from "../runtime/waiting.ts";
import { provision } from "./provision.ts";
import type { Link } from "./link.ts";
import { followCalls } from "./context.ts";

/** How across's own modules are named on every side. */
const SELF = "@x/across";
/** What its main entry point is called where all have names. */
const MAIN = "mod";
/** What may be the name of one of its entry points. */
const PART = /@x\/across(?:@[^/\s"']*)?(?:\/([\w-]+))?/g;
/** How long an exported module may take to load here before it is known by its text only. Milliseconds. */
const PATIENCE = 1_000;
/** Roots that a peer may announce, and modules that it may fetch. */
const ROOT_LIMIT = 100_000;

/** What the exchange of modules needs of the rest of a session. */
export interface ExchangeContext {
  readonly link: Link;
  readonly decoder: Decoder;
  /** Bytes that an unpacked graph may have. */
  readonly limit: number;
  /** Whether we take modules from the peer. */
  readonly accepts: boolean;
  /** Whether the peer was booted by us and gets the parts of across that it needs from us. */
  readonly peerBooted: boolean;
  /** Whether across itself comes from the peer, as this end was booted by it. */
  readonly booted: boolean;
  /** Put before the ids of the peer's modules here. */
  readonly prefix: string;
  /** Settles when it is known whether the peer takes modules from us. */
  peerAccepts(): Promise<boolean>;
  /** Functions travel under other names from now on. */
  renamed(): void;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What can be exported: a URL or path, or the `import.meta` of a module. */
export type Exportable = string | URL | ImportMeta;

/** The URL that something to export stands for. */
function urlOf(module: Exportable): string {
  if (module instanceof URL) return module.href;
  if (typeof module === "object" && module !== null && typeof module.url === "string") return module.url;
  if (typeof module === "string" && module.startsWith("/")) return new URL(module, "file:///").href;
  if (typeof module === "string" && URL.canParse(module)) return new URL(module).href;
  throw new TypeError(
    `Cannot export ${
      typeof module === "string" ? `"${module}"` : `a ${typeof module}`
    }: pass a URL, as from import.meta.resolve(), or import.meta`,
  );
}

/** Sends and takes modules. */
export class Exchange {
  readonly #context: ExchangeContext;
  /** What we serve; made with the first export. */
  #graph: ModuleGraph | undefined;
  readonly #names = new ExportedNames();
  readonly #loader: ModuleLoader;
  /** Modules that are loaded here and whose names the peer may use: ours and its own. */
  readonly #namespaces = new Map<string, object>();
  /** Those of them that are whole, and modules of ours that have yet to be loaded here. */
  readonly #loaded = new Set<string>();
  readonly #loading = new Set<string>();
  /** What was exported already. */
  readonly #exported = new Set<string>();
  /** Modules that the peer has, or that are on their way to it. */
  readonly #sent = new Set<string>();
  /** The export that is under way: they go one after the other, so that none is sent twice. */
  #exporting: Promise<void> = Promise.resolve();
  /** Modules that the peer announced. */
  readonly #roots = new Set<string>();
  /** Those of them whose sources are on their way, and what waits for them, in order. */
  readonly #coming = new Map<string, Promise<void>>();
  readonly #arrivals: Waiting[] = [];
  readonly #fetching = new Map<number, Waiting>();
  readonly #fetched = new Map<string, Promise<void>>();
  #lastFetch = 0;

  constructor(context: ExchangeContext) {
    this.#context = context;
    this.#loader = new ModuleLoader({
      prefix: context.prefix,
      fetch: async (id) => {
        await this.#fetch(id);
        return [];
      },
    });
  }

  /** How many modules were sent. */
  get sent(): number {
    return this.#sent.size;
  }

  /** See `Connection.export()`. */
  async export(modules: readonly Exportable[], bindings: object | undefined): Promise<void> {
    const urls = modules.map(urlOf);
    if (!await this.#context.peerAccepts()) {
      throw new OperationError(
        `Cannot export "${urls[0]}" as the peer does not accept exported modules: pass acceptExportedModules`,
      );
    }
    const turn = this.#exporting.then(() => this.#export(modules, urls, bindings));
    this.#exporting = turn.catch(() => {});
    await turn;
  }

  async #export(modules: readonly Exportable[], urls: readonly string[], bindings: object | undefined): Promise<void> {
    const graph = this.#graph ??= provision().graph();
    const fresh = urls.filter((url) => !this.#exported.has(url));
    for (const module of modules) {
      const url = urlOf(module);
      if (!this.#exported.has(url)) graph.allow(url, isMeta(module) ? (module as ImportMeta).resolve : undefined);
    }
    const files = fresh.filter((url) => !url.endsWith("/"));
    const sources = files.length > 0 ? await graph.collect(files, this.#sent) : [];
    for (let i = 0; i < urls.length; i++) {
      const url = urls[i]!;
      if (bindings) {
        this.#names.bind(url, bindings);
        // All exports of the module are better than those that were named.
        if (!this.#loaded.has(url)) this.#namespaces.set(url, { ...this.#namespaces.get(url), ...bindings });
      }
      if (url.endsWith("/") || this.#namespaces.has(url)) continue;
      const named = this.#name(url);
      // It may be waiting for us in its top level, or for a module that is: then its text has to do.
      if (!isMeta(modules[i]!) && await within(PATIENCE, named)) continue;
      const source = sources.find(({ id }) => id === url)?.source;
      if (source !== undefined) this.#names.addText(url, source);
    }
    this.#context.renamed();
    if (fresh.length > 0) await this.#send(fresh, sources);
    for (const url of fresh) this.#exported.add(url);
  }

  /** Learns which function is which export; what does not load here can still be imported over there. */
  async #name(url: string): Promise<void> {
    this.#loading.add(url);
    const namespace = await importModule(url).catch(() => undefined);
    this.#loading.delete(url);
    if (!namespace) return;
    this.#loaded.add(url);
    this.#namespaces.set(url, namespace);
    this.#names.add(url, namespace);
    this.#context.renamed();
  }

  async #send(roots: readonly string[], sources: readonly ModuleSource[]): Promise<void> {
    const { link } = this.#context;
    const modules = await this.#claim(sources);
    const packed = modules.length > 0 ? await packModules(modules) : undefined;
    const start = link.begin(MESSAGE.ROOTS);
    link.extend();
    link.writer.u8(packed ? 1 : 0);
    link.writer.varint(roots.length);
    for (const root of roots) link.writer.string(root);
    link.commit(start);
    if (packed) this.#sendSources(0, packed);
  }

  /** Marks modules as sent and gives those that were not before, with the parts of across that they import, where the peer has none. */
  async #claim(sources: readonly ModuleSource[]): Promise<ModuleSource[]> {
    const modules = sources.filter(({ id }) => !this.#sent.has(id));
    for (const { id } of modules) this.#sent.add(id);
    if (!this.#context.peerBooted) return modules;
    const entries = partsOf(modules).filter((id) => !this.#sent.has(id));
    // What looks like the name of a part need not be one.
    const found = await Promise.all(entries.map((id) => this.#entry(id).catch(() => undefined)));
    return modules.concat(found.filter((entry) => entry !== undefined));
  }

  async #entry(id: string): Promise<ModuleSource> {
    const source = await provision().entrySource(id.slice(SELF.length + 1) || MAIN);
    this.#sent.add(id);
    return { id, kind: "js", source, imports: {}, at: [] };
  }

  /** In the order of the calls: sources never overtake sources that they may rely on. */
  #sendSources(request: number, answer: unknown): void {
    const { link } = this.#context;
    link.afterAll(() => link.send(MESSAGE.MODULES, request, answer));
  }

  /** Reads a FETCH message. */
  asked(reader: Reader): void {
    const request = reader.varint(), id = reader.string();
    this.#serve(id).then(
      (packed) => this.#sendSources(request, packed),
      (error) => this.#sendSources(request, new OperationError(error.message)),
    );
  }

  async #serve(id: string): Promise<Uint8Array> {
    await this.#exporting;
    if (this.#sent.size >= ROOT_LIMIT) throw new OperationError("Cannot send more modules over one connection");
    if (isPart(id)) return packModules([await this.#entry(id)]);
    if (!this.#graph?.serves(id)) throw new OperationError(`Cannot import "${id}" as it was not exported`);
    return packModules(await this.#claim(await this.#graph.collect([id], this.#sent)));
  }

  /** Reads a ROOTS message. */
  announced(reader: Reader): void {
    const follow = reader.u8() === 1;
    if (this.#arrivals.length >= ROOT_LIMIT) throw new ProtocolError("Too many modules were announced");
    const arrival = follow ? this.#arrival() : undefined;
    for (let left = reader.varint(); left > 0; left--) {
      const root = reader.string();
      if (!this.#context.accepts) continue;
      if (this.#roots.size >= ROOT_LIMIT) throw new ProtocolError("Too many modules were announced");
      this.#roots.add(root);
      if (arrival) this.#coming.set(root, arrival);
    }
  }

  #arrival(): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => this.#arrivals.push({ resolve, reject }));
    promise.catch(() => {});
    return promise;
  }

  /** Reads a MODULES message. */
  arrived(reader: Reader): void {
    const request = reader.varint();
    const waiting = request === 0 ? this.#arrivals.shift() : this.#fetching.get(request);
    this.#fetching.delete(request);
    if (!waiting) throw new ProtocolError("Modules arrived that were not announced or asked for");
    const answer = this.#context.decoder.outcome(reader);
    if (!(answer instanceof Uint8Array)) return waiting.reject(answer);
    if (!this.#context.accepts) return waiting.reject(new OperationError("Exported modules are not accepted here"));
    this.#install(answer).then(waiting.resolve, waiting.reject);
  }

  async #install(packed: Uint8Array): Promise<void> {
    const modules = await unpackModules(packed, this.#context.limit).catch((cause) => {
      // Of no use for anything but the calls that need them.
      throw new OperationError(cause.message, { cause });
    });
    // Modules that import across may ask which call they are in.
    for (const id of partsOf(modules)) await this.#prepareSelf(id, modules);
    this.#loader.install(modules);
  }

  /** Modules that import a part of across get the one that runs here, or is about to, and may ask which call they are in. */
  async #prepareSelf(id: string, arriving: readonly ModuleSource[]): Promise<void> {
    await followCalls();
    if (providedPart(id)) return;
    if (!this.#context.booted) return provision().provideSelf(id);
    if (this.#loader.source(id) || arriving.some((module) => module.id === id)) return;
    // If it is no part of across after all, the import says so.
    await this.#request(id).catch(() => {});
  }

  /** The same for code that is no module. Gives nothing to wait for where it has no import of across. */
  prepare(source: string): Promise<unknown> | undefined {
    if (!source.includes(SELF)) return;
    return Promise.all(partsOf([{ source, imports: {} }]).map((id) => this.#prepareSelf(id, [])));
  }

  /** Has a module of the peer's installed, if it is one. */
  async #fetch(id: string): Promise<void> {
    await this.#coming.get(id);
    if (this.#loader.source(id) || !this.#announces(id)) return;
    await this.#request(id);
  }

  /** Asks the peer for a module and what comes with it, and installs it. */
  #request(id: string): Promise<void> {
    let fetched = this.#fetched.get(id);
    if (!fetched) {
      const request = ++this.#lastFetch;
      fetched = new Promise<void>((resolve, reject) => this.#fetching.set(request, { resolve, reject }));
      this.#fetched.set(id, fetched);
      fetched.catch(() => this.#fetched.delete(id)); // it may be there the next time
      const { link } = this.#context;
      const start = link.begin(MESSAGE.FETCH);
      link.writer.varint(request);
      link.writer.string(id);
      link.commit(start);
    }
    return fetched;
  }

  /** The source of a part of across that is not here, from the peer. */
  async fetchEntry(name: string): Promise<string> {
    const id = name === MAIN ? SELF : `${SELF}/${name}`;
    if (!this.#loader.source(id)) await this.#request(id);
    return this.#loader.source(id)!.source;
  }

  #announces(id: string): boolean {
    if (!this.#context.accepts) return false;
    if (this.#roots.has(id)) return true;
    for (let at = id.lastIndexOf("/"); at > 0; at = id.lastIndexOf("/", at - 1)) {
      if (this.#roots.has(id.slice(0, at + 1))) return true;
    }
    return false;
  }

  /** The name under which the peer knows a function or class, if any. */
  nameOf(fn: object): string | undefined {
    return this.#names.nameOf(fn);
  }

  /**
   * What an exported name means, here or in a module of the peer.
   *
   * @param any Whether it may be in any other module, too, which is loaded for it.
   */
  resolveExported(name: string, any: boolean): unknown {
    const own = ownClass(name);
    if (own) return own;
    const [id, path] = splitName(name);
    const namespace = this.#namespaces.get(id);
    if (namespace) return resolveExport(namespace, path, id);
    if (this.#loading.has(id)) {
      throw new OperationError(
        `Cannot find "${path}" in ${id} while it is loading: pass { ${path} } to export() as well`,
      );
    }
    if (!any && !this.#exported.has(id) && !this.#announces(id)) {
      throw new OperationError(`Cannot find "${path}" in ${id}, which was not exported`);
    }
    return this.import(id).then((namespace) => resolveExport(namespace, path, id));
  }

  /** Imports a module: the peer's, else one of the runtime's own. */
  async import(specifier: string, options?: unknown): Promise<object> {
    const part = providedPart(specifier);
    if (part) return part;
    if (isPart(specifier)) await this.#prepareSelf(specifier, []);
    await this.#fetch(specifier);
    const namespace = await this.#loader.import(specifier, options as ImportCallOptions | undefined);
    if (this.#loader.source(specifier) && !this.#namespaces.has(specifier)) {
      this.#namespaces.set(specifier, namespace);
      this.#names.add(specifier, namespace);
      this.#context.renamed();
    }
    return namespace;
  }

  /** A stack with the names that files have on the peer's side. */
  originalStack(stack: string): string {
    return this.#loader.originalStack(stack);
  }

  /** Nothing will arrive any more. */
  clear(error: unknown): void {
    for (const waiting of [...this.#arrivals.splice(0), ...this.#fetching.values()]) waiting.reject(error);
    this.#fetching.clear();
    this.#loader.forget();
  }
}

/** Whether a specifier is that of a part of across. */
function isPart(specifier: string): boolean {
  return specifier === SELF || specifier.startsWith(SELF + "/");
}

/** The parts of across that modules may import. */
function partsOf(modules: readonly Pick<ModuleSource, "source" | "imports">[]): string[] {
  const ids = new Set<string>();
  for (const { source, imports } of modules) {
    for (const [, name] of [source, ...Object.values(imports)].join("\n").matchAll(PART)) {
      ids.add(name === undefined ? SELF : `${SELF}/${name}`);
    }
  }
  return [...ids];
}

function isMeta(module: Exportable): boolean {
  return typeof module === "object" && !(module instanceof URL);
}
