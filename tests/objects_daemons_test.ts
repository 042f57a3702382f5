// Processes of spawn() and the program that started them: who keeps whom alive, what ends with what, and whose output is whose.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { condition, isAlive, noLeaks } from "./support/leaks.ts";
import { usual } from "./support/objects.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const JOBS = import.meta.resolve("./fixtures/objects/jobs.ts");

/** What a program said and how it ended. */
interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program that imports this library, in a process of its own. It gets `on`, options for `spawn.with()`. */
async function program(
  on: string,
  text: string,
  meanwhile?: (child: Deno.ChildProcess) => Promise<void>,
): Promise<Said> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(
    file,
    `import { spawn } from ${JSON.stringify(import.meta.resolve("../objects/mod.ts"))};
import * as jobs from ${JSON.stringify(JOBS)};
const on = { ${on}, modules: [${JSON.stringify(JOBS)}] };
${text}`,
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--config", new URL("../deno.json", import.meta.url).pathname, file],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const output = child.output();
  await meanwhile?.(child);
  const { code, stdout, stderr } = await output;
  await Deno.remove(file);
  const [out, err] = [stdout, stderr].map((it) => new TextDecoder().decode(it));
  return { code, out: out!, err: err! };
}

const on = (path: string): string => `runtime: ${JSON.stringify(path)}`;

/** Starts something, and tells its process id when it runs. */
const start = (options: string, job: string): string =>
  `const p = spawn.with({ ...on, ${options} })(jobs.${job});
await p.connection.ready();
console.log(p.pid);`;

await testEachRuntime(
  "what user code prints passes through",
  noLeaks(async ({ path }) => {
    const text = `await using p = spawn.with(on)(jobs.print, "hello");`;
    for (const place of [on(path), "worker: true"]) {
      const { code, out, err } = await program(place, text);
      assertEquals(code, 0, err);
      // What a process prints is text for people; a worker prints where its process does.
      assertStringIncludes(place === "worker: true" ? out : err, "hello on stdout\n");
      assertStringIncludes(err, "hello on stderr\n");
    }
  }),
  usual,
);

await testEachRuntime(
  "a daemon does not keep the program alive and dies with it",
  noLeaks(async ({ path }) => {
    for (const job of ["forever", "spin"]) {
      for (const last of ["", "Deno.exit(3);", "throw new Error('on purpose');"]) {
        const { code, out, err } = await program(on(path), `${start("daemon: true", job)}\n${last}`);
        assertEquals(code, last === "" ? 0 : last.startsWith("throw") ? 1 : 3, err);
        await condition(() => !isAlive(Number(out)), "it died with the program");
      }
    }
  }),
  usual,
);

await testEachRuntime(
  "processes die with a program that is killed, spinning or not, waited for or not",
  noLeaks(async ({ path }) => {
    for (const job of ["forever", "spin"]) {
      for (const waits of ["void p;", "p.result.catch(() => {});"]) {
        const folder = await Deno.makeTempDir();
        const text = `const p = spawn.with({ ...on, daemon: ${waits === "void p;"} })(jobs.${job});
${waits}
await p.connection.ready();
Deno.writeTextFileSync(${JSON.stringify(`${folder}/new`)}, String(p.pid));
Deno.renameSync(${JSON.stringify(`${folder}/new`)}, ${JSON.stringify(`${folder}/pid`)});
await new Promise(() => setInterval(() => {}, 1000));`;
        let pid = 0;
        await program(on(path), text, async (child) => {
          pid = await condition(() => Number(Deno.readTextFileSync(`${folder}/pid`)), "it runs");
          assert(isAlive(pid));
          child.kill("SIGKILL");
        });
        await condition(() => !isAlive(pid), "it died with the program");
        await Deno.remove(folder, { recursive: true });
      }
    }
  }),
  usual,
);

await testEachRuntime(
  "one that is no daemon keeps the program alive",
  noLeaks(async ({ path }) => {
    const late = "async () => { await new Promise((r) => setTimeout(r, 200)); console.log('late'); }";
    const text = `const p = spawn.with({ ...on, daemon: false })(${late});
await p.connection.ready();`;
    const { code, err } = await program(on(path), text);
    assertEquals(code, 0, err);
    assertStringIncludes(err, "late");
  }),
  usual,
);

Deno.test(
  "who waits for a daemon keeps the program alive",
  noLeaks(async () => {
    const { code, out, err } = await program(
      "daemon: true",
      `const later = async () => { await new Promise((r) => setTimeout(r, 200)); return "late"; };
console.log(await spawn(later).result);
await spawn(later).join();
for await (const x of spawn(async function* () { await new Promise((r) => setTimeout(r, 100)); yield "item"; })) console.log(x);`,
    );
    assertEquals([code, out], [0, "late\nitem\n"], err);
  }),
);

Deno.test(
  "a result that nobody waits for is no unhandled rejection",
  noLeaks(async () => {
    const { path } = await runtime("deno");
    for (const text of ["p.result;", "void p.result; await p.join().catch(() => {});"]) {
      const { code, out, err } = await program(
        on(path),
        `const p = spawn.with(on)(jobs.fail, "on purpose");
${text}
while (p.isAlive) await new Promise((resolve) => setTimeout(resolve, 1));
console.log("the end");`,
      );
      assertEquals([code, out], [0, "the end\n"], err);
    }
    const { code, out, err } = await program(
      on(path),
      `const p = spawn.with(on)(jobs.countTo, 3, "on purpose");
await p.result.catch(() => {});
await p.join();
console.log("the end");`,
    );
    assertEquals([code, out], [0, "the end\n"], err);
  }),
);
