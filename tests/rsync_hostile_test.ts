// RSync with a hostile other side: a sender that wants out of the destination, a receiver that wants what it was not offered.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { receiveTree, RSync } from "../gateways/rsync.ts";
import type { Answer, Entry, List, Message } from "../gateways/rsync.ts";
import { inFolder } from "./support/folder.ts";
import { noise, put } from "./support/trees.ts";

const DRESS = { mode: 0o644, time: 1_600_000_000_000 };
const ROOT = { delete: false, mode: 0o755, time: 1_600_000_000_000 };

const list = (entries: Entry[], more: Partial<List> = {}): List => ({
  list: 0,
  first: 1,
  entries,
  keep: [],
  last: true,
  known: true,
  ...more,
});
const small = (id: number, text: string): Message[] => [
  { files: [[id, DRESS.mode, DRESS.time, text.length]] },
  new TextEncoder().encode(text),
];

/** Says things to a receiver. Returns what it answered and why it left, if it did. */
async function tell(
  destination: string,
  messages: readonly unknown[],
  init: unknown = ROOT,
): Promise<{ answers: Answer[]; error?: Error }> {
  const answers: Answer[] = [];
  async function* say(): AsyncGenerator<Message> {
    yield* messages as Message[];
  }
  try {
    for await (const answer of receiveTree(destination, init as never, say())) answers.push(answer);
    return { answers };
  } catch (error) {
    return { answers, error: error as Error };
  }
}

const failures = (answers: readonly Answer[]): string[] =>
  answers.flatMap((answer) => "failed" in answer ? answer.failed.map(([, text]) => text) : []);

Deno.test(
  "a receiver refuses names that lead anywhere else",
  inFolder(async (folder) => {
    for (const name of ["..", ".", "", "a/b", "/etc", "../x", "a\0b", 7, null, undefined, ["a"]]) {
      const { error } = await tell(`${folder}/copy`, [list([{ name: name as string, size: 1, ...DRESS }])]);
      assertStringIncludes(error!.message, "an entry that is none", String(name));
    }
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["copy"]);
    assertEquals([...Deno.readDirSync(`${folder}/copy`)], []);
  }),
);

