// RSync: what arrives of a tree, what is not sent, what is deleted, links, errors of single files, several targets.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { RSyncEvent, RSyncReport } from "../gateways/rsync.ts";
import { Group, RSync, RSyncError } from "../gateways/mod.ts";
import { biosCommand, Connection } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { canSeeLeaks } from "./support/leaks.ts";
import { runtimes } from "./support/runtimes.ts";
import { inFolder } from "./support/folder.ts";
import { describe, noise, put, sendTo, withEnd } from "./support/trees.ts";

/** A tree with a bit of everything. */
async function plant(source: string): Promise<void> {
  await put(`${source}/a.txt`, "some text");
  await put(`${source}/empty`, "");
  await put(`${source}/deep/er/b.bin`, noise(70_000));
  await put(`${source}/deep/large`, noise(700_001));
  await put(`${source}/nämé "with" 'all'\n`, "odd");
  await put(`${source}/secret`, "for me alone");
  await Deno.chmod(`${source}/secret`, 0o600);
  await put(`${source}/tool`, "#!/bin/sh\n");
  await Deno.chmod(`${source}/tool`, 0o755);
  await put(`${source}/fixed`, "read only");
  await Deno.chmod(`${source}/fixed`, 0o444);
  await Deno.mkdir(`${source}/void/of/files`, { recursive: true });
  await Deno.symlink("deep/er/b.bin", `${source}/link`);
  await Deno.symlink("../a.txt", `${source}/deep/up`);
  await Deno.symlink("deep", `${source}/directory`);
  await Deno.symlink("/nowhere/at/all", `${source}/outside`);
  await Deno.chmod(`${source}/deep/er`, 0o750);
  for (const path of ["deep/er", "deep", "void/of/files", "void/of", "void", "."]) {
    await Deno.utime(`${source}/${path}`, 1_500_000_000, 1_500_000_000);
  }
}

for (const { name, version, path } of await runtimes()) {
  Deno.test(
    `everything of a tree arrives, and only once [${name} ${version}]`,
    withEnd(async (folder, connection) => {
      const source = `${folder}/source`, destination = `${folder}/not/there/yet`;
      await plant(source);
      const first = await sendTo(connection, source, destination);
      assertEquals(await describe(destination), await describe(source));
      assertEquals((await Deno.stat(destination)).mtime, new Date(1_500_000_000_000));
      assertEquals([first.sent, first.unchanged, first.failed, first.complete], [8, 0, 0, true]);
      assertEquals([first.bytes, first.sentBytes], [first.totalBytes, first.totalBytes]);

      const second = await sendTo(connection, source, destination);
      assertEquals([second.sent, second.unchanged, second.sentBytes], [0, 8, 0]);

      // Another time, the same content; other permissions; a block of the large one; a new file.
      await Deno.utime(`${source}/a.txt`, 1_700_000_000, 1_700_000_000.5);
      await Deno.utime(`${source}/deep/large`, 1_700_000_000, 1_700_000_000.5);
      await Deno.chmod(`${source}/tool`, 0o700);
      const third = await sendTo(connection, source, destination);
      assertEquals([third.sent, third.sentBytes], [2, 0]);
      assertEquals(await describe(destination), await describe(source));

      const large = noise(700_001);
      large[300_000]! ^= 1;
      await put(`${source}/deep/large`, large, 1_700_000_001);
      await put(`${source}/deep/er/b.bin`, noise(70_000, 2), 1_700_000_001);
      const fourth = await sendTo(connection, source, destination);
      assertEquals([fourth.sent, fourth.sentBytes], [2, 70_000 + 32_768]);
      assertEquals(await describe(destination), await describe(source));
    }, path),
  );
}

