/**
 * The census counts elsewhere, on an interpreter that has none of its modules.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { biosCommand, Connection } from "../mod.ts";
import { census } from "../examples/census/census.ts";
import { noLeaks } from "./support/leaks.ts";

Deno.test(
  "examples/census counts what is in a folder, over there",
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    const connection = Connection.fromCommand(biosCommand());
    try {
      await Deno.writeTextFile(`${folder}/a.txt`, "12345");
      await Deno.mkdir(`${folder}/inner`);
      await Deno.writeTextFile(`${folder}/inner/b.txt`, "123");
      await connection.export(import.meta.resolve("../examples/census/census.ts"));
      const counted = await connection.call(census, folder);
      assertEquals([counted.files, counted.bytes], [2, 8]);
      assert(counted.by.pid !== Deno.pid);
    } finally {
      await connection.close();
      await Deno.remove(folder, { recursive: true });
    }
  }),
);
