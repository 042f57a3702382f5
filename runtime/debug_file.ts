/**
 * The file that a process writes to when `ACROSS_DEBUG` asks for it. Who decides that is `session/debug_output.ts`.
 *
 * @module
 */

/** What is used of Node's and Bun's `process`. */
interface ProcessLike {
  readonly pid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  getBuiltinModule?(name: string): FileFunctions;
}

/** What is used of `node:fs`. */
interface FileFunctions {
  lstatSync(path: string, init: { throwIfNoEntry: false }): { isSymbolicLink(): boolean } | undefined;
  appendFileSync(path: string, text: string, init: { mode: number }): void;
}

/**
 * Gives what writes lines to this process's file. It is sent as source as well, so it can use nothing but its arguments and globals, and must work
 * before the kernel is there.
 *
 * @param kinds What kinds of messages are called.
 */
export function debugFile(kinds: Readonly<Record<string, string>>): (line: string) => void {
  const deno = globalThis.Deno;
  // In Deno a first look at `process` costs 17 ms.
  const other = deno ? undefined : (globalThis as unknown as { process: ProcessLike }).process;
  const granted = (wanted: Deno.PermissionDescriptor): boolean => {
    // Asking for the thing itself might prompt the user.
    if (!deno || deno.permissions.querySync(wanted).state === "granted") return true;
    throw new Error(`there is no permission to ${wanted.name}`);
  };
  const pathOf = (): string => {
    const folders = ["TMPDIR", "TMP", "TEMP"].map((variable) => {
      try {
        granted({ name: "env", variable });
        return deno ? deno.env.get(variable) : other!.env[variable];
      } catch {
        return undefined;
      }
    });
    return `${(folders.find(Boolean) ?? "/tmp").replace(/[\\/]+$/, "")}/across-debug-${(deno ?? other!).pid}`;
  };
  const isLink = (path: string): boolean => {
    if (!deno) return files!.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    granted({ name: "read", path });
    try {
      return deno.lstatSync(path).isSymlink;
    } catch {
      return false;
    }
  };
  const files = other?.getBuiltinModule?.("node:fs");
  let path: string | undefined;
  let broken = false;
  return (line) => {
    if (broken) return;
    const kind = (whole: string, number: string): string => kinds[number] ?? whole;
    const text = `${new Date().toISOString()} ${line.replace(/message of kind (\d+)/, kind)}`;
    try {
      if (path === undefined) {
        const found = pathOf();
        granted({ name: "write", path: found });
        // Anybody may have put one into a directory that all may write to.
        if (isLink(found)) throw new Error(`"${found}" is a link`);
        path = found;
      }
      if (deno) deno.writeTextFileSync(path, text, { append: true, mode: 0o600 });
      else files!.appendFileSync(path, text, { mode: 0o600 });
    } catch (error) {
      broken = true; // said once; what is traced must not suffer
      console.error(`across: Cannot write what ACROSS_DEBUG asks for: ${(error as Error).message}`);
    }
  };
}