Deno.test(
  "several targets get the tree at once, each file is read once",
  inFolder(async (folder) => {
    const source = `${folder}/source`;
    await put(`${source}/large`, noise(16 << 20));
    await put(`${source}/small`, "small");
    const ends = [0, 1, 2].map(() => Connection.fromCommand(biosCommand({ runtime: Deno.execPath() })));
    const rsync = new RSync(source);
    const finished: string[] = [];
    ends.forEach((connection, i) =>
      rsync.addTarget({ id: `end ${i}`, connection }, `${folder}/${i}`, {
        finished: ({ target }) => void finished.push(target),
      })
    );
    const readSoFar = (): number => {
      const io = canSeeLeaks ? Deno.readTextFileSync("/proc/self/io") : "rchar: 0";
      return Number(/rchar: (\d+)/.exec(io)![1]);
    };
    await Promise.all(ends.map((end) => end.import("@x/across/rsync")));
    const before = readSoFar();
    const reports = await rsync.send();
    const read = readSoFar() - before;
    assert(read < 24 << 20, `${read} bytes were read`);
    assertEquals(reports.map(({ target, sent }) => [target, sent]), [["end 0", 2], ["end 1", 2], ["end 2", 2]]);
    assertEquals(finished, ["end 0", "end 1", "end 2"]);
    const expected = await describe(source);
    for (const i of [0, 1, 2]) assertEquals(await describe(`${folder}/${i}`), expected);

    // They need not have the same to begin with.
    await Deno.remove(`${folder}/1/large`);
    await put(`${folder}/2/large`, noise(10 << 20));
    const again = await rsync.send();
    assertEquals(again.map(({ sent, unchanged }) => [sent, unchanged]), [[0, 2], [1, 1], [1, 1]]);
    assertEquals(again.map(({ sentBytes }) => sentBytes), [0, 16 << 20, 6 << 20]);
    for (const i of [0, 1, 2]) assertEquals(await describe(`${folder}/${i}`), expected);
    await Promise.all(ends.map((end) => end.close()));
  }),
);

Deno.test(
  "links lead where they led, or into the copy, and are never followed",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    await put(`${source}/inner/file`, "inside");
    await put(`${folder}/precious/file`, "precious");
    await Deno.symlink(`${source}/inner`, `${source}/absolute`);
    await Deno.symlink(`${folder}/precious`, `${source}/out`);
    await Deno.symlink("../precious/file", `${source}/out_too`);
    await Deno.symlink(".", `${source}/circle`);
    // What is there is a link to somewhere else, where the source has a directory, a file, and a link.
    await Deno.mkdir(destination);
    await Deno.symlink(`${folder}/precious`, `${destination}/inner`);
    await Deno.symlink(`${folder}/precious`, `${destination}/circle`);
    await put(`${source}/file`, "new");
    await Deno.symlink(`${folder}/precious/file`, `${destination}/file`);

    await sendTo(connection, source, destination, { delete: true });
    assertEquals(await Deno.readLink(`${destination}/absolute`), `${destination}/inner`);
    assertEquals(await Deno.readLink(`${destination}/out`), `${folder}/precious`);
    assertEquals(await Deno.readLink(`${destination}/out_too`), "../precious/file");
    assertEquals(await Deno.readLink(`${destination}/circle`), ".");
    assert((await Deno.lstat(`${destination}/inner`)).isDirectory);
    assert((await Deno.lstat(`${destination}/file`)).isFile);
    assertEquals(await Deno.readTextFile(`${folder}/precious/file`), "precious");
    assertEquals([...Deno.readDirSync(`${folder}/precious`)].map(({ name }) => name), ["file"]);

    // Nothing to do the second time; a link that changes is replaced, and deleted when it is gone.
    await Deno.remove(`${source}/out`);
    await Deno.symlink("inner", `${source}/out`);
    await Deno.remove(`${source}/circle`);
    const { deleted } = await sendTo(connection, source, destination, { delete: true });
    assertEquals([deleted, await Deno.readLink(`${destination}/out`)], [1, "inner"]);
    assertEquals(await Deno.readTextFile(`${folder}/precious/file`), "precious");
  }),
);

Deno.test(
  "what is not in the source is deleted on request only, through no link",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    await put(`${source}/keep/a`, "a");
    await put(`${destination}/keep/b`, "b");
    await put(`${destination}/old/deep/c`, "c");
    await put(`${destination}/keep.map`, "left out");
    await put(`${folder}/precious/file`, "precious");
    await Deno.symlink(`${folder}/precious`, `${destination}/old/link`);
    await sendTo(connection, source, destination);
    assertEquals(await Deno.readTextFile(`${destination}/keep/b`), "b");
    const events: string[] = [];
    const report = await sendTo(connection, source, destination, {
      delete: true,
      callback: ({ type, path }) => void (type === "deleted" && events.push(path!)),
    });
    assertEquals(report.deleted, 3);
    assertEquals(events.sort(), ["keep.map", "keep/b", "old"]);
    assertEquals(await describe(destination), await describe(source));
    assertEquals(await Deno.readTextFile(`${folder}/precious/file`), "precious");
  }),
);

