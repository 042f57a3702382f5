/**
 * The `across-bios` command: prints the script that turns a bare interpreter into a remote end.
 *
 * ```sh
 * deno install -g -A -n across-bios jsr:@x/across/across-bios
 * ssh wonderland deno eval "$(across-bios)"
 * ```
 *
 * @module
 */

// Not from mod.ts: who starts this waits for the script, and the script alone is loaded much sooner.
import { getBios } from "./bios/script.ts";

if (import.meta.main) console.log(getBios());
