// RSync: an end without the rights to write some of the destination, or to read some of the source. Where the tests run as root, which may do
// everything, that end gives its rights up.

import { assertEquals, assertMatch } from "@std/assert";
import type { Connection } from "../mod.ts";
import { runtime } from "./support/runtimes.ts";
import { describe, noise, put, sendTo, withEnd } from "./support/trees.ts";

/** Who has no rights: `nobody`, on most systems. */
const NOBODY = 65534;

const isRoot = Deno.build.os !== "windows" && Deno.uid() === 0;

/** A test that gets an end of somebody who is not root, and a folder that belongs to root. */
function test(name: string, body: (folder: string, connection: Connection) => Promise<void>): void {
  Deno.test(isRoot ? name : `${name} [only root can make files of somebody else]`, { ignore: !isRoot }, async () => {
    const { path } = await runtime("node", 24);
    await withEnd(async (folder, connection) => {
      await Deno.chmod(folder, 0o755);
      await connection.call(giveUp, NOBODY);
      await body(folder, connection);
    }, path)();
  });
}

/** Gives up the rights of root. The program itself is loaded by then, so that it does not matter who may read that. */
async function giveUp(user: number): Promise<void> {
  const { default: process } = await import("node:process");
  process.setgroups!([]);
  process.setegid!(user);
  process.seteuid!(user);
}

/** What a report tells of errors: paths, in order, and why. */
function reasons(errors: readonly { readonly path: string; readonly message: string }[]): [string[], string] {
  return [errors.map(({ path }) => path).sort(), errors.map(({ message }) => message).join("\n")];
}

test(
  "a file that cannot be written for lack of rights fails alone, and the rest arrives",
  async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    for (const name of ["a", "closed/new", "closed/old", "open/b", "z"]) await put(`${source}/${name}`, `new ${name}`);
    for (const name of ["closed/large", "open/large", "open/new_large"]) await put(`${source}/${name}`, noise(300_000));
    // In a directory of root nothing can be made or replaced; in one of its own the end replaces what it may not even read.
    await put(`${destination}/closed/old`, "old");
    await put(`${destination}/open/b`, "NEW OPEN/B", 1_500_000_000);
    await put(`${destination}/open/large`, noise(300_001, 2));
    for (const name of ["b", "large"]) await Deno.chmod(`${destination}/open/${name}`, 0o600);
    for (const name of [".", "open"]) await Deno.chown(`${destination}/${name}`, NOBODY, NOBODY);

    const report = await sendTo(connection, source, destination, { raises: false });
    const [paths, why] = reasons(report.errors);
    assertEquals(paths, ["closed", "closed/large", "closed/new", "closed/old"]);
    assertMatch(why, /EACCES.*\n.*EACCES.*\n.*EACCES/);
    assertEquals([report.sent, report.failed, report.error], [5, 4, undefined]);
    assertEquals([...Deno.readDirSync(`${destination}/closed`)].map(({ name }) => name), ["old"]);
    assertEquals(await Deno.readTextFile(`${destination}/closed/old`), "old");
    const rest = (lines: readonly string[]): string[] => lines.filter((line) => !line.startsWith("closed/"));
    assertEquals(rest(await describe(destination)), rest(await describe(source)));

    // When the rights are there, what is missing arrives.
    for (const name of ["closed", "closed/old"]) await Deno.chown(`${destination}/${name}`, NOBODY, NOBODY);
    const again = await sendTo(connection, source, destination);
    assertEquals([again.sent, again.unchanged], [3, 5]);
    assertEquals(await describe(destination), await describe(source));
  },
);

test("a destination that cannot be written to at all is the error of its target", async (folder, connection) => {
  await put(`${folder}/source/a`, "a");
  const { error, sent } = await sendTo(connection, `${folder}/source`, `${folder}/copy`, { raises: false });
  assertMatch(String(error), /EACCES/);
  assertEquals([sent, [...Deno.readDirSync(folder)].map(({ name }) => name)], [0, ["source"]]);
});

/** Sends a tree from the end that runs this to itself, as all others would. */
async function sendThere(source: string, destination: string): Promise<{ sent: number; errors: [string, string][] }> {
  const { Connection } = await import("@x/across");
  const { RSync } = await import("@x/across/rsync");
  const { port1, port2 } = new MessageChannel();
  const one = Connection.fromPort(port1), other = Connection.fromPort(port2);
  try {
    const rsync = new RSync(source);
    rsync.addTarget({ connection: one }, destination, { delete: true });
    const [report] = await rsync.send({ raises: false });
    if (report!.error) throw report!.error;
    return { sent: report!.sent, errors: report!.errors.map(({ path, message }) => [path, message]) };
  } finally {
    await Promise.all([one.close(), other.close()]);
  }
}

test(
  "a file that cannot be read for lack of rights fails alone, and nothing is deleted for it",
  async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    for (const name of ["a", "secret", "locked/inner", "z"]) await put(`${source}/${name}`, `new ${name}`);
    await put(`${source}/secret_large`, noise(300_000));
    await put(`${destination}/secret`, "old");
    await put(`${destination}/locked/kept`, "kept");
    await put(`${destination}/gone`, "not in the source");
    for (const name of ["secret", "secret_large"]) await Deno.chmod(`${source}/${name}`, 0o600);
    await Deno.chmod(`${source}/locked`, 0o700);
    for (const name of [".", "locked"]) await Deno.chown(`${destination}/${name}`, NOBODY, NOBODY);

    const { sent, errors } = await connection.call(sendThere, source, destination);
    const [paths, why] = reasons(errors.map(([path, message]) => ({ path, message })));
    assertEquals([sent, paths], [2, ["locked", "secret", "secret_large"]]);
    assertMatch(why, /EACCES.*\n.*EACCES.*\n.*EACCES/);
    assertEquals([...Deno.readDirSync(destination)].map(({ name }) => name).sort(), ["a", "locked", "secret", "z"]);
    assertEquals(await Deno.readTextFile(`${destination}/secret`), "old");
    assertEquals(await Deno.readTextFile(`${destination}/locked/kept`), "kept");
  },
);
