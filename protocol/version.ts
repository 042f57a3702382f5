/**
 * The version of across, which is also the version of the protocol: two sides speak with each other when major and minor are equal.
 *
 * @module
 */

/** The version of this library, as in `deno.json`. */
export const VERSION = "0.1.0";

/** Major version. */
export const MAJOR: number = Number(VERSION.split(".")[0]);
/** Minor version. */
export const MINOR: number = Number(VERSION.split(".")[1]);
