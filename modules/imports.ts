/**
 * Finds what a module imports, and prepares its text for being linked elsewhere. Nothing is resolved here, that is `graph.ts`.
 *
 * All changes keep every line and column where it is: the name that stands in for `import` in `import(x)` and `import.meta` has as many letters.
 *
 * @module
 */

import { lex } from "./lexer.ts";
import { IMPORTER } from "./source.ts";

/** One place where a module imports something. */
export interface ImportSite {
  /** What is imported; undefined where it is computed. */
  readonly specifier?: string;
  /** Offset of the quote that begins the specifier, or of the word `import` of a dynamic one. */
  readonly start: number;
  /** `type` of the import attributes. */
  readonly type?: string;
  /** Whether it is an `import()`. */
  readonly dynamic: boolean;
  /** Where an `import … from` begins, and where the `from` is. */
  readonly clause?: readonly [start: number, from: number];
}

/** What {@linkcode scanImports} finds out about a text. */
export interface Scan {
  /** All imports, in their order. */
  readonly sites: readonly ImportSite[];
  /** Offsets of `import.meta`. */
  readonly metas: readonly number[];
  /** Words that are used outside of imports and not as a property. */
  readonly used: ReadonlySet<string>;
  /** Whether the text may be changed. */
  readonly sound: boolean;
}

