// Errors in groups: within one process, and collected in others.

import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Except, LocalExcept, spawn } from "../objects/mod.ts";
import { recordAndStay, recordStrange, work, WorkError } from "./fixtures/objects/jobs.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { testEachPlace } from "./support/objects.ts";

const JOBS = import.meta.resolve("./fixtures/objects/jobs.ts");
const messages = (errors: readonly unknown[]): string[] => errors.map((error) => (error as Error).message);
const throwing = (message: string, Type: new (message: string) => Error = Error) => (): never => {
  throw new Type(message);
};

for (const Class of [LocalExcept, Except]) {
  const { name } = Class;

  Deno.test(`${name} records errors of the default group and goes on`, async () => {
    const exc = new Class();
    assertEquals(await exc.catch(() => 42), 42);
    assertEquals(await exc.catch(async () => await Promise.resolve("later")), "later");
    assertEquals(await exc.catch(throwing("one")), undefined);
    assertEquals(await exc.catch(async () => await Promise.reject(new Error("two"))), undefined);
    assertEquals(messages(exc.all()), ["one", "two"]);
    assertEquals(messages(exc.all(null)), ["one", "two"]);
    assertEquals((exc.get() as Error).message, "two");
  });

  Deno.test(`${name} throws errors of named groups on, unless it is told otherwise`, async () => {
    const exc = new Class();
    await assertRejects(() => exc.catch("init", throwing("one")), Error, "one");
    await exc.catch("init", throwing("two"), { raises: false });
    await assertRejects(() => exc.catch(throwing("three"), { raises: true }), Error, "three");
    assertEquals(messages(exc.all("init")), ["one", "two"]);
    assertEquals(messages(exc.all(null)), ["three"]);

    const never = new Class({ raises: false });
    await never.catch("init", throwing("four"));
    const always = new Class({ types: [Error], raises: true });
    await assertRejects(() => always.catch(throwing("five")), Error, "five");
    assertEquals([...messages(never.all()), ...messages(always.all())], ["four", "five"]);
  });

  Deno.test(`${name} lets errors of other types pass unrecorded`, async () => {
    const exc = new Class(RangeError, SyntaxError);
    await assertRejects(() => exc.catch(throwing("one", TypeError)), TypeError);
    await exc.catch(throwing("two", RangeError));
    await exc.catch(throwing("three", SyntaxError));
    assertEquals(messages(exc.all()), ["two", "three"]);
  });

  Deno.test(`${name} records an error in each block that it leaves and that matches`, async () => {
    const exc = new Class(), other = new Class(TypeError);
    await exc.catch("outer", async () => {
      await other.catch("between", async () => {
        await exc.catch("inner", throwing("deep"));
      });
    }, { raises: false });
    assertEquals(exc.get("inner"), exc.get("outer"));
    assertEquals(messages(exc.all()), ["deep", "deep"]);
    assertEquals(other.all(), []);
  });

  Deno.test(`${name} throws the last error of a group, or of any, or nothing`, async () => {
    const exc = new Class({ raises: false });
    exc.raiseAny();
    exc.raiseAny("work");
    exc.raiseAny(null);
    assertEquals(exc.get(), undefined);
    await exc.catch("work", throwing("one"));
    await exc.catch("work", throwing("two"));
    await exc.catch(throwing("three"));
    await exc.catch("init", throwing("four"));
    assertThrows(() => exc.raiseAny("work"), Error, "two");
    assertThrows(() => exc.raiseAny(null), Error, "three");
    assertThrows(() => exc.raiseAny(), Error, "four");
    exc.raiseAny("other");
    exc.clear();
    exc.raiseAny();
    assertEquals(exc.all(), []);
  });

  Deno.test(`${name} records what is no error, if it takes all`, async () => {
    const exc = new Class();
    await exc.catch(() => Promise.reject("a string"));
    assertEquals(exc.all(), ["a string"]);
    assertThrows(() => new Class("Error" as never), TypeError);
  });
}

await testEachPlace("an Except collects in another process and is read here", async (options) => {
  const exc = new Except(Error);
  const p = spawn.with({ ...options, modules: [JOBS] })(work, exc);
  await assertRejects(() => p.join(), WorkError, "in work");
  assertEquals(messages(exc.all("init")), ["in init"]);
  assertEquals(messages(exc.all(null)), ["in the default group"]);
  assertEquals(messages(exc.all("inner")), ["in inner"]);
  assertEquals(messages(exc.all("outer")), ["in inner"]);
  assertThrows(() => exc.raiseAny("work"), WorkError, "in work");
  assertThrows(() => exc.raiseAny(), WorkError, "in work");
  const error = exc.get("init");
  assertInstanceOf(error, WorkError);
  assertEquals(error.code, "WORK");
  assertStringIncludes(error.stack!, "jobs.ts");
});

await testEachPlace("an Except is read while the process runs, and after it was killed", async (options) => {
  const exc = new Except(WorkError);
  const p = spawn.with({ ...options, modules: [JOBS] })(recordAndStay, exc);
  await condition(() => exc.get("early"), "the error is here");
  assert(p.isAlive);
  p.kill();
  await assertRejects(() => p.join(), Error);
  assertEquals(messages(exc.all()), ["early"]);
});

await testEachPlace("an Except gets as much as travels of a strange error", async (options) => {
  const exc = new Except();
  const p = spawn.with({ ...options, modules: [JOBS] })(recordStrange, exc);
  await p.join();
  assertEquals(messages(exc.all()), ["strange"]);
});

Deno.test(
  "an Except of types that the process does not know says so",
  noLeaks(async () => {
    class Unknown extends Error {}
    const p = spawn.with({ modules: [JOBS] })(work, new Except(Unknown));
    await assertRejects(() => p.join(), TypeError, "Cannot tell errors of Remote <Unknown>");
  }),
);
