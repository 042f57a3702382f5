/**
 * One module as it travels between two ends, and its packed form. How modules are found is in `graph.ts`, how they are made importable in `loader.ts`.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import { deflate, inflate } from "../runtime/deflate.ts";

/** A module's source, ready to be linked: JavaScript, whatever it was. */
export interface ModuleSource {
  /** Absolute URL of the original, with `#text` or `#bytes` behind it where it is imported as such; or `@x/across/ENTRY`. */
  readonly id: string;
  /** `error` where there is no such module for the peer. */
  readonly kind: "js" | "error";
  /** The text; of an `error` the message. */
  readonly source: string;
  /**
   * Specifiers of the source, and what they stand for: an id, a `node:`, `npm:`, `jsr:`, `https:` or bare specifier that the far end resolves itself, or
   * `@x/across[/ENTRY]`. What is missing here stands for itself.
   */
  readonly imports: Readonly<Record<string, string>>;
  /** Offsets of the quotes that begin the specifiers of static imports, ascending. */
  readonly at: readonly number[];
}

/**
 * Stands for `import` where the far end has to know which module is importing: called with an argument for `import(x)`, without one for `import.meta`.
 * `loader.ts` gives each module that calls it a function of that name. It has as many letters, so that nothing moves.
 */
export const IMPORTER = "$mport";

/** The text of a function of such a module as its author wrote it. */
export function originalText(text: string): string {
  return text.replaceAll(`${IMPORTER}()   `, "import.meta").replaceAll(`${IMPORTER}(`, "import(");
}

/** Less than this is not worth compressing. */
const SMALL = 300;
const PLAIN = 0, DEFLATED = 1;

/** Packs modules for the wire: one byte that says how, then JSON. */
export async function packModules(modules: readonly ModuleSource[]): Promise<Uint8Array> {
  const rows = modules.map(({ id, kind, source, imports, at }) => [kind, id, source, imports, at]);
  const plain = new TextEncoder().encode(JSON.stringify(rows));
  const packed = plain.length > SMALL ? await deflate(plain) : plain;
  const bytes = new Uint8Array(packed.length + 1);
  bytes[0] = packed === plain ? PLAIN : DEFLATED;
  bytes.set(packed, 1);
  return bytes;
}

/**
 * Unpacks and checks what {@linkcode packModules} made.
 *
 * @param limit Bytes that the unpacked form may have
 * @throws {ProtocolError} when it is malformed or larger
 */
export async function unpackModules(bytes: Uint8Array, limit: number): Promise<ModuleSource[]> {
  try {
    let plain = bytes.subarray(1);
    if (bytes[0] === DEFLATED) plain = await inflate(plain, limit);
    if (bytes[0]! > DEFLATED || plain.length > limit) {
      throw new RangeError(`more than ${limit} bytes, or of no known form`);
    }
    const rows: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
    return (rows as unknown[]).map(readModule);
  } catch (cause) {
    throw new ProtocolError(`Cannot read modules: ${(cause as Error)?.message}`, { cause });
  }
}

function readModule(row: unknown): ModuleSource {
  const [kind, id, source, imports, at, more] = row as unknown[];
  let last = -1;
  if (
    kind !== "js" && kind !== "error" || typeof id !== "string" || typeof source !== "string" || more !== undefined ||
    // No peer may say what a built-in module is, or another scheme of the runtime's own.
    !/^(?:file|https?):\/\/|^@x\/across(?:\/.|$)/.test(id) ||
    !imports || typeof imports !== "object" || !Object.values(imports).every((to) => typeof to === "string") ||
    !Array.isArray(at) ||
    !at.every((offset) =>
      Number.isInteger(offset) && offset > last && /["']/.test(source[last = offset] ?? "") &&
      (last = source.indexOf(source[last]!, last + 1)) > 0
    )
  ) throw new TypeError("not the fields of a module");
  return { id, kind, source, imports: imports as Record<string, string>, at };
}
