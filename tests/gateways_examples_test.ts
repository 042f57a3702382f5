/**
 * The examples of gateways do what they say.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { noLeaks } from "./support/leaks.ts";

async function run(example: string, ...args: string[]): Promise<string> {
  const path = fromFileUrl(new URL(`../examples/gateways/${example}`, import.meta.url));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", path, ...args] })
    .output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test(
  "the file server sends what there is, and says what there is not",
  noLeaks(async () => {
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, "twelve bytes");
    try {
      const [first, second] = (await run("file_server.ts", "popen", file, "/does/not/exist")).split("\n");
      assertEquals(first, `${file} 12 bytes`);
      assertEquals(second!.startsWith("/does/not/exist ENOENT"), true, second);
    } finally {
      await Deno.remove(file);
    }
  }),
);

Deno.test(
  "the triangle talks",
  noLeaks(async () => assertEquals(await run("triangle.ts"), "Well, thank you\n")),
);
