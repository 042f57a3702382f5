// Stands in for jsr:@std/cli where JSR cannot be reached: the same code, as npm has it, with the types of the original.
// Only parseArgs, which is all that this project uses of it.

// @ts-types="./types.d.ts"
export * from "npm:deno-std@1.4.0/cli/parse_args.js";
