/**
 * Recognises functions of a module by their names and text, where it cannot be imported because it is still running. It is loaded with `graph.ts`, for
 * only modules that are read can be treated so.
 *
 * @module
 */

import { matching } from "./exported_names.ts";
import { lex } from "./lexer.ts";
import { originalText } from "./source.ts";

matching.byText = (source) => {
  const exports = exportsOf(source), module = wordsOf(source);
  return (fn) => {
    const exported = exports.get(fn.name), at = module.declared.get(fn.name);
    if (exported === undefined || at === undefined) return;
    return module.text.startsWith(wordsOf(Function.prototype.toString.call(fn)).text, at) ? exported : undefined;
  };
};

/**
 * The words, numbers, strings and operators of a text. What a runtime adds and drops when it prints TypeScript without its types (space, comments, brackets,
 * semicolons, commas) is left out, so that a function's own text is part of its module's.
 */
interface Words {
  readonly text: string;
  /** Where in it each function, class or variable of the top level begins: a variable with its value. */
  readonly declared: ReadonlyMap<string, number>;
}

function wordsOf(source: string): Words {
  const declared = new Map<string, number>();
  const declare = (name: string, at: number) => declared.has(name) || declared.set(name, at);
  let text = "", before = "", depth = 0, last = 0, begin = -1;
  lex(originalText(source), (token, _start, previous) => {
    if (depth === 0) {
      if (previous === "=" || previous === "default") declare(previous === "=" ? before : previous, text.length);
      if (/^(?:function|class)$/.test(token)) begin = previous === "async" ? last : text.length;
      else if (begin >= 0 && token !== "*") {
        if (token !== "(") declare(token, begin);
        begin = -1;
      }
    }
    if (/^[([{]$|\$\{$/.test(token) && token[0] !== "}") depth++;
    else if (/^[)\]}]/.test(token) && !token.endsWith("${")) depth--;
    before = previous;
    if (/^[(){};,]$/.test(token)) return;
    last = text.length;
    text += `${token}\n`;
  });
  return { text, declared };
}

/** The functions, classes and variables that a text exports: name in the module, and name outside. */
function exportsOf(source: string): Map<string, string> {
  const found = new Map<string, string>();
  const names =
    /\bexport\s+(default)\b(?:\s+(?:async\s+)?(?:function\b\s*\*?|class)\s+([\w$]+))?|\bexport\s+(?:async\s+)?(?:function\b\s*\*?|class|const|let|var)\s+([\w$]+)|\bexport\s*\{([^}]*)\}(?!\s*from)/g;
  for (const [, byDefault, called, name, list] of source.matchAll(names)) {
    if (name) found.set(name, name);
    if (called) found.set(called, "default");
    if (byDefault) found.set("default", "default");
    for (const [, own, other] of (list ?? "").matchAll(/([\w$]+)(?:\s+as\s+([\w$]+))?/g)) {
      found.set(own!, other ?? own!);
    }
  }
  return found;
}
