/**
 * Stage 1 of the BIOS: the script that a bare interpreter evaluates, one text for all of them. How an interpreter is started with it is in
 * `command.ts` and `ssh.ts`, what it loads begins in `boot.ts`, and is sent to it by the session.
 *
 * @module
 */

/** Which runtime is meant. */
export interface BiosInit {
  /**
   * `deno`, `node`, `bun`, or the path of such a program. When absent, the runtime that this program runs in.
   *
   * A name stands for the program that runs us if that is of this kind, else for what `PATH` finds.
   */
  readonly runtime?: "deno" | "node" | "bun" | (string & Record<never, never>);
}

/**
 * The script without its first and last line, as a single one. It has no single quote and no backslash, so that it may stand between single quotes of
 * any shell; no `!`, which csh takes for history even there; no `%` and no `#`, so that it is a `data:` URL as it is.
 *
 * - `D` Deno's namespace or undefined, `p` where `exit` and the arguments are, `v` versions, `g` name of the runtime, `q` Node's `require`, `f` its file functions
 * - `i`, `o` descriptors of the wire, from the last two arguments: where a shell moved it to, else stdin and stdout
 * - `t()` text of bytes; `x()` reads or writes (`y`) all of `b` at `h`
 * - `w` what inflates, `s` the inflated core, `b` the packed one
 */
export const STAGE_1: string = [
  // Nothing of `process` may be touched in Deno, where its first use takes 17 ms.
  `(async()=>{let D=globalThis.Deno,p=D||process,v=p.versions||p.version,g=D?"deno":v.bun?"bun":"node",`,
  // A call of `require` by its name makes `deno eval` take the script for CommonJS, which costs 25 ms.
  `q=D||require,f=D||q("fs"),[i,o]=(p.args||p.argv).slice(-2),s="",b,d,w="/dev/fd/",t=b=>new TextDecoder().decode(b),`,
  // At the end of the input there is nothing left to do but to exit. A descriptor that does not block is asked again
  // every 2 ms; Deno 2.0 says so in the error's name, others in its message.
  `x=(b,y="readSync",h=d)=>{for(let k=0,l;k<b.length;)try{l=b.subarray(k);`,
  `(l=D?h[y](l):f[y](h,l))>0?k+=l:p.exit(69)}catch(e){if(/EAGAIN|WouldB/.test(e)<1)throw e;`,
  `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)),0,0,2)}return b};i=+i||0;o=+o||1;`,
  `x(new TextEncoder().encode("~across1 "+g+" "+v[g]+"~"),"writeSync",`,
  `D?i?f.openSync(w+o,{write:true}):f.stdout:o);d=D?i?f.openSync(w+i):f.stdin:i;`,
  // What takes longest to load is loaded before the core arrives: DecompressionStream is slow in Node, zlib elsewhere.
  `w=g<"n"?new DecompressionStream("deflate-raw"):q("zlib");`,
  // Eight bytes that are no positive number are a part of what the dialler had sent before it saw the greeting.
  `for(;(b=+t(x(new Uint8Array(8))))>0<1;);b=x(new Uint8Array(b));`,
  `if(g<"n"){d=w.writable.getWriter();d.write(b);d.close();for await(d of w.readable)s+=t(d)}else s+=w.inflateRawSync(b);`,
  // A function, not a module: to import one of 100 KB takes 8 ms more in Deno, and 6 in Node. What throws here is an
  // unhandled rejection, which every runtime reports on stderr before it exits with an error.
  `Function("init",s)({payload:b,input:i,output:o})})()`,
].join("");

/**
 * The script that turns a bare interpreter into a remote end, which talks to whoever started it over stdin and stdout. It is less than 1,000 bytes
 * of plain ASCII, the same for Deno, Node and Bun, and made to pass unharmed through one more shell: `ssh host deno eval "$(across-bios)"`.
 *
 * In this bare form what the other end prints is kept from the wire by what can be done from inside the process. {@linkcode biosCommand} and
 * {@linkcode Connection.fromSsh} do better.
 *
 * @param _init Ignored: it is there so that what {@linkcode biosCommand} takes can be passed here, too.
 * @returns the script; its first and last line are `//'`, without a newline at the end
 *
 * @example
 * ```ts
 * import { Connection, getBios } from "@x/across";
 * import { assertEquals } from "@std/assert";
 *
 * await using conn = Connection.fromCommand(["deno", "eval", "--no-config", getBios()]);
 * assertEquals(await conn.execute("1 + 1"), 2);
 * ```
 */
export function getBios(_init?: BiosInit): string {
  // Two comments for JavaScript. For a shell that parses the text once more, the quotes around all that is between them.
  return `//'\n${STAGE_1}\n//'`;
}
