/**
 * Garbage collection on demand, so that tests of what it triggers need not wait for luck.
 *
 * @module
 */

import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose-gc");

/** Collects all garbage now. Finalizers run in a later turn of the event loop. */
export const collectGarbage: () => void = vm.runInNewContext("gc");
