/**
 * One module as it travels between two ends, and its packed form. How modules are found is in `graph.ts`, how they are made importable in `loader.ts`.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import { deflate, inflate } from "../runtime/deflate.ts";

/** What a module is: run as it is, or made into a default export (parsed; a string; a `Uint8Array`), or a reason why there is none. */
export type ModuleKind = "js" | "json" | "text" | "bytes" | "error";

/** A module's source, ready to be linked: TypeScript is stripped already. */
export interface ModuleSource {
  /** Absolute URL of the original, with `#text` or `#bytes` behind it where it is imported as such; or `@x/across/ENTRY`. */
  readonly id: string;
  readonly kind: ModuleKind;
  /** The text; of `bytes` the base64 form; of `error` the message. */
  readonly source: string;
  /**
   * Specifiers of the source, and what they stand for: an id, a `node:`, `npm:`, `jsr:`, `https:` or bare specifier that the far end resolves itself, or
   * `@x/across[/ENTRY]`. What is missing here stands for itself.
   */
  readonly imports: Readonly<Record<string, string>>;
  /** Offsets of the quotes that begin the specifiers of static imports, ascending. */
  readonly at: readonly number[];
}

const KINDS: readonly ModuleKind[] = ["js", "json", "text", "bytes", "error"];
/** Less than this is not worth compressing. */
const SMALL = 300;
const PLAIN = 0, DEFLATED = 1;

/** Packs modules for the wire: one byte that says how, then JSON. */
export async function packModules(modules: readonly ModuleSource[]): Promise<Uint8Array> {
  const rows = modules.map(({ id, kind, source, imports, at }) => [KINDS.indexOf(kind), id, source, imports, at]);
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
    if (bytes[0]! > DEFLATED || plain.length > limit) throw new RangeError(`more than ${limit} bytes, or of no known form`);
    const rows: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
    return (rows as unknown[]).map(readModule);
  } catch (cause) {
    throw new ProtocolError(`Cannot read modules: ${(cause as Error)?.message}`, { cause });
  }
}

function readModule(row: unknown): ModuleSource {
  const [kind, id, source, imports, at, more] = row as unknown[];
  const name = Number.isInteger(kind) ? KINDS[kind as number] : undefined;
  let last = -1;
  if (
    !name || typeof id !== "string" || typeof source !== "string" || more !== undefined ||
    // No peer may say what a built-in module is, or another scheme of the runtime's own.
    !/^(?:file|https?):\/\/|^@x\/across\/./.test(id) ||
    !imports || typeof imports !== "object" || !Object.values(imports).every((to) => typeof to === "string") ||
    !Array.isArray(at) || !at.every((offset) =>
      Number.isInteger(offset) && offset > last && /["']/.test(source[last = offset] ?? "") &&
      (last = source.indexOf(source[last]!, last + 1)) > 0
    )
  ) throw new TypeError("not the fields of a module");
  return { id, kind: name, source, imports: imports as Record<string, string>, at };
}
