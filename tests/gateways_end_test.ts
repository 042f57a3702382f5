/**
 * Programs that end without having ended their gateways, in all the ways in which programs end: no interpreter survives, whatever runs in it, and
 * whichever started it. What `terminate()` does is in `gateways_group_test.ts`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { bundled } from "./support/bundle.ts";
import { condition, isAlive, noLeaks } from "./support/leaks.ts";
import type { RuntimeName } from "./support/runtimes.ts";
import { runtime } from "./support/runtimes.ts";

const PROGRAM = await bundled("forgets", "fixtures/gateways");

/** How the program ends, and what is seen of that: an exit code, or a signal. */
const WAYS: readonly (readonly [what: string, way: string, how: number | Deno.Signal])[] = [
  ["comes to its end", "ends", 0],
  ["comes to its end as sources begin", "ends at once", 0],
  ["throws", "throws", 1],
  ["leaves a rejection", "rejects", 1],
  ["exits", "exits", 3],
  ["gets SIGINT", "waits", "SIGINT"],
  ["gets SIGTERM", "waits", "SIGTERM"],
  ["gets SIGKILL", "waits", "SIGKILL"],
];

/** What the gateways are, in turns. */
const FAR: readonly (readonly [RuntimeName, string?])[] = [["deno"], ["node", "20"], ["bun"], ["node", "26"]];

for (const [name, version] of [["deno"], ["node", "20"], ["node", "26"], ["bun"]] as [RuntimeName, string?][]) {
  for (const [index, [what, way, how]] of WAYS.entries()) {
    Deno.test(
      `no interpreter survives a program on ${name} ${version ?? ""} that ${what}`,
      noLeaks(async () => {
        const { path } = await runtime(name, version);
        const far = (await runtime(...FAR[index % FAR.length]!)).path;
        const child = new Deno.Command(path, {
          args: [...(name === "deno" ? ["run", "-A", "--quiet", "--no-config"] : []), PROGRAM, way, far],
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn();
        const complaints = new Response(child.stderr).text();
        let said = "";
        // It ends by itself, though not everything is answered; but for this it would keep the test for ever.
        const late = setTimeout(() => child.kill("SIGKILL"), 120_000);
        for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
          said += text;
          if (said.includes("\n") && typeof how === "string") child.kill(how);
        }
        clearTimeout(late);
        const { code, signal } = await child.status;
        assertEquals(signal ?? code, how, await complaints);
        const pids: number[] = JSON.parse(said);
        assertEquals(new Set(pids).size, 4);
        await condition(() => !pids.some(isAlive), `all of ${pids} have ended`);
      }),
    );
  }
}
