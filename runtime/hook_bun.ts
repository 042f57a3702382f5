/**
 * The import hook by `Bun.plugin`. Bun reports importers oddly and takes every URL apart that is not of a scheme which a plugin has claimed, so all
 * modules get one, and import each other by full URLs.
 *
 * @module
 */

import type { ImportHook } from "./import_hook.ts";

/** What is used of Bun's plugins. */
interface BunPlugins {
  plugin(plugin: {
    name: string;
    setup(build: {
      onLoad(
        where: { filter: RegExp; namespace: string },
        load: (module: { path: string }) => { contents: string; loader: "js" } | undefined,
      ): void;
    }): void;
  }): void;
}

/** Installs the hook. */
export function bunHook(): ImportHook {
  const sources = new Map<string, string>();
  // Two instances of this library may be in one process.
  const namespace = `across${Math.random().toString(36).slice(2)}`;
  (globalThis as unknown as { Bun: BunPlugins }).Bun.plugin({
    name: namespace,
    setup(build) {
      build.onLoad({ filter: /.*/, namespace }, ({ path }) => {
        const contents = sources.get(`${namespace}:${path}`);
        return contents === undefined ? undefined : { contents, loader: "js" };
      });
    },
  });
  return {
    scheme: `${namespace}:`,
    add(modules) {
      for (const [url, source] of modules) sources.set(url, source);
    },
    drop(urls) {
      for (const url of urls) sources.delete(url);
    },
  };
}
