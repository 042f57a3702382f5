/**
 * Numbers for functions and classes, so that each is named, or its source sent, once per connection. Which of the ways a function travels (exported,
 * public, by source) is decided here.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { DEFINITION, MESSAGE } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import { publicName, resolvePublic } from "../modules/public_names.ts";
import * as errors from "../protocol/errors.ts";
import { provision } from "./provision.ts";
import type { Link } from "./link.ts";
import { fromSource, isClass, sourceOf } from "./source.ts";

/** Definitions that one side may make. */
const LIMIT = 1 << 16;
/** How across's own errors are named, which every side has. */
const OWN_ERRORS = "across#";
/** Not by what they say that they are called, which is something shorter in the kernel. */
const ownErrors: ReadonlyMap<unknown, string> = new Map(Object.entries(errors).map(([name, fn]) => [fn, name]));

/** What definitions need of the rest of a session. */
export interface DefinitionContext {
  readonly link: Link;
  /** `URL#path` of something exported here, or that was imported from the peer. */
  exportedName(fn: object): string | undefined;
  /** What an exported name means, here or in a module of the peer; possibly a promise. `any`: or in any other module. */
  resolveExported(name: string, any: boolean): unknown;
  /** Imports a module for code that the peer sent. */
  import(specifier: string, options: unknown): Promise<object>;
  /** What must be waited for before such code runs, if anything. */
  prepare(source: string): Promise<unknown> | undefined;
  /** Whether the peer may have code loaded here. */
  readonly acceptCalls: boolean;
}

interface Definition {
  readonly kind: number;
  readonly text: string;
}

/** What both sides call by number. */
export class Definitions {
  readonly #context: DefinitionContext;
  #known = new WeakMap<object, number>();
  readonly #byText = new Map<string, number>();
  readonly #sources = new Map<number, string>();
  #last = 0;
  readonly #received = new Map<number, { value: unknown; failed?: boolean }>();

  constructor(context: DefinitionContext) {
    this.#context = context;
  }

  /** Forgets how functions travel: names were added. */
  reconsider(): void {
    this.#known = new WeakMap();
  }

  /**
   * The number of a function or class; the definition is sent if it is new.
   *
   * @throws {OperationError} If it cannot travel at all.
   */
  define(fn: object): number {
    const known = this.#known.get(fn);
    if (known !== undefined) return known;
    const number = this.#number(
      this.#named(fn, DEFINITION.EXPORTED, DEFINITION.PUBLIC) ??
        { kind: DEFINITION.SOURCE, text: provision().portable(sourceOf(fn)) },
    );
    this.#known.set(fn, number);
    return number;
  }

  /** The number of a class that the peer knows by name as well; undefined for other classes and functions. */
  classNumber(fn: object): number | undefined {
    if (!isClass(fn)) return;
    const own = ownErrors.get(fn);
    const definition = own
      ? { kind: DEFINITION.PUBLIC_CLASS, text: OWN_ERRORS + own }
      : this.#named(fn, DEFINITION.CLASS, DEFINITION.PUBLIC_CLASS);
    return definition && this.#number(definition);
  }

  /** The source that was sent under a number, if any. */
  sourceOf(number: number): string | undefined {
    return this.#sources.get(number);
  }

  #named(fn: object, exported: number, open: number): Definition | undefined {
    const name = this.#context.exportedName(fn);
    if (name) return { kind: exported, text: name };
    const text = publicName(fn);
    return text ? { kind: open, text } : undefined;
  }

  #number({ kind, text }: Definition): number {
    const key = kind + text;
    const known = this.#byText.get(key);
    if (known !== undefined) return known;
    if (this.#byText.size >= LIMIT) {
      throw new OperationError(`Cannot send more than ${LIMIT} different functions over one connection`);
    }
    const number = ++this.#last;
    this.#byText.set(key, number);
    if (kind === DEFINITION.SOURCE) this.#sources.set(number, text);
    this.#context.link.before((writer) => {
      writer.u8(MESSAGE.DEFINE);
      writer.varint(number);
      writer.u8(kind);
      writer.string(text);
    }, () => {
      this.#byText.delete(key);
      this.#sources.delete(number);
      this.reconsider();
    });
    return number;
  }

  /**
   * Reads a DEFINE message.
   *
   * @returns A promise if later messages must not be read before it settles.
   */
  defined(reader: Reader): Promise<unknown> | undefined {
    const number = reader.varint(), kind = reader.u8(), text = reader.string();
    if (this.#received.size >= LIMIT || this.#received.has(number)) {
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
        const own = text.startsWith(OWN_ERRORS) && text.slice(OWN_ERRORS.length);
        if (own && Object.hasOwn(errors, own)) return needClass((errors as Record<string, unknown>)[own]);
        if (!acceptCalls) break;
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
    throw refusal();
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

/** What the peer gets for asking what it may not. */
export function refusal(): OperationError {
  return new OperationError(
    "Cannot run this as the peer does not accept calls: it would have to set the option acceptCalls, or expose an object",
  );
}
