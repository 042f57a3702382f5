/**
 * Specifications of gateways: parsing, printing, checking.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import type { XSpecInit } from "../gateways/mod.ts";
import { XSpec } from "../gateways/mod.ts";

Deno.test("XSpec() parses keys, flags and environment variables", () => {
  const spec = new XSpec(
    "ssh=-p 5000 me@host//ssh_config=/etc/x//id=a//runtime=node//chdir=/srv//nice=-3//env:A=1=2//env:B",
  );
  assertEquals(spec.type, "ssh");
  assertEquals(spec.toObject(), {
    ssh: "-p 5000 me@host",
    ssh_config: "/etc/x",
    id: "a",
    runtime: "node",
    chdir: "/srv",
    nice: -3,
    env: { A: "1=2", B: "" },
  });
  assertEquals(new XSpec().toObject(), { popen: true });
  assertEquals(new XSpec("id=x").type, "popen");
  assertEquals(new XSpec("worker").type, "worker");
});

Deno.test("XSpec() takes the same as an object", () => {
  for (
    const text of [
      "popen",
      "popen//id=gw//env:A=b",
      "socket=[::1]:8888",
      "unix=/run/x",
      "socket//installvia=gw",
      "docker=box//runtime=bun",
      "kubectl=pod//nice=5",
      "command=srun -n1 {}",
      "popen//via=first",
      "popen//permissions=read=/srv,/tmp;net",
      "popen//permissions",
    ]
  ) {
    const spec = new XSpec(text);
    assertEquals(String(spec), text);
    assertEquals(new XSpec(spec.toObject()), spec);
    assertEquals(new XSpec(spec), spec);
  }
  assertEquals(String(new XSpec({ "env:A": "b" })), "popen//env:A=b");
  assertEquals(new XSpec("popen//permissions=read=/srv,/tmp;net").permissions, { read: ["/srv", "/tmp"], net: true });
  assertEquals(new XSpec("popen").with({ id: "x" }).id, "x");
});

Deno.test("toString() of a specification does not print the secret", () => {
  assertEquals(String(new XSpec({ socket: "a:1", secret: "hush" })), "socket=a:1");
});

const BAD: readonly (readonly [string | XSpecInit, string])[] = [
  ["popen//nonsense=1", '"nonsense"'],
  ["popen//id=a//id=b", '"id"'],
  ["popen//env:A=1//env:A=2", '"env:A"'],
  ["env=1", '"env"'],
  ["popen=1", '"popen"'],
  ["ssh", '"ssh"'],
  ["ssh=a//popen", '"ssh"'],
  ["id=", '"id"'],
  ["popen////id=a", '"//"'],
  ["python=python3", "use runtime="],
  ["execmodel=thread", "maxConcurrency"],
  ["nice=x", '"nice"'],
  ["nice=1.5", '"nice"'],
  ["socket=nowhere", '"socket"'],
  ["socket=a:1//runtime=node", '"runtime"'],
  ["worker//chdir=/", '"chdir"'],
  ["worker//env:A=1", '"env"'],
  ["popen//ssh_config=x", '"ssh_config"'],
  ["popen//secret=x", '"secret"'],
  ["popen//installvia=x", '"installvia"'],
  ["socket", '"socket"'],
  ["socket=a:1//installvia=x", '"installvia"'],
  ["env:A-B=1", '"env:A-B"'],
  ["permissions=fly", '"permissions"'],
  [{ runtime: 3 as unknown as string }, '"runtime"'],
  [{ id: "a\0b" }, '"id"'],
];

Deno.test("XSpec() names the key that makes no sense", () => {
  for (const [spec, message] of BAD) assertThrows(() => new XSpec(spec), TypeError, message);
});
