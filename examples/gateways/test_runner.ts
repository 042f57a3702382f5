/**
 * `deno test`, spread over interpreters, here and on other machines, where nothing has to be installed but `deno`.
 *
 *   deno run -A examples/gateways/test_runner.ts --on popen --on ssh=wonderland --junit report.xml tests/
 *
 * The folder that it is started in is sent to each of them, but for `node_modules` and what begins with a dot. Then each test file goes to whichever has
 * nothing to do; what one had in hand that dies, another one gets. Without `--on` there are two interpreters on this machine; without paths, all test
 * files are run. What tests import from elsewhere, the other machines have to fetch. Exits with 1 when something failed.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { Group } from "@x/across/gateways";
import type { Gateway } from "@x/across/gateways";
import { RSync } from "@x/across/rsync";
import { Report } from "./test_report.ts";
import type { Outcome } from "./test_report.ts";

const BELONGS = /^(?!\.|node_modules$)/;
const TEST = /^(?:.*[._])?test\.[mc]?[jt]sx?$/;

/** Test files below a path of the project, with `/` between names. */
async function* testFiles(path: string): AsyncGenerator<string, void, undefined> {
  if ((await Deno.stat(path)).isFile) return void (yield path);
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    const inner = path === "." ? name : `${path}/${name}`;
    if (isDirectory && BELONGS.test(name)) yield* testFiles(inner);
    else if (TEST.test(name)) yield inner;
  }
}

/** Sends the project to all gateways, each of which then works in its copy. */
async function sendProject(gateways: readonly Gateway[]): Promise<void> {
  const rsync = new RSync(".", { filter: (path) => BELONGS.test(path.slice(path.lastIndexOf("/") + 1)) });
  for (const gateway of gateways) {
    const { runtime } = await gateway.remoteInfo();
    if (runtime !== "deno") throw new Error(`Cannot run tests on ${gateway.id}: it is ${runtime}, pass runtime=deno`);
    const folder = await gateway.connection.call(Deno.makeTempDir, { prefix: "across-tests-" });
    await gateway.connection.call(Deno.chdir, folder);
    rsync.addTarget(gateway, folder);
  }
  await rsync.send();
}

/** Runs a test file. This is sent to a gateway by its source, so it uses nothing from here. */
async function runTests(job: { file: string; seconds: number }): Promise<Outcome> {
  const { getCallSignal } = await import("@x/across");
  const xml = await Deno.makeTempFile({ suffix: ".xml" });
  const began = performance.now();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-prompt", `--junit-path=${xml}`, job.file],
      env: { NO_COLOR: "1", RUST_BACKTRACE: "0" },
      signal: AbortSignal.any([getCallSignal(), AbortSignal.timeout(job.seconds * 1_000)]),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).slice(-20_000));
    const [seconds, where] = [(performance.now() - began) / 1_000, `deno ${Deno.version.deno}, ${Deno.hostname()}`];
    return { file: job.file, code, seconds, where, xml: await Deno.readTextFile(xml), output: `${out}${err}` };
  } finally {
    await Deno.remove(xml);
  }
}

const { on, junit, seconds, _: paths } = parseArgs(Deno.args, {
  string: ["on", "junit", "seconds", "_"],
  collect: ["on"],
  default: { seconds: "600" },
});
const began = performance.now();
await using group = new Group();
const gateways = await group.makeGateways(on.length > 0 ? on as string[] : ["popen", "popen"]);
const report = new Report();
try {
  await sendProject(gateways);
  const jobs: { file: string; seconds: number }[] = [];
  for (const path of paths.length > 0 ? paths : ["."]) {
    for await (const file of testFiles(String(path).replace(/(?<=.)\/+$/, ""))) {
      jobs.push({ file, seconds: Number(seconds) });
    }
  }
  for await (const outcome of group.map(jobs, runTests, { order: "completion", retries: 2 })) {
    console.log(report.add(outcome));
  }
} finally {
  // Those that are lost have left the group, and their copies stay.
  await Promise.allSettled([...group].map(async ({ connection }) => {
    const folder = await connection.call(Deno.cwd);
    await connection.call(Deno.chdir, "/");
    await connection.call(Deno.remove, folder, { recursive: true });
  }));
}
console.log(report.summary((performance.now() - began) / 1_000, gateways.length));
if (junit) await Deno.writeTextFile(junit, report.toXml());
Deno.exitCode = report.failed > 0 ? 1 : 0;
