/**
 * Prototype pollution: whether anything that everybody shares is other than it was.
 *
 * @module
 */

const WATCHED: readonly object[] = [Object, Function, Array, Map, Set, Error, Promise, RegExp, String]
  .flatMap((it): object[] => [it, it.prototype]).concat(globalThis);

/** The properties that pollution would change or add, each with what it is. */
export function state(): Map<string, unknown> {
  const all = new Map<string, unknown>();
  for (const [index, object] of WATCHED.entries()) {
    for (const key of Reflect.ownKeys(object)) {
      const { value, get, set } = Reflect.getOwnPropertyDescriptor(object, key)!;
      // What the runtime or across itself loads late is no pollution.
      const late = object === globalThis && (get !== undefined || typeof key === "symbol");
      if (!late) all.set(`${index} ${String(key)}`, value ?? get ?? set);
    }
  }
  return all;
}

/** What is different from before. */
export function changed(before: Map<string, unknown>): string[] {
  const now = state();
  return [...new Set([...before.keys(), ...now.keys()])].filter((name) => !Object.is(before.get(name), now.get(name)));
}
