/**
 * Gateways in containers and pods, with programs in the place of `docker` and `kubectl` that take their command lines as these do, and run what they are
 * given in a bare environment on this machine. No real container or pod was tried.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { getPriority } from "node:os";
import { XSpec } from "../gateways/mod.ts";
import type { Group } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { which } from "./support/debian.ts";
import { noLeaks } from "./support/leaks.ts";
import { runtime } from "./support/runtimes.ts";

/** `docker exec [OPTIONS] CONTAINER COMMAND [ARG...]`: options end at the first word that is none. */
const DOCKER = `#!/bin/sh
printf '%s\\n' "$#" "$1" "$2" "$3" "$4" "$5" > "$STAND_IN_LOG"
[ "$1" = exec ] || { echo "docker: '$1' is not a docker command." >&2; exit 1; }
shift; stdin=
while :; do
  case $1 in
    -i|--interactive) stdin=1; shift;;
    -t|-it|-ti|--tty) [ -t 0 ] || { echo "the input device is not a TTY" >&2; exit 1; }; shift;;
    -u) shift 2;;
    -*) echo "unknown shorthand flag: '$1'" >&2; exit 125;;
    *) break;;
  esac
done
[ $# -ge 2 ] || { echo 'docker: "docker exec" requires at least 2 arguments.' >&2; exit 1; }
[ "$1" = box-1 ] || { echo "Error response from daemon: No such container: $1" >&2; exit 1; }
shift
[ "$stdin" ] || exec </dev/null
cd "$STAND_IN_HOME" && exec env -i PATH="$STAND_IN_PATH" HOME="$STAND_IN_HOME" HOSTNAME=box-1 "$@"
`;

/** `kubectl exec [OPTIONS] POD [OPTIONS] -- COMMAND [ARG...]`: what is run begins behind `--`. */
const KUBECTL = `#!/bin/sh
printf '%s\\n' "$#" "$1" "$2" "$3" "$4" "$5" > "$STAND_IN_LOG"
[ "$1" = exec ] || { echo "error: unknown command \\"$1\\" for \\"kubectl\\"" >&2; exit 1; }
shift; stdin= pod=
while [ $# -gt 0 ]; do
  case $1 in
    --) break;;
    -i|--stdin) stdin=1;;
    -n|-c) shift;;
    -t|-it|--tty) echo "Unable to use a TTY - input is not a terminal or the right kind of file" >&2;;
    -*) echo "error: unknown shorthand flag: '$1'" >&2; exit 1;;
    *) [ -z "$pod" ] || { echo "error: exec [POD] [COMMAND] is not supported anymore." >&2; exit 1; }; pod=$1;;
  esac
  shift
done
[ "$1" = -- ] && [ $# -ge 2 ] || { echo "error: you must specify at least one command for the container" >&2; exit 1; }
shift
[ "$pod" = deploy/web ] || { echo "Error from server (NotFound): pods \\"$pod\\" not found" >&2; exit 1; }
[ "$stdin" ] || exec </dev/null
cd "$STAND_IN_HOME" && exec env -i PATH="$STAND_IN_PATH" HOME="$STAND_IN_HOME" HOSTNAME=web "$@"
`;

/** A test with the stand-ins first in `PATH`. In the container there is Node 20, and a few tools. */
function withStandIns(body: (group: Group, argv: () => string[], home: string) => Promise<void>): () => Promise<void> {
  return noLeaks(async () => {
    const folder = await Deno.realPath(await Deno.makeTempDir());
    const before = Deno.env.get("PATH")!;
    const [bin, inside, home, log] = ["bin", "inside", "home", "log"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ];
    try {
      for (const path of [bin, inside, home]) await Deno.mkdir(path);
      await Deno.writeTextFile(join(bin, "docker"), DOCKER, { mode: 0o755 });
      await Deno.writeTextFile(join(bin, "kubectl"), KUBECTL, { mode: 0o755 });
      await Deno.symlink((await runtime("node", 20)).path, join(inside, "node"));
      for (const tool of ["sh", "env", "nice", "setpriv", "true"]) {
        const path = await which(tool);
        if (path) await Deno.symlink(path, join(inside, tool));
      }
      Deno.env.set("PATH", `${bin}:${before}`);
      Deno.env.set("STAND_IN_LOG", log);
      Deno.env.set("STAND_IN_PATH", inside);
      Deno.env.set("STAND_IN_HOME", home);
      await inGroup((group) => body(group, () => Deno.readTextFileSync(log).trimEnd().split("\n"), home))();
    } finally {
      Deno.env.set("PATH", before);
      for (const name of ["LOG", "PATH", "HOME"]) Deno.env.delete(`STAND_IN_${name}`);
      await Deno.remove(folder, { recursive: true });
    }
  });
}

