/**
 * The modules that peers exported to this process, so that it can import them by their original URLs, and pass them on to further hops from memory.
 *
 * @module
 */

import type { ModuleSource } from "./source.ts";

/** Who has modules of a peer. */
export interface ModuleOwner {
  /** A module's source, if it is here. */
  source(id: string): ModuleSource | undefined;
  /** Imports a module. */
  import(id: string): Promise<object>;
}

const owners = new Set<ModuleOwner>();

/** Makes a peer's modules known to the whole process. */
export function addOwner(owner: ModuleOwner): void {
  owners.add(owner);
}

/** Undoes {@linkcode addOwner}. */
export function dropOwner(owner: ModuleOwner): void {
  owners.delete(owner);
}

const ownerOf = (id: string): ModuleOwner | undefined => {
  for (const owner of owners) if (owner.source(id)) return owner;
  return undefined;
};

/** The source of a module that came from a peer. */
export function installedSource(id: string): ModuleSource | undefined {
  return ownerOf(id)?.source(id);
}

/** Imports a module under the URL that it has for this program: one that came from a peer, else by the runtime. */
export function importModule(id: string): Promise<object> {
  return ownerOf(id)?.import(id) ?? import(id);
}
