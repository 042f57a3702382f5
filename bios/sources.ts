/**
 * The sources that ends without across are given: the packed kernel and its extension, and the entry points. They come from constants in
 * `embedded.ts`, or on an end that was booted itself from whoever booted it, so that they can be passed on from memory. Who sends them is `session/`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { inflate } from "../runtime/deflate.ts";
import { payload } from "./payload.ts";

/** One of across's other entry points. */
export interface Entry {
  /** Which entry points it imports, as `@x/across` or `@x/across/NAME`. */
  readonly imports: readonly string[];
  /** Its deflated text in base64; empty where it did not come with the core. */
  readonly packed: string;
}

/** More than this is no source of ours. */
const LIMIT = 1 << 24;

/** The bytes of base64 with newlines in it. As a loop, since anything more elegant takes 3 ms longer, while an interpreter waits to be booted. */
function bytesOf(base64: string | Uint8Array): Uint8Array {
  if (typeof base64 !== "string") return base64;
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The sources that this end has. */
export class Sources {
  #kernel: string | Uint8Array;
  #extension: string | Uint8Array;
  readonly #entries: Readonly<Record<string, Entry>>;
  readonly #pieces: Record<string, string | Uint8Array>;
  readonly #known = new Map<string, Promise<string>>();

  /**
   * @param kernel The packed kernel in base64.
   * @param extension The packed extension, likewise.
   * @param entries The entry points by name: `servers` for `@x/across/servers`.
   * @param pieces Those of them that can be run like the extension, in this form: packed, in base64.
   */
  constructor(
    kernel: string,
    extension: string,
    entries: Readonly<Record<string, Entry>>,
    pieces: Readonly<Record<string, string>> = {},
  ) {
    const given = payload();
    this.#kernel = given?.kernel ?? kernel;
    this.#extension = given?.extension ?? extension;
    this.#entries = entries;
    this.#pieces = { ...pieces };
  }

  /** The packed kernel, as stage 1 takes it. */
  kernel(): Uint8Array {
    return this.#kernel = bytesOf(this.#kernel);
  }

  /** The packed extension, as the kernel takes it. */
  extension(): Uint8Array {
    return this.#extension = bytesOf(this.#extension);
  }

  /** A part of across as a script, packed like the extension; undefined where it did not come with the core, or is none. */
  piece(name: string): Uint8Array | undefined {
    if (!Object.hasOwn(this.#pieces, name)) return undefined;
    return this.#pieces[name] = bytesOf(this.#pieces[name]!);
  }

  /** The names of the entry points, and what these import of across. */
  imports(name: string): readonly string[] {
    return this.#entry(name).imports;
  }

  /** The JavaScript of an entry point, a module. */
  entry(name: string): Promise<string> {
    let text = this.#known.get(name);
    if (!text) this.#known.set(name, text = this.#load(name));
    // What failed may succeed another time.
    text.catch(() => this.#known.delete(name));
    return text;
  }

  #entry(name: string): Entry {
    if (Object.hasOwn(this.#entries, name)) return this.#entries[name]!;
    throw new OperationError(`Cannot find "@x/across/${name}": there is no such entry point`);
  }

  async #load(name: string): Promise<string> {
    const { packed } = this.#entry(name);
    if (packed.trim()) return new TextDecoder().decode(await inflate(bytesOf(packed), LIMIT));
    const given = payload();
    if (given) return await given.entry(name);
    throw new OperationError(`Cannot pass on "@x/across/${name}" as it is not embedded: run "deno task embed"`);
  }
}