Deno.test(
  "a filter leaves out files and whole directories, and is told what they are",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`;
    await put(`${source}/a.ts`, "a");
    await put(`${source}/a.map`, "b");
    await put(`${source}/node_modules/x/index.js`, "c");
    await Deno.symlink("a.ts", `${source}/link`);
    const seen: string[] = [];
    await sendTo(connection, source, `${folder}/copy`, {
      filter(path, { kind, size }) {
        seen.push(`${path} ${kind} ${size}`);
        return !path.endsWith(".map") && path !== "node_modules";
      },
    });
    assertEquals(seen.sort(), ["a.map file 1", "a.ts file 1", "link link 0", "node_modules directory 0"]);
    assertEquals([...Deno.readDirSync(`${folder}/copy`)].map(({ name }) => name).sort(), ["a.ts", "link"]);
  }),
);

Deno.test(
  "send() rejects without a target or a source, and resolves with raises: false",
  withEnd(async (folder, connection) => {
    const rsync = new RSync(`${folder}/nowhere`);
    await assertRejects(() => rsync.send({ raises: true }), Error, "there is no target");
    assertEquals(await rsync.send({ raises: false }), []);
    rsync.addTarget({ connection }, `${folder}/copy`);
    await assertRejects(() => rsync.send(), Error, `Cannot send "${folder}/nowhere"`);
    assertEquals(await rsync.send({ raises: false }), []);
    await put(`${folder}/file`, "no directory");
    const file = new RSync(`${folder}/file`);
    file.addTarget({ connection }, `${folder}/copy`);
    await assertRejects(() => file.send(), Error, "no directory");
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["file"]);
  }),
);

Deno.test("RSync refuses options that it does not know, and what has no connection", () => {
  const wrong = (make: () => unknown, text: string): void => {
    try {
      make();
    } catch (error) {
      assert(error instanceof TypeError);
      return assertStringIncludes(error.message, text);
    }
    throw new Error("It was accepted");
  };
  wrong(() => new RSync(""), "pass its path");
  wrong(() => new RSync(".", { filters: [] } as never), 'Unknown option "filters"');
  wrong(() => new RSync(".", { verbose: 1 } as never), "option verbose of RSync");
  wrong(() => new RSync(".").addTarget({} as never, "x"), "without a connection");
  wrong(() => new RSync(".").addTarget({ connection: { import() {} } } as never, ""), "no directory");
});

Deno.test(
  "files that vanish, change while they are read, or are none fail alone",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    await put(`${source}/a`, "a");
    await put(`${source}/b/gone`, "gone");
    await put(`${source}/b/gone_large`, noise(300_000));
    await put(`${source}/c_growing`, noise(8 << 20));
    await put(`${source}/z`, "z");
    await put(`${destination}/c_growing`, "what was there");
    assert((await new Deno.Command("mkfifo", { args: [`${source}/pipe`] }).output()).success);
    let grown = false;
    const rsync = new RSync(source, {
      filter(path) {
        if (path.includes("gone")) Deno.removeSync(`${source}/${path}`);
        return true;
      },
      callback({ type }) {
        if (type !== "progress" || grown) return;
        grown = true;
        Deno.writeTextFileSync(`${source}/c_growing`, "more", { append: true });
      },
    });
    rsync.addTarget({ connection }, destination);
    const error = await rsync.send().then(() => undefined, (error) => error);
    assert(error instanceof RSyncError);
    const reasons = Object.fromEntries(error.reports[0]!.errors.map(({ path, message }) => [path, message]));
    assertEquals(Object.keys(reasons).sort(), ["b/gone", "b/gone_large", "c_growing", "pipe"]);
    assertMatch(reasons["b/gone"]!, /ENOENT|No such file/);
    assertStringIncludes(reasons["c_growing"]!, "changed while it was read");
    assertStringIncludes(reasons["pipe"]!, "neither a file nor a directory nor a link");
    assertMatch(error.message, /and 3 more/);
    assertEquals(await Deno.readTextFile(`${destination}/a`), "a");
    assertEquals(await Deno.readTextFile(`${destination}/z`), "z");
    assertEquals(await Deno.readTextFile(`${destination}/c_growing`), "what was there");
    assertEquals([...Deno.readDirSync(destination)].map(({ name }) => name).sort(), ["a", "b", "c_growing", "z"]);
  }),
);

Deno.test(
  "what cannot be written fails alone; a directory gives way to a file with delete only",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    await put(`${source}/a`, "a");
    await put(`${source}/b`, "b");
    await put(`${source}/c/d`, "d");
    await put(`${destination}/a/in/the/way`, "old");
    await put(`${destination}/c`, "a file where a directory goes");
    const { errors, sent } = await sendTo(connection, source, destination, { raises: false });
    assertEquals([sent, errors.map(({ path }) => path)], [2, ["a"]]);
    assertStringIncludes(errors[0]!.message, "pass delete");
    assertEquals(await Deno.readTextFile(`${destination}/a/in/the/way`), "old");
    await sendTo(connection, source, destination, { delete: true });
    assertEquals(await describe(destination), await describe(source));
  }),
);

Deno.test(
  "a target that is lost does not keep the others from getting everything",
  withEnd(async (folder, healthy) => {
    const source = `${folder}/source`;
    await put(`${source}/large`, noise(24 << 20));
    await put(`${source}/small`, "small");
    const dying = Connection.fromCommand(biosCommand({ runtime: Deno.execPath() }));
    const pid = await dying.execute<number>("Deno.pid");
    const refused = Connection.fromCommand(biosCommand({ runtime: Deno.execPath() }));
    let killed = false;
    const rsync = new RSync(source, {
      callback({ type, progress }) {
        if (killed || type !== "progress" || progress.sentBytes === 0) return;
        killed = true;
        Deno.kill(pid, "SIGKILL");
      },
    });
    rsync.addTarget({ id: "dying", connection: dying }, `${folder}/dying`);
    rsync.addTarget({ id: "healthy", connection: healthy }, `${folder}/healthy`);
    rsync.addTarget({ id: "refused", connection: refused }, `${source}/small/below/a/file`);
    const reports = await rsync.send({ raises: false });
    const [one, two, three] = reports as [RSyncReport, RSyncReport, RSyncReport];
    assert(one.error instanceof Error && two.error === undefined);
    assertMatch(three.error!.message, /ENOTDIR|Not a directory|EEXIST|exists/);
    assertEquals(two.sent, 2);
    assertEquals(await describe(`${folder}/healthy`), await describe(source));
    await assertRejects(() => rsync.send(), RSyncError, "Not everything was copied");
    await dying.close().catch(() => {});
    await refused.close();
  }),
);

Deno.test(
  "a signal ends it, and nothing half stays behind",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    await put(`${source}/large`, noise(64 << 20));
    const controller = new AbortController();
    const rsync = new RSync(source, {
      callback({ progress }) {
        if (progress.sentBytes > 0) controller.abort(new Error("Enough"));
      },
    });
    rsync.addTarget({ connection }, destination);
    await assertRejects(() => rsync.send({ signal: controller.signal }), Error, "Enough");
    // Our answer comes after what the far side does about it.
    while ((await connection.call(listed, destination)).length > 0);
    assertEquals(await connection.execute("1 + 1"), 2);
  }),
);

/** The names in a directory, asked over there. */
async function listed(path: string): Promise<string[]> {
  const { readdirSync } = await import("node:fs");
  return readdirSync(path);
}

Deno.test(
  "progress counts up to all there is, and says which target it is about",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`;
    await put(`${source}/large`, noise(3 << 20));
    await put(`${source}/small`, "small");
    const events: RSyncEvent[] = [];
    const rsync = new RSync(source, { callback: (event) => void events.push(event) });
    rsync.addTarget({ id: "here", connection }, `${folder}/copy`);
    await rsync.send();
    assert(events.length > 5);
    assert(events.every(({ target, destination }) => target === "here" && destination === `${folder}/copy`));
    const bytes = events.map(({ progress }) => progress.sentBytes);
    assertEquals(bytes, bytes.toSorted((a, b) => a - b));
    const { progress } = events.at(-1)!;
    assertEquals([progress.bytes, progress.totalBytes, progress.complete], [(3 << 20) + 5, (3 << 20) + 5, true]);
    assertEquals(events.filter(({ type }) => type === "sent").map(({ path }) => path).sort(), ["large", "small"]);
  }),
);

Deno.test(
  "gateways of a group are targets, also one that is reached through another",
  inFolder(async (folder) => {
    const source = `${folder}/source`;
    await plant(source);
    await using group = new Group();
    await group.makeGateway("popen//id=near");
    await group.makeGateway("popen//id=far//via=near");
    const rsync = new RSync(source);
    for (const gateway of group) rsync.addTarget(gateway, `${folder}/${gateway.id}`);
    const reports = await rsync.send();
    assertEquals(reports.map(({ target, sent }) => [target, sent]), [["near", 8], ["far", 8]]);
    for (const id of ["near", "far"]) assertEquals(await describe(`${folder}/${id}`), await describe(source));
  }),
);
