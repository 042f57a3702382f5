// Which kind of file a name stands for.

/** The kinds that are told apart. */
export type Kind = "code" | "data" | "text" | "other";

const KINDS: Readonly<Record<string, Kind>> = {
  ts: "code",
  js: "code",
  mjs: "code",
  sh: "code",
  json: "data",
  csv: "data",
  md: "text",
  txt: "text",
};

/** The kind of a file by its name. */
export function kindOf(name: string): Kind {
  return KINDS[name.slice(name.lastIndexOf(".") + 1)] ?? "other";
}