Deno.test(
  "a receiver refuses what does not follow, and what it did not ask for",
  inFolder(async (folder) => {
    const file: Entry = { name: "a", size: 300_000, ...DRESS };
    const listed = list([file]);
    const many = ["p", "q", "r", "s", "t"].map((name) => ({ name, size: 1, ...DRESS }));
    const open: Message = { open: 1, size: 300_000, ...DRESS };
    const cases: readonly (readonly [text: string, ...messages: unknown[]])[] = [
      ["after the end", null],
      ["something unknown", { hello: 1 }],
      ["does not follow", { ...listed, list: 7 }],
      ["does not follow", { ...listed, first: 2 }],
      ["does not follow", listed, { ...listed, first: 2 }],
      ["does not follow", { ...listed, entries: "many" }],
      ["does not follow", { ...listed, entries: Array(1001).fill(file) }],
      ["an entry that is none", list([file, file])],
      ["an entry that is none", list([{ ...file, link: "x" }])],
      ["an entry that is none", list([{ ...file, mode: 0o1000000 }])],
      ["an entry that is none", list([{ ...file, time: NaN }])],
      ["an entry that is none", list([{ ...file, size: -1 }])],
      ["an entry that is none", list([null as never])],
      ["nobody asked for", ...small(1, "x")],
      ["nobody asked for", listed, ...small(2, "x")],
      ["nobody asked for", listed, { open: 2, size: 1, ...DRESS }],
      ["nobody asked for", listed, { close: 5 }],
      ["nobody asked for", listed, ...small(1, "x"), ...small(1, "y")],
      ["nobody asked for", listed, { files: [[1, 0o644, 0, 1], [1, 0o644, 0, 1]] }],
      ["a file that is none", listed, { files: [[1, 0o644, NaN, 1]] }],
      ["a file that is none", listed, { files: [[1, 0o644, 0, "text"]] }],
      ["a file that is none", listed, { files: [[1, 0o644, 0, -1]] }],
      ["a file that is none", listed, { files: [[1, 0o644, 0, (128 << 10) + 1]] }],
      ["a file that is none", listed, { files: [7] }],
      ["too many files", listed, { files: Array(129).fill([1, 0, 0, null]) }],
      ["too much at once", list(many), { files: many.map((_, i) => [i + 1, 0o644, 0, 128 << 10]) }],
      ["content of no file", listed, new Uint8Array(1)],
      ["more content than", listed, { files: [[1, 0o644, 0, 2]] }, new Uint8Array(3)],
      ["in the middle of small", listed, { files: [[1, 0o644, 0, 2]] }, new Uint8Array(1), { end: true }],
      ["in the middle of small", listed, { files: [[1, 0o644, 0, 2]] }, open],
      ["in the middle of a large", list([file, { ...file, name: "b" }]), open, ...small(2, "x")],
      ["left before the end", listed, { files: [[1, 0o644, 0, 2]] }, new Uint8Array(1)],
      ["blocks of no file", listed, { copy: 0, count: 1 }],
      ["blocks of no file", listed, open, { copy: -1, count: 1 }],
      ["in the middle of", listed, open, open],
      ["no sense", listed, { sign: 1 }],
      ["no sense", listed, { sign: 1, weak: true }],
      ["no sense", listed, open, { sign: 1, weak: true }],
      ["before everything", listed, { end: true }],
      ["before everything", listed, open, { end: true }],
      ["after the end", list([]), { end: true }, { end: true }],
      ["left before the end", listed],
    ];
    for (const [text, ...messages] of cases) {
      const { error } = await tell(`${folder}/copy`, messages);
      assert(error, `${text}: it went on`);
      assertStringIncludes(error.message, text);
    }
    const init = await tell(`${folder}/copy`, [], { delete: false, mode: "x", time: 0 });
    assertStringIncludes(init.error!.message, "a directory that is none");
    // Whatever began was undone.
    assertEquals([...Deno.readDirSync(`${folder}/copy`)].map(({ name }) => name), ["a"]);
    assertEquals(await Deno.readTextFile(`${folder}/copy/a`), "x");
  }),
);

Deno.test(
  "a receiver writes through no link, also one that appears meanwhile",
  inFolder(async (folder) => {
    const outside = `${folder}/outside`, destination = `${folder}/copy`;
    await put(`${outside}/a`, "precious");
    const directory: Entry = { name: "d", directory: true, ...DRESS };
    const below = list([{ name: "a", size: 1, ...DRESS }], { list: 1, first: 2 });
    async function* swap(): AsyncGenerator<Message> {
      yield list([directory]);
      yield below;
      await Deno.remove(`${destination}/d`);
      await Deno.symlink(outside, `${destination}/d`);
      yield* small(2, "x");
      yield { end: true };
    }
    const answers: Answer[] = [];
    for await (const answer of receiveTree(destination, { ...ROOT, delete: true }, swap())) answers.push(answer);
    assertEquals(failures(answers), [
      "Its directory was replaced meanwhile",
      "The directory was replaced meanwhile",
    ]);
    // A link and a directory of one name are two entries of one name.
    const twice = await tell(destination, [
      list([{ name: "x", link: outside, ...DRESS }, { ...directory, name: "x" }]),
    ]);
    assertStringIncludes(twice.error!.message, "an entry that is none");
    // What is listed below something that is no directory is listed nowhere.
    const linked = await tell(destination, [
      list([{ name: "y", link: outside, ...DRESS }]),
      list([{ name: "a", size: 1, ...DRESS }], { list: 1, first: 2 }),
    ]);
    assertStringIncludes(linked.error!.message, "does not follow");
    assertEquals(await Deno.readTextFile(`${outside}/a`), "precious");
    assertEquals([...Deno.readDirSync(outside)].length, 1);
  }),
);

