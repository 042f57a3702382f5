/**
 * Splits JavaScript into tokens, well enough to tell code from strings, comments, templates and regular expressions. What the tokens mean is for
 * `imports.ts` and `exported_names.ts`.
 *
 * @module
 */

/** Called for each token that is neither space nor comment. */
export type TokenVisitor = (token: string, start: number, previous: string) => void;

/** Space and comments, then a string, word or number, or punctuation. Never fails: the last alternatives take any character, or none at the end. */
const TOKEN =
  /(?:\s+|\/\/.*|\/\*[^]*?\*\/)*("(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'|\d[\w.]*|[\w$#@\\\u0080-\uffff]+|\.{3}|\+\+|--|[^]|$)/y;
const TEMPLATE = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{|$)/y;
const REGEXP = /\/(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y;
const WORD = /[\w$#@\\\u0080-\uffff]/;
/** After these words an expression begins, so that a slash there begins a regular expression. */
const OPERATORS = /^(?:return|typeof|case|do|else|in|of|instanceof|new|void|delete|throw|yield|await|default)$/;
const CLOSES: Record<string, string> = { ")": "(", "]": "[", "}": "{" };

/**
 * Visits the tokens of a source text; a template literal is visited in the parts between its expressions.
 *
 * @returns Whether all brackets matched. If not, the text is broken, or was misread after a `/`, and nothing may be changed in it
 */
export function lex(source: string, visit: TokenVisitor): boolean {
  const open: string[] = [];
  let at = source.startsWith("#!") ? source.search(/\n|$/) : 0,
    previous = "",
    before = "",
    operand = false,
    sound = true;
  const take = (pattern: RegExp, from: number): string => {
    pattern.lastIndex = from;
    return pattern.exec(source)?.[0] ?? "";
  };
  for (;;) {
    TOKEN.lastIndex = at;
    let token = TOKEN.exec(source)![1]!;
    if (!token) return sound && !open.length;
    const start = TOKEN.lastIndex - token.length, first = token[0]!;
    at = TOKEN.lastIndex;
    let ends = true;
    if (token === "/" && !operand) {
      token = take(REGEXP, start) || token;
      ends = token.length > 1;
    } else if (token === "`" || token === "}" && open.at(-1) === "`") {
      if (token === "}") open.pop();
      token += take(TEMPLATE, at);
      ends = !token.endsWith("${");
      if (!ends) open.push("`");
    } else if (token === "(" || token === "[" || token === "{") {
      // Remembered is what follows the closing one: after `if (…)` a statement begins.
      open.push(token === "(" && /^(?:if|while|for|with)$/.test(previous) && before !== "." ? "if(" : token);
      ends = false;
    } else if (Object.hasOwn(CLOSES, token)) {
      const opened = open.pop() ?? "";
      if (!opened.endsWith(CLOSES[token]!)) sound = false;
      ends = token !== "}" && opened !== "if(";
    } else if (WORD.test(first)) {
      ends = previous === "." || !OPERATORS.test(token);
    } else {
      // A string, or `++`; the dots of `...` are none that end anything.
      ends = token.length > 1 && first !== ".";
    }
    at = start + token.length;
    visit(token, start, previous);
    before = previous;
    previous = token;
    operand = ends;
  }
}
