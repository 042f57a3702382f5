/**
 * What an import hook can do. The hooks of the runtimes are in `hook_*.ts`, and `hook.ts` chooses among them.
 *
 * @module
 */

/** Makes modules importable under URLs of our choice; cycles are fine. There is one per process. */
export interface ImportHook {
  /** What stands in front of an id to make a URL that the runtime takes. */
  readonly scheme: string;
  /** Adds modules: URL and JavaScript. A promise where they are not there at once. */
  add(modules: Iterable<readonly [url: string, source: string]>): Promise<void> | void;
  /** Takes modules out; what was imported lives on. */
  drop(urls: Iterable<string>): void;
}