Deno.test(
  "a receiver sets no permissions that give away the owner's rights, and takes no more than was announced",
  inFolder(async (folder) => {
    const destination = `${folder}/copy`;
    const { answers, error } = await tell(destination, [
      list([
        { name: "a", size: 1, mode: 0o6755, time: 0 },
        { name: "b", size: 10, ...DRESS },
        { name: "c", size: 10, ...DRESS },
      ]),
      { files: [[1, 0o6755, 0, 1]] },
      new Uint8Array(1),
      { open: 2, size: 10, ...DRESS },
      new Uint8Array(11),
      new Uint8Array(11),
      { close: 2 },
      { open: 3, size: 10, ...DRESS },
      new Uint8Array(9),
      { close: 3 },
      { end: true },
    ]);
    assertEquals(error, undefined);
    assertEquals(failures(answers), ["It is larger than was announced", "It is shorter than was announced"]);
    assertEquals((await Deno.stat(`${destination}/a`)).mode! & 0o7777, 0o755);
    assertEquals([...Deno.readDirSync(destination)].map(({ name }) => name), ["a"]);
  }),
);

/** Sends a tree to a receiver that answers what the test says. */
async function sendToLiar(source: string, lies: readonly unknown[]): Promise<string> {
  let heard: Message[] = [];
  const receive = (
    _destination: string,
    _init: unknown,
    messages: AsyncIterable<Message>,
  ): ReadableStream<unknown> => {
    (async () => {
      for await (const message of messages) heard.push(message);
    })().catch(() => {});
    return ReadableStream.from(lies);
  };
  const connection = { import: () => ({ receiveTree: receive }) };
  const rsync = new RSync(source);
  rsync.addTarget({ connection: connection as never }, "/copy");
  const [report] = await rsync.send({ raises: false });
  const contents = heard.filter((message) => message instanceof Uint8Array || "files" in message);
  heard = [];
  assertEquals(contents.length, 0, "it was given contents");
  return report!.error?.message ?? "it went well";
}

Deno.test(
  "a sender gives nothing to a receiver that makes no sense",
  inFolder(async (folder) => {
    await put(`${folder}/source/a`, "secret");
    await put(`${folder}/source/b`, noise(300_000));
    const answer = { listed: 1, wants: [], failed: [], deleted: [], kept: [] };
    const lies: readonly (readonly [text: string, ...answers: unknown[]])[] = [
      ["left before the end"],
      ["after the end", null],
      ["something unknown", {}],
      ["nobody asked for", { ...answer, listed: 2 }],
      ["nobody asked for", { ...answer, wants: [[1], [2], [3]] }],
      ["make no sense", { ...answer, wants: [[3]] }],
      ["make no sense", { ...answer, wants: [["../x"]] }],
      ["make no sense", { ...answer, wants: [[1, "x"]] }],
      ["make no sense", { ...answer, wants: [[2, 2 ** 50]] }],
      ["make no sense", { ...answer, wants: [7] }],
      ["errors that are none", { ...answer, failed: ["x"] }],
      ["errors that are none", { ...answer, failed: 7 }],
      ["checksums of nothing", { sums: 1, bytes: new Uint8Array(16), last: true }],
      ["checksums of nothing", { ...answer, wants: [[2, 300_000]] }, { sums: 2, bytes: "x", last: true }],
      [
        "do not fit",
        { ...answer, wants: [[2, 300_000]] },
        { sums: 2, bytes: new Uint8Array(1600), last: true },
      ],
      [
        "too few",
        { ...answer, wants: [[2, 300_000]] },
        { sums: 2, bytes: new Uint8Array(16), last: true },
      ],
      ["nobody sent", { done: 7, failed: [] }],
    ];
    for (const [text, ...answers] of lies) {
      assertMatch(await sendToLiar(`${folder}/source`, answers), new RegExp(text));
    }
  }),
);
