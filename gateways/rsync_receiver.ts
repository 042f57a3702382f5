/**
 * The receiving end of an {@linkcode RSync}: runs on the far side, in whatever interpreter is there. It trusts nothing that arrives: names are names,
 * every path is declared once, and what nobody asked for ends it. What it does to the disk is in `rsync_disk.ts` and `rsync_arrival.ts`.
 *
 * @module
 */

import { TreeFiles } from "../runtime/tree_files.ts";
import { Arrival, fileMode, Older } from "./rsync_arrival.ts";
import { Disk, sameTime, textOf } from "./rsync_disk.ts";
import type { Place } from "./rsync_disk.ts";
import type { Answer, Entry, Failure, Message, ReceiveInit, Small, Want } from "./rsync_messages.ts";
import { blockSize, isCount, isDress, isList, isName, refuse, RSYNC } from "./rsync_messages.ts";

/** A file that is wanted. */
interface Wanted {
  readonly place: Place;
  readonly entry: Entry;
  /** The size of an older version whose blocks may be used. */
  readonly older?: number;
}

/** Small files that arrive together. */
interface Batch {
  readonly files: readonly (readonly [id: number, wanted: Wanted, mode: number, time: number, size: number | null])[];
  /** Their contents, one behind the other, as far as they came. */
  content: Uint8Array;
  filled: number;
}

/** Bytes of small files that are read to be compared before anybody else has a turn. */
const TURN = 8 << 20;

/**
 * Receives a tree. What it is called with, and what it returns, is between it and {@linkcode RSync}, which calls it.
 *
 * @param destination The directory that becomes the copy; made if it is not there.
 * @param init How it is treated.
 * @param messages What the sender says.
 * @returns What it is answered.
 */
export function receiveTree(
  destination: string,
  init: ReceiveInit,
  messages: AsyncIterable<Message>,
): ReadableStream<Answer> {
  const { readable, writable } = new TransformStream<Answer, Answer>();
  const writer = writable.getWriter();
  const work = async (): Promise<void> => {
    const files = await TreeFiles.load();
    const receiver = new Receiver(files, init, (answer) => writer.write(answer));
    try {
      receiver.begin(destination, init);
      for await (const message of messages) await receiver.take(message);
      if (!receiver.ended) throw new Error("The sender left before the end");
    } finally {
      receiver.abandon();
    }
    await writer.close();
  };
  work().catch((error) => writer.abort(error).catch(() => {}));
  return readable;
}

class Receiver {
  readonly #files: TreeFiles;
  readonly #disk: Disk;
  readonly #delete: boolean;
  readonly #emit: (answer: Answer) => Promise<void>;
  readonly #places = new Map<number, Place>();
  readonly #wanted = new Map<number, Wanted>();
  readonly #older = new Map<number, Older>();
  /** Resolves when all checksums were sent that were asked for. */
  #signing: Promise<void> = Promise.resolve();
  #batch: Batch | undefined;
  #arrival: { readonly id: number; readonly it: Arrival | undefined } | undefined;
  #next = 1;
  #done: number[] = [];
  #failed: Failure[] = [];
  /** Whether everything came. */
  ended = false;

  constructor(files: TreeFiles, { delete: deletes }: ReceiveInit, emit: (answer: Answer) => Promise<void>) {
    this.#files = files;
    this.#disk = new Disk(files, deletes);
    this.#delete = deletes;
    this.#emit = emit;
  }

  /** Makes the destination, which alone may be reached through links. */
  begin(destination: string, { mode, time }: ReceiveInit): void {
    if (typeof destination !== "string" || destination === "") refuse("no destination");
    if (!isDress(mode, time)) refuse("a directory that is none");
    this.#places.set(0, this.#disk.begin(destination, mode, time));
  }

