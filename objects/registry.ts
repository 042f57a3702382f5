/**
 * What this process serves of its own making, for who started it; and where code that comes from there, by its source, finds what is in this part of
 * across.
 *
 * @module
 */

/** What others may ask of this process. */
export interface Hooks {
  /** The proxy of what is served here, as soon as there is something. */
  served(): Promise<object>;
  /** See `passTo()`: of something that is here. */
  passTo(
    target: unknown,
    path: readonly string[],
    fn: (...args: never[]) => unknown,
    args: readonly unknown[],
  ): unknown;
  /** See `superOf()`: of something that is here. */
  superOf(target: unknown, path: readonly string[]): unknown;
}

const KEY = Symbol.for("across.objects");
const open: object[] = [];
const waiting: ((proxy: object) => void)[] = [];

/** Makes the operations of this part of across known in this process. */
export function provideHooks(hooks: Omit<Hooks, "served">): void {
  (globalThis as Record<symbol, unknown>)[KEY] ??= {
    ...hooks,
    served: () =>
      new Promise((resolve) => {
        if (open.length > 0) resolve(open.at(-1)!);
        else waiting.push(resolve);
      }),
  } satisfies Hooks;
}

/** Says that something of this process's own making is served. Gives what says that it is not any more. */
export function announce(proxy: object): () => void {
  open.push(proxy);
  for (const found of waiting.splice(0)) found(proxy);
  return () => {
    const at = open.indexOf(proxy);
    if (at >= 0) open.splice(at, 1);
  };
}
