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

/** Makes a folder for the copy, whose name tells whose it is, and works in it from now on. Sent by its source, as all of these, so it uses nothing from here. */
async function makeCopy(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: `across-tests-${Deno.hostname()}-${Deno.pid}-` });
  Deno.chdir(folder);
  return folder;
}

/** Removes copies of those on this machine that were killed before they could. */
async function removeOrphans(): Promise<void> {
  const { default: process } = await import("node:process");
  const { dirname, join } = await import("node:path");
  const root = dirname(Deno.cwd()), prefix = `across-tests-${Deno.hostname()}-`;
  for await (const { name } of Deno.readDir(root)) {
    if (!name.startsWith(prefix)) continue;
    try {
      process.kill(parseInt(name.slice(prefix.length)), 0);
    } catch (error) {
      if ((error as { code?: string }).code !== "ESRCH") continue;
      // Another one may be about to remove it, too.
      await Deno.remove(join(root, name), { recursive: true }).catch(() => {});
    }
  }
}

/** Sends the project to all gateways, each of which then works in its copy. */
async function sendProject(gateways: readonly Gateway[]): Promise<void> {
  const rsync = new RSync(".", { filter: (path) => BELONGS.test(path.slice(path.lastIndexOf("/") + 1)) });
  for (const gateway of gateways) {
    const { runtime } = await gateway.remoteInfo();
    if (runtime !== "deno") throw new Error(`Cannot run tests on ${gateway.id}: it is ${runtime}, pass runtime=deno`);
    rsync.addTarget(gateway, await gateway.connection.call(makeCopy));
    await gateway.connection.call(removeOrphans);
  }
  await rsync.send();
}

/** Runs a test file. */
async function runTests(job: { file: string; seconds: number }): Promise<Outcome> {
  const { getCallSignal } = await import("@x/across");
  const xml = await Deno.makeTempFile({ dir: Deno.cwd(), prefix: ".report-", suffix: ".xml" });
  const began = performance.now();
  const test = [Deno.execPath(), "test", "-A", "--no-prompt", `--junit-path=${xml}`, job.file];
  // It is killed when the pipe from here breaks before a line came: this process may be, too.
  const guard = 'exec 3<&0 </dev/null; (read -r _ <&3 || kill -KILL $$) >/dev/null 2>&1 & exec "$@" 3<&-';
  const [command, ...args] = Deno.build.os === "windows" ? test : ["sh", "-c", guard, "sh", ...test];
  const child = new Deno.Command(command!, {
    args,
    env: { NO_COLOR: "1", RUST_BACKTRACE: "0" },
    signal: AbortSignal.any([getCallSignal(), AbortSignal.timeout(job.seconds * 1_000)]),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  try {
    const { code, stdout, stderr } = await child.output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).slice(-20_000));
    const [seconds, where] = [(performance.now() - began) / 1_000, `deno ${Deno.version.deno}, ${Deno.hostname()}`];
    return { file: job.file, code, seconds, where, xml: await Deno.readTextFile(xml), output: `${out}${err}` };
  } finally {
    const line = child.stdin.getWriter();
    await line.write(new Uint8Array([10])).then(() => line.close()).catch(() => {});
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
  // Those that are lost have left the group. Their copies go now, if another one is on their machine, else when somebody is again.
  await Promise.allSettled([...group].map(async ({ connection }) => {
    await connection.call(removeOrphans);
    const folder = await connection.call(Deno.cwd);
    await connection.call(Deno.chdir, "/");
    await connection.call(Deno.remove, folder, { recursive: true });
  }));
}
console.log(report.summary((performance.now() - began) / 1_000, gateways.length));
if (junit) await Deno.writeTextFile(junit, report.toXml());
Deno.exitCode = report.failed > 0 ? 1 : 0;
