/**
 * Numbers for functions and classes of ours, so that each is named, or its source sent, once per connection. Which of the ways a function travels
 * (exported, public, by source) is decided here. What the peer defined is in `definitions.ts`.
 *
 * @module
 */

import { ownName } from "../modules/exported_names.ts";
import { publicName } from "../modules/public_names.ts";
import { OperationError } from "../protocol/errors.ts";
import { DEFINITION, MESSAGE } from "../protocol/messages.ts";
import { DEFINITION_LIMIT, OWN, ownClasses } from "./definitions.ts";
import type { Link } from "./link.ts";
import { provision } from "./provision.ts";
import { imports, isClass } from "./source.ts";

/** What defining needs of the rest of a session. */
export interface DefiningContext {
  readonly link: Link;
  /** `URL#path` of something exported here, or that was imported from the peer. */
  exportedName(fn: object): string | undefined;
}

interface Definition {
  readonly kind: number;
  readonly text: string;
}

/** What we call by number. */
export class Defining {
  readonly #context: DefiningContext;
  #known = new WeakMap<object, number>();
  readonly #byText = new Map<string, number>();
  readonly #sources = new Map<number, string>();
  #last = 0;

  constructor(context: DefiningContext) {
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
        { kind: DEFINITION.SOURCE, text: provision().sourceOf(fn) },
    );
    this.#known.set(fn, number);
    return number;
  }

  /** The number of a class that the peer knows by name as well; undefined for other classes and functions. */
  classNumber(fn: object): number | undefined {
    if (!isClass(fn)) return;
    const own = Object.keys(ownClasses).find((name) => ownClasses[name] === fn);
    const definition = own
      ? { kind: DEFINITION.PUBLIC_CLASS, text: OWN + own }
      : this.#named(fn, DEFINITION.CLASS, DEFINITION.PUBLIC_CLASS);
    return definition && this.#number(definition);
  }

  /** The source that was sent under a number, if any. */
  sourceOf(number: number): string | undefined {
    return this.#sources.get(number);
  }

  #named(fn: object, exported: number, open: number): Definition | undefined {
    const name = this.#context.exportedName(fn) ?? ownName(fn);
    if (name) return { kind: exported, text: name };
    const text = publicName(fn);
    return text ? { kind: open, text } : undefined;
  }

  #number({ kind, text }: Definition): number {
    const key = kind + text;
    const known = this.#byText.get(key);
    if (known !== undefined) return known;
    if (this.#byText.size >= DEFINITION_LIMIT) {
      throw new OperationError(`Cannot send more than ${DEFINITION_LIMIT} different functions over one connection`);
    }
    const number = ++this.#last;
    this.#byText.set(key, number);
    if (kind === DEFINITION.SOURCE) this.#sources.set(number, text);
    const { link } = this.#context;
    // Exported ones come from modules, and source may import some.
    if (kind === DEFINITION.EXPORTED || kind === DEFINITION.CLASS || imports(text)) link.extend();
    link.before((writer) => {
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
}