  async take(message: Message): Promise<void> {
    if (typeof message !== "object" || message === null || this.ended) refuse("something after the end");
    if (message instanceof Uint8Array) await this.#bytes(message);
    else if (this.#batch) refuse("something in the middle of small files");
    else if ("list" in message) await this.#list(message);
    else if ("files" in message) this.#small(message.files);
    else if ("copy" in message) await this.#copy(message.copy, message.count);
    else if ("open" in message) this.#open(message);
    else if ("close" in message) await this.#close(message.close, message.error);
    else if ("sign" in message) this.#sign(message.sign, message.weak === true);
    else if ("end" in message) return await this.#end();
    else refuse("something unknown");
    if (this.#done.length + this.#failed.length === 0) return;
    const done = this.#done, failed = this.#failed;
    this.#done = [];
    this.#failed = [];
    await this.#emit({ done, failed });
  }

  /** Ends what is under way. */
  abandon(): void {
    this.#arrival?.it?.abandon();
    this.#arrival = undefined;
    for (const older of this.#older.values()) older.close();
    this.#older.clear();
  }

  async #list({ list, first, entries, keep, last, known }: Extract<Message, { list: number }>): Promise<void> {
    const place = this.#places.get(list);
    if (!place?.names || first !== this.#next || !isList(entries, RSYNC.portion) || !isList(keep, RSYNC.portion)) {
      refuse("a list that does not follow");
    }
    this.#next += entries.length;
    const wants: Want[] = [], failed: Failure[] = [];
    const broken = this.#disk.broken(place);
    let compared = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!, id = first + i;
      this.#expect(place, entry);
      try {
        if (broken) throw broken;
        if (entry.directory) this.#places.set(id, this.#disk.place(place, entry));
        else if (entry.link !== undefined) await this.#disk.link(place, entry);
        else {
          const want = await this.#compare(place, id, entry);
          if (want) wants.push(want);
          if (want?.[1] instanceof Uint8Array) compared += entry.size!;
        }
      } catch (error) {
        if (entry.directory) this.#places.set(id, { ...place, identity: undefined, empty: false, names: new Set() });
        failed.push([id, textOf(error)]);
      }
      if (compared > TURN) {
        compared = 0;
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    for (const name of keep) if (isName(name)) place.names.add(name);
    const deleted: string[] = [], kept: [string, string][] = [];
    if (last) {
      if (known && this.#delete && !broken) await this.#disk.clear(place, deleted, kept);
      place.names = undefined;
    }
    if (this.#wanted.size > RSYNC.wanted) refuse("too many files before the contents of the first ones");
    await this.#emit({ listed: first, wants, failed, deleted, kept });
  }

  #expect({ names }: Place, entry: Entry): void {
    const { name, mode, time, size, link, directory } = Object(entry) as Entry;
    const kinds = Number(directory === true) + Number(typeof link === "string") + Number(isCount(size));
    if (!isName(name) || names!.has(name) || kinds !== 1 || !isDress(mode, time)) refuse("an entry that is none");
    names!.add(name);
  }

  /** Finds out whether a file is wanted, and what of it. */
  async #compare(place: Place, id: number, entry: Entry): Promise<Want | undefined> {
    const { name, mode, time } = entry, size = entry.size!;
    const path = `${place.path}/${name}`;
    const info = place.empty ? undefined : this.#files.look(path);
    await this.#disk.replace(path, info);
    if (info?.kind === "file") {
      if (info.size === size && sameTime(info.time, time)) {
        if (info.mode === fileMode(mode) || this.#disk.dress(path, mode, time)) return;
      } else if (size > RSYNC.small && info.size > RSYNC.small && blockSize(info.size) > 0) {
        this.#wanted.set(id, { place, entry, older: info.size });
        return [id, info.size];
      } else if (size <= RSYNC.small && info.size === size) {
        this.#wanted.set(id, { place, entry });
        const digest = this.#disk.digest(path, size);
        return digest ? [id, digest] : [id];
      }
    }
    this.#wanted.set(id, { place, entry });
    return [id];
  }

  #takeWanted(id: unknown): Wanted {
    const wanted = isCount(id) ? this.#wanted.get(id) : undefined;
    if (!wanted) refuse("a file that nobody asked for");
    this.#wanted.delete(id as number);
    return wanted;
  }

  #small(list: readonly Small[]): void {
    if (this.#arrival) refuse("small files in the middle of a large one");
    if (!isList(list, RSYNC.batchFiles)) refuse("too many files at once");
    let size = 0;
    const files = list.map((item): Batch["files"][number] => {
      const [id, mode, time, length] = (isList(item, 4) ? item : []) as Partial<Small>;
      const fits = isDress(mode, time) && (length === null || isCount(length, RSYNC.small));
      if (!fits) refuse("a file that is none");
      const wanted = this.#takeWanted(id);
      this.#forget(id!);
      size += length ?? 0;
      return [id!, wanted, mode!, time!, length!];
    });
    if (size > RSYNC.batch + RSYNC.small) refuse("too much at once");
    this.#batch = { files, content: new Uint8Array(size), filled: 0 };
    if (size === 0) this.#write(this.#batch);
  }

  /** Bytes of small files, or of a large one. */
  async #bytes(bytes: Uint8Array): Promise<void> {
    const batch = this.#batch;
    if (!batch) {
      if (!this.#arrival) refuse("content of no file");
      return await this.#arrive((it) => it.data(bytes));
    }
    const { content, filled } = batch;
    if (filled + bytes.length > content.length) refuse("more content than was announced");
    if (bytes.length === content.length) batch.content = bytes;
    else content.set(bytes, filled);
    batch.filled += bytes.length;
    if (batch.filled === content.length) this.#write(batch);
  }

  /** Writes small files, all of which are here. */
  #write({ files, content }: Batch): void {
    this.#batch = undefined;
    const checked = new Set<Place>();
    this.#disk.forget();
    let at = 0;
    for (const [id, { place, entry }, mode, time, size] of files) {
      try {
        if (!checked.has(place)) this.#disk.check(place);
        checked.add(place);
        if (size !== null) this.#disk.write(place, entry.name, mode, time, content.subarray(at, at + size));
        else if (!this.#disk.dress(`${place.path}/${entry.name}`, mode, time)) {
          throw new Error("Its time and permissions cannot be set");
        }
        this.#done.push(id);
      } catch (error) {
        this.#failed.push([id, textOf(error)]);
      }
      at += size ?? 0;
    }
  }

  /** An older version of a file is of no more use. */
  #forget(id: number): void {
    this.#older.get(id)?.close();
    this.#older.delete(id);
  }

  #sign(id: number, weak: boolean): void {
    if (weak) {
      if (this.#arrival?.id !== id) refuse("a question for checksums that makes no sense");
      const older = this.#arrival.it?.compare();
      if (this.#arrival.it && !older) refuse("a question for checksums that makes no sense");
      this.#signing = this.#signing.then(() => this.#sums(id, older, older?.info.size ?? 0, weak)).catch(() => {});
      return;
    }
    const wanted = isCount(id) ? this.#wanted.get(id) : undefined;
    if (wanted?.older === undefined || this.#older.has(id) || this.#older.size >= RSYNC.signing) {
      refuse("a question for checksums that makes no sense");
    }
    const { place, entry, older: size } = wanted;
    let older: Older | undefined;
    try {
      this.#disk.check(place);
      older = new Older(this.#files, `${place.path}/${entry.name}`);
      this.#older.set(id, older);
    } catch { /* it is not there any more */ }
    // Meanwhile what the first ones tell of the content arrives already.
    this.#signing = this.#signing.then(() => this.#sums(id, older, size, weak)).catch(() => {});
  }

  /** Answers with checksums. Rejects when nobody listens any more. */
  async #sums(id: number, older: Older | undefined, size: number, weak: boolean): Promise<void> {
    try {
      if (older?.info.size !== size) throw new Error("It has another size by now");
      for await (const sums of older.sums(this.#files, size, weak)) await this.#emit({ sums: id, ...sums });
    } catch {
      // Then everything is to be sent.
      if (this.#older.get(id) === older) this.#forget(id);
      await this.#emit({ sums: id, bytes: new Uint8Array(0), last: true, none: true });
    }
  }

  #open({ open: id, size, mode, time }: Extract<Message, { open: number }>): void {
    if (this.#arrival || !isCount(size) || !isDress(mode, time)) refuse("a file in the middle of another one");
    const { place, entry } = this.#takeWanted(id);
    const older = this.#older.get(id);
    this.#older.delete(id);
    this.#arrival = { id, it: undefined };
    try {
      this.#disk.check(place);
      const path = `${place.path}/${entry.name}`;
      const it = new Arrival(this.#files, { path, directory: place.path, size, mode, time }, older);
      this.#arrival = { id, it };
    } catch (error) {
      older?.close();
      this.#failed.push([id, textOf(error)]);
    }
  }

  async #copy(first: number, count: number): Promise<void> {
    if (!this.#arrival || !isCount(first) || !isCount(count, RSYNC.mostBlocks)) refuse("blocks of no file");
    await this.#arrive((it) => it.copy(first, count));
  }

  /** Does something about the file that arrives. If it fails, the rest of it is ignored. */
  async #arrive(what: (it: Arrival) => Promise<void>): Promise<void> {
    const { id, it } = this.#arrival!;
    if (!it) return;
    try {
      await what(it);
    } catch (error) {
      it.abandon();
      this.#arrival = { id, it: undefined };
      this.#failed.push([id, textOf(error)]);
    }
  }

  async #close(id: number, error: string | undefined): Promise<void> {
    if (this.#arrival?.id !== id) {
      // It was wanted, but cannot be had.
      this.#takeWanted(id);
      this.#forget(id);
      return;
    }
    if (error !== undefined) {
      this.#arrival.it?.abandon();
    } else {
      await this.#arrive((it) => it.finish());
      if (this.#arrival.it) this.#done.push(id);
    }
    this.#arrival = undefined;
  }

  /** Everything came: directories get their times, which writing into them has changed. */
  async #end(): Promise<void> {
    if (this.#arrival || this.#batch || this.#wanted.size > 0) refuse("the end before everything came");
    const failed: Failure[] = [];
    for (const [id, place] of [...this.#places].reverse()) {
      if (place.identity === undefined) continue;
      try {
        this.#disk.finish(place);
      } catch (error) {
        failed.push([id, textOf(error)]);
      }
    }
    this.ended = true;
    await this.#emit({ ended: true, failed });
  }
}
