// Stands in for jsr:@std/streams where JSR cannot be reached: the same code, as npm has it, with the types of the original.

// @ts-types="./types.d.ts"
export * from "npm:deno-std@1.4.0/streams/mod.js";
