/**
 * Puts numbers where a program reads them from a table of constants, such as `MESSAGE.CALL`, whose names nobody needs to be sent then.
 *
 * @module
 */

// deno-lint-ignore no-import-prefix -- nothing but the scripts need it
import type { AnyNode, Node, ObjectExpression, Program } from "npm:acorn@8.19.0";
// deno-lint-ignore no-import-prefix -- as above
import { parse } from "npm:acorn@8.19.0";

/** What tables are called. Nothing else is called so, also not inside of functions. */
const TABLE = /^[A-Z_]+\d*$/;

/** All nodes below a node, and that itself. */
function* nodes(node: Node): Generator<AnyNode> {
  yield node as AnyNode;
  for (const child of Object.values(node)) {
    for (const part of Array.isArray(child) ? child : [child]) {
      if (typeof part?.type === "string") yield* nodes(part);
    }
  }
}

/** Whether an expression is made of numbers only. */
function isNumber(node: AnyNode): boolean {
  if (node.type === "BinaryExpression") return isNumber(node.left) && isNumber(node.right);
  return node.type === "Literal" && typeof node.value === "number";
}

/** The entries of a table; undefined if it is none. */
function entriesOf(table: ObjectExpression, text: string): ReadonlyMap<string, string> | undefined {
  const entries = new Map<string, string>();
  for (const property of table.properties) {
    if (property.type !== "Property" || property.key.type !== "Identifier" || !isNumber(property.value)) return;
    entries.set(property.key.name, `(${text.slice(property.value.start, property.value.end)})`);
  }
  return entries;
}

/** The tables of a program by name. */
function tablesOf({ body }: Program, text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const tables = new Map<string, ReadonlyMap<string, string>>();
  for (const statement of body) {
    if (statement.type !== "VariableDeclaration") continue;
    for (const { id, init } of statement.declarations) {
      if (id.type !== "Identifier" || !TABLE.test(id.name) || init?.type !== "ObjectExpression") continue;
      const entries = entriesOf(init, text);
      if (entries) tables.set(id.name, entries);
    }
  }
  return tables;
}

/** The same program with numbers in place of names. Tables that nobody reads any more are left to whoever shortens it. */
export function inlineConstants(text: string): string {
  const program = parse(text, { ecmaVersion: 2022, sourceType: "module" });
  const tables = tablesOf(program, text);
  const found = nodes(program).flatMap((node) => {
    if (node.type !== "MemberExpression" || node.computed) return [];
    if (node.object.type !== "Identifier" || node.property.type !== "Identifier") return [];
    const number = tables.get(node.object.name)?.get(node.property.name);
    return number === undefined ? [] : [{ ...node, number }];
  });
  let inlined = "", done = 0;
  // Nodes do not always come as they stand in the text.
  for (const { start, end, number } of [...found].sort((a, b) => a.start - b.start)) {
    inlined += text.slice(done, start) + number;
    done = end;
  }
  return inlined + text.slice(done);
}
