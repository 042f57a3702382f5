/**
 * Functions and classes that the peer defined, so that each is named, or its source sent, once per connection. What we define is in `defining.ts`.
 *
 * @module
 */

import { DisconnectError, OperationError, ProtocolError } from "../protocol/errors.ts";
import { DEFINITION } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import { resolvePublic } from "../modules/public_names.ts";
import { fromSource, isClass } from "./source.ts";

/** Definitions that one side may make. */
export const DEFINITION_LIMIT: number = 1 << 16;
/** How across's own classes are named, which every side has that has loaded them. */
export const OWN = "across#";
/** Under the names that they have everywhere: in the kernel they are called something shorter. Entry points add theirs. */
export const ownClasses: Record<string, unknown> = { OperationError, DisconnectError, ProtocolError };

/** What definitions need of the rest of a session. */
export interface DefinitionContext {
  /** What an exported name means, here or in a module of the peer; possibly a promise. `any`: or in any other module. */
  resolveExported(name: string, any: boolean): unknown;
  /** Imports a module for code that the peer sent. */
  import(specifier: string, options: unknown): Promise<object>;
  /** What must be waited for before such code runs, if anything. */
  prepare(source: string): Promise<unknown> | undefined;
  /** Whether the peer may have code loaded here. */
  readonly acceptCalls: boolean;
  /** What it gets where it may not; `name`: for a class of that name. */
  refuse(name?: string): OperationError;
}

/** What the peer calls by number. */
export class Definitions {
  readonly #context: DefinitionContext;
  readonly #received = new Map<number, { value: unknown; failed?: boolean }>();

  constructor(context: DefinitionContext) {
    this.#context = context;
  }

  /**
   * Reads a DEFINE message.
   *
   * @returns A promise if later messages must not be read before it settles.
   */
  defined(reader: Reader): Promise<unknown> | undefined {
    const number = reader.varint(), kind = reader.u8(), text = reader.string();
    if (this.#received.size >= DEFINITION_LIMIT || this.#received.has(number)) {
      throw new ProtocolError(`Cannot define ${number} once more`);
    }
    const entry: { value: unknown; failed?: boolean } = { value: undefined };
    this.#received.set(number, entry);
    try {
      entry.value = this.#resolve(kind, text);
    } catch (error) {
      entry.value = error;
      entry.failed = true;
    }
    if (!(entry.value instanceof Promise)) return;
    const settled = entry.value.then((value) => {
      entry.value = value;
    }, (error) => {
      entry.value = error;
      entry.failed = true;
    });
    return kind === DEFINITION.CLASS || kind === DEFINITION.PUBLIC_CLASS ? settled : undefined;
  }

  #resolve(kind: number, text: string): unknown {
    const { acceptCalls } = this.#context;
    switch (kind) {
      case DEFINITION.CLASS:
        return needClass(this.#context.resolveExported(text, acceptCalls));
      case DEFINITION.PUBLIC_CLASS: {
        const own = text.startsWith(OWN) && text.slice(OWN.length);
        if (own && Object.hasOwn(ownClasses, own)) return needClass(ownClasses[own]);
        if (!acceptCalls) throw this.#context.refuse(text);
        return needClass(resolvePublic(text));
      }
      case DEFINITION.EXPORTED:
        if (!acceptCalls) break;
        return this.#context.resolveExported(text, true);
      case DEFINITION.PUBLIC:
        if (!acceptCalls) break;
        return resolvePublic(text);
      case DEFINITION.SOURCE: {
        if (!acceptCalls) break;
        const make = () => fromSource(text, (specifier, options) => this.#context.import(String(specifier), options));
        const prepared = this.#context.prepare(text);
        return prepared ? prepared.then(make) : make();
      }
      default:
        throw new ProtocolError(`Cannot read a definition of kind ${kind}`);
    }
    throw this.#context.refuse();
  }

  /** What the peer defined under a number; possibly a promise. */
  get(number: number): unknown {
    const entry = this.#received.get(number);
    if (!entry) throw new ProtocolError(`Cannot find definition ${number}`);
    if (entry.failed) throw entry.value;
    return entry.value;
  }

  /** The class that the peer defined under a number. */
  classById(number: number): abstract new (...args: never[]) => object {
    let found;
    try {
      found = this.get(number);
    } catch (error) {
      if (error instanceof OperationError || error instanceof ProtocolError) throw error;
      // Any other error would end the reading of the message, and what else comes with it would never be given back.
      throw new OperationError(`Cannot load the class of an object: ${(error as Error).message}`, { cause: error });
    }
    if (typeof found !== "function") throw new OperationError("Cannot find the class of an object");
    return found as unknown as abstract new (...args: never[]) => object;
  }
}

/** Where calls are not accepted, a function must not get here under the name of a class. */
function needClass(found: unknown): unknown {
  if (found instanceof Promise) return found.then(needClass);
  if (!isClass(found)) throw new OperationError("Cannot find the class of an object");
  return found;
}