const FACTS = `
  const { default: process } = await import("node:process"), os = await import("node:os");
  await channel.send([process.env.HOSTNAME, process.env.GREETING, process.cwd(), os.getPriority()]);
`;

for (
  const [spec, argv, host] of [["docker=box-1", ["exec", "-i", "box-1", "nice", "-n"], "box-1"], [
    "kubectl=deploy/web",
    ["exec", "-i", "deploy/web", "--", "nice"],
    "web",
  ]] as const
) {
  Deno.test(
    `${spec.split("=")[0]}= runs an interpreter of the container, with all settings`,
    withStandIns(async (group, seen, home) => {
      const greeting = `it's "here" & $HOME`;
      const gateway = await group.makeGateway(`${spec}//nice=2//chdir=${home}/new//env:GREETING=${greeting}`);
      assertEquals(seen().slice(1), [...argv]);
      assertEquals((await gateway.remoteInfo()).runtime, "node");
      assertEquals(await gateway.remoteExec(FACTS).receive(SOON), [host, greeting, `${home}/new`, getPriority() + 2]);
      const echo = gateway.remoteExec("for await (const it of channel) await channel.send(it)");
      await echo.send(new Uint8Array(300_000).fill(7));
      assertEquals((await echo.receive<Uint8Array>(SOON)).length, 300_000);
      // What is printed does not get into the wire, as there is no terminal that would mix both.
      await gateway.remoteExec("console.error('printed'); console.log('printed')").waitClose(SOON);
      gateway.exit();
      await gateway.join(SOON);
    }),
  );
}

Deno.test(
  "docker= and kubectl= tell in the words of the tool why there is no gateway",
  withStandIns(async (group) => {
    await assertRejects(() => group.makeGateway("docker=it's; exit 0"), Error, "No such container: it's; exit 0");
    await assertRejects(() => group.makeGateway("kubectl=$(exit)"), Error, 'pods "$(exit)" not found');
    await assertRejects(() => group.makeGateway("docker=box-1//runtime=bun"), Error, "Found no bun");
    assertEquals(group.length, 0);
    for (const key of ["docker", "kubectl"]) {
      assertThrows(() => new XSpec(`${key}=--privileged`), TypeError, `"${key}"`);
    }
  }),
);

Deno.test(
  "command= gives what options docker= and kubectl= have none for",
  withStandIns(async (group, seen) => {
    const pod = await group.makeGateway("command=exec kubectl exec -i -n shop -c main deploy/web --");
    assertEquals(seen().slice(1), ["exec", "-i", "-n", "shop", "-c"]);
    assertEquals((await pod.remoteInfo()).runtime, "node");
    const box = await group.makeGateway("command=exec docker exec -i -u nobody box-1 {}//runtime=node");
    assertEquals((await box.remoteInfo()).runtime, "node");
    const [first] = await box.remoteExec(FACTS).receive<string[]>(SOON);
    assertEquals(first, "box-1");
  }),
);

Deno.test(
  "a tool that is not there is told",
  withStandIns(async (group) => {
    // As in the container: a few tools, and neither of these.
    Deno.env.set("PATH", Deno.env.get("STAND_IN_PATH")!);
    for (const tool of ["docker", "kubectl"]) {
      const error = await assertRejects(() => group.makeGateway(`${tool}=box`), Error, tool);
      assert(/not found|status 127/.test(error.message), error.message);
    }
    assertEquals(group.length, 0);
  }),
);
