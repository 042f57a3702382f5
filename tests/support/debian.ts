/**
 * Programs that some tests need and that are not ours: sshd, a browser. On Debian and where it is allowed they are installed, else their tests are
 * ignored, with the reason.
 *
 * @module
 */

import { join } from "@std/path";

/** Runs a program to its end; its output, or an error with the end of what it complained about. */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    stdin: "null",
    env: { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" /* keeps a freshly installed server from being started */ },
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`"${program} ${args.join(" ")}" failed: ${text.decode(stderr).trim().slice(-500)}`);
  return text.decode(stdout);
}

/** Whether there is a file or folder. */
export async function isThere(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Where `PATH` leads to. */
export async function which(program: string): Promise<string | undefined> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    if (folder && await isThere(join(folder, program))) return join(folder, program);
  }
  return undefined;
}

/**
 * Why there is no such program, installing it first where that is allowed: as root on a Debian-like system without a running systemd (a container),
 * or where `CI` is `true`; never where `ACROSS_NO_INSTALL` is set.
 *
 * @param program Its name, for the reason.
 * @param complete Tells whether it is there.
 * @param packages What Debian has it in.
 * @returns the reason, or undefined when it is there
 */
export async function missing(
  program: string,
  complete: () => Promise<boolean>,
  packages: readonly string[],
): Promise<string | undefined> {
  if (await complete()) return undefined;
  const apt = await which("apt-get");
  if (Deno.build.os === "windows" || !apt || Deno.uid() !== 0) {
    return `There is no ${program} and no right to install it`;
  }
  const careful = Deno.env.get("CI") !== "true" && await isThere("/run/systemd/system");
  if (careful || Deno.env.get("ACROSS_NO_INSTALL")) {
    return `There is no ${program} and it was not asked to be installed`;
  }
  // Test files run side by side: only one may install.
  using lock = await Deno.open(join(Deno.env.get("TMPDIR") ?? "/tmp", "across-tests-apt.lock"), {
    create: true,
    write: true,
  });
  await lock.lock(true);
  if (await complete()) return undefined;
  try {
    await run(apt, "update");
    await run(apt, "install", "-y", "--no-install-recommends", ...packages);
  } catch (error) {
    return String(error);
  }
  return await complete() ? undefined : `There is no ${program} even though ${packages.join(", ")} was installed`;
}