const ATTRIBUTES = /\s*(?:with|assert)\s*\{[^}]*\}/y;
const LITERAL = /\(\s*(?:\/\*[^]*?\*\/\s*)*(["'])([^"'\\\n]*)\1\s*(?:\)|,([^)]*)\))/y;
const DYNAMIC = /\s*\(/y;
const TYPE = /type['"]?\s*:\s*['"](\w+)/;
const WORD = /^[\w$\u0080-\uffff]/;

const match = (pattern: RegExp, source: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at;
  return pattern.exec(source);
};

/** The import attributes behind a specifier, `start` being its first quote. */
const attributes = (source: string, start: number): RegExpExecArray | null =>
  match(ATTRIBUTES, source, source.indexOf(source[start]!, start + 1) + 1);

/** Finds all imports of a JavaScript text: static, of side effects, re-exports, dynamic. */
export function scanImports(source: string): Scan {
  const sites: ImportSite[] = [], metas: number[] = [], used = new Set<string>();
  /** Where the declaration began that we may be in. */
  let declaration = -1, from = -1, exporting = false, inClause: string[] = [];
  /** For each open bracket: the dynamic import that it belongs to. */
  const open: (ImportSite | undefined)[] = [];
  let dynamic: ImportSite | undefined;
  const leave = () => {
    for (const word of inClause) used.add(word);
    declaration = -1;
    inClause = [];
  };
  const sound = lex(source, (token, start, previous) => {
    const property = previous === ".";
    if ((token === "import" || token === "export") && !property) {
      leave();
      const rest = start + token.length;
      if (token === "export") {
        declaration = start;
        exporting = true;
      } else if (match(DYNAMIC, source, rest)) {
        const literal = match(LITERAL, source, source.indexOf("(", rest));
        const type = literal?.[3] && TYPE.exec(literal[3])?.[1];
        dynamic = { start, dynamic: true, ...(literal && { specifier: literal[2]! }), ...(type && { type }) };
        sites.push(dynamic);
      } else if (source.startsWith(".meta", rest)) {
        metas.push(start);
      } else {
        declaration = start;
        exporting = false;
      }
      return;
    }
    if (token === "(") {
      open.push(dynamic);
      dynamic = undefined;
    } else if (token === ")") {
      const closed = open.pop();
      // This was no import but a method of that name.
      if (closed && match(/\s*\{/y, source, start + 1)) sites.splice(sites.indexOf(closed), 1);
    }
    if (declaration >= 0) {
      const literal = token[0] === '"' || token[0] === "'";
      if (literal && (previous === "from" || previous === "import")) {
        const type = TYPE.exec(attributes(source, start)?.[0] ?? "")?.[1];
        if (!token.includes("\\")) {
          sites.push({
            specifier: token.slice(1, -1),
            start,
            dynamic: false,
            ...(type && { type }),
            ...(!exporting && previous === "from" && { clause: [declaration, from] as const }),
          });
        }
        // The names of a clause are no uses of them.
        inClause = [];
        return leave();
      }
      if (token === "from") from = start;
      if (!literal && !/^[{},*]$/.test(token) && !WORD.test(token)) leave();
      else if (exporting && previous === "export" && !/^[{*]/.test(token)) leave();
    }
    if (!property && WORD.test(token)) declaration < 0 ? used.add(token) : inClause.push(token);
  });
  leave();
  return { sites, metas, used, sound };
}

/** Blanks out a part of a text. */
export const blank = (text: string): string => text.replace(/[^\n\r]/g, " ");

/** Replaces parts of a text, given in any order, by others. */
export function splice(
  source: string,
  edits: readonly (readonly [start: number, end: number, text: string])[],
): string {
  let result = "", at = 0;
  for (const [start, end, text] of [...edits].sort((a, b) => a[0] - b[0])) {
    if (start < at) continue;
    result += source.slice(at, start) + text;
    at = end;
  }
  return result + source.slice(at);
}

/**
 * Blanks out imported names that are not used, as a compiler of TypeScript does, since they may be types; and a declaration of which nothing is left.
 * Whoever loaded the module here did that, too.
 */
export function dropUnusedImports(source: string): string {
  const { sites, used, sound } = scanImports(source);
  if (!sound) return source;
  return splice(
    source,
    sites.flatMap(({ clause, start }) => {
      if (!clause) return [];
      const [begin, end] = [clause[0] + "import".length, clause[1]];
      let left = false;
      const kept = source.slice(begin, end).replace(/\/\*[^]*?\*\/|\/\/.*/g, blank)
        .replace(/(?:\*\s*as\s+|[^\s,{}*]+\s+as\s+)?([^\s,{}*]+)(?:\s*,)?/g, (text, name) => {
          if (!used.has(name)) return blank(text);
          left = true;
          return text;
        }).replace(/,(\s*)$/, " $1");
      if (left) return [[begin, end, kept] as const];
      const quote = source.indexOf(source[start]!, start + 1) + 1;
      const last = quote + (attributes(source, start)?.[0].length ?? 0);
      return /[^\s{}]/.test(source.slice(begin, end))
        ? [[clause[0], last, blank(source.slice(clause[0], last))] as const]
        : [];
    }),
  );
}

/** Where an import leads: to a module that travels with this one, to the same thing everywhere, or to what the far end has under another name. */
export type Target = "own" | "same" | "other";

/**
 * Prepares a text for a place where it is not found under its URL.
 *
 * @returns The text, and the offsets of the static specifiers in it
 */
export function prepare(
  source: string,
  { sites, metas, sound }: Scan,
  resolve: (site: ImportSite & { specifier: string }) => Target,
): { source: string; at: number[] } {
  const edits: [start: number, end: number, text: string][] = [];
  for (const start of metas) edits.push([start, start + "import.meta".length, `${IMPORTER}()   `]);
  for (const site of sites) {
    const { start, specifier } = site;
    const target = specifier === undefined ? "other" : resolve({ ...site, specifier });
    if (site.dynamic) {
      // What has one meaning everywhere is left alone: functions that travel by their source may contain it.
      if (target !== "same") edits.push([start, start + "import".length, IMPORTER]);
    } else if (site.type && target === "own") {
      // It arrives as JavaScript, of which no attribute must say otherwise.
      const end = source.indexOf(source[start]!, start + 1) + 1;
      const clause = attributes(source, start)?.[0] ?? "";
      edits.push([end, end + clause.length, blank(clause)]);
    }
  }
  const at = sites.filter((site) => !site.dynamic).map((site) => site.start);
  return { source: sound ? splice(source, edits) : source, at };
}
