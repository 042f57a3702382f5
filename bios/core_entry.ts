/**
 * What `scripts/embed.ts` makes the core of: the body of a function that stage 1 (`script.ts`) calls with `init`. It is never imported.
 *
 * @module
 */

import type { BootInit } from "./boot.ts";
import { boot } from "./boot.ts";

declare const init: BootInit;

boot(init);
