/**
 * Groups for tests: what is opened in one is ended with it, and nothing may be left.
 *
 * @module
 */

import { Group } from "../../gateways/mod.ts";
import type { Gateway, XSpecInit } from "../../gateways/mod.ts";
import { noLeaks } from "./leaks.ts";

/** How long a test waits for what should be there soon, on a machine that is busy. Milliseconds. */
export const SOON = { timeout: 60_000 };

/** A test that gets a group, which is terminated at the end; then nothing may be left. */
export function inGroup(body: (group: Group) => Promise<void>): () => Promise<void> {
  return noLeaks(async () => {
    const group = new Group();
    try {
      await body(group);
    } finally {
      await group.terminate({ timeout: 10_000 });
    }
  });
}

/** The same with a gateway in it. */
export function withGateway(
  body: (gateway: Gateway, group: Group) => Promise<void>,
  spec: string | XSpecInit = "popen",
): () => Promise<void> {
  return inGroup(async (group) => await body(await group.makeGateway(spec), group));
}
