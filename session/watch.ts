/**
 * Listening to many signals, or to one for many: one listener on each, however many want to know, and none when nobody does.
 *
 * @module
 */

/** Someone who is to know when a signal is aborted. */
export interface Watcher {
  /** Called once, with the signal's reason. */
  aborted(reason: unknown): void;
}

const watchers = new WeakMap<AbortSignal, Set<Watcher>>();

function tell({ currentTarget }: Event): void {
  const signal = currentTarget as AbortSignal;
  const told = watchers.get(signal)!;
  watchers.delete(signal);
  for (const watcher of told) watcher.aborted(signal.reason);
}

/** Has `watcher` told when a signal is aborted that is not aborted yet. */
export function watch(signal: AbortSignal, watcher: Watcher): void {
  let set = watchers.get(signal);
  if (!set) {
    watchers.set(signal, set = new Set());
    signal.addEventListener("abort", tell, { once: true });
  }
  set.add(watcher);
}

/** Undoes {@linkcode watch}. */
export function unwatch(signal: AbortSignal, watcher: Watcher): void {
  const set = watchers.get(signal);
  if (!set?.delete(watcher) || set.size > 0) return;
  watchers.delete(signal);
  signal.removeEventListener("abort", tell);
}
