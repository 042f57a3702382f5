// The part of jsr:@std/cli@1 that this project uses, with the signatures that the real package accepts. The original infers the
// type of every flag from the options; the three kinds that we use are inferred here in the same way, the rest is left out.

export interface ParseOptions<
  B extends string = never,
  S extends string = never,
  C extends string = never,
  A extends Record<string, string | readonly string[]> = Record<never, never>,
> {
  boolean?: readonly B[];
  string?: readonly S[];
  collect?: readonly C[];
  alias?: A;
  default?: Record<string, unknown>;
  negatable?: readonly string[];
  "--"?: boolean;
  stopEarly?: boolean;
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

export type ParsedArgs<B extends string, S extends string, C extends string> =
  & { [K in B]: boolean }
  & { [K in Exclude<S, C>]?: string }
  & { [K in Extract<S, C>]: string[] }
  & { _: (string | number)[]; "--"?: string[] };

export declare function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
  const A extends Record<string, string | readonly string[]> = Record<never, never>,
>(args: string[], options?: ParseOptions<B, S, C, A>): ParsedArgs<B, S, C>;
