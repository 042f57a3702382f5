// What is published: that it names the real @std packages, not their local stand-ins, and holds all that it needs and nothing else. A registry
// on loopback takes what `deno publish` uploads, because that is the only form that counts.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import config from "../deno.json" with { type: "json" };
import { VERSION } from "../protocol/version.ts";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

/** Regular files of a tar archive, by path. */
function untar(archive: Uint8Array): Map<string, string> {
  const decoder = new TextDecoder();
  const field = (header: Uint8Array, from: number, to: number): string =>
    decoder.decode(header.subarray(from, to)).replace(/\0[\s\S]*$/, "").trim();
  const files = new Map<string, string>();
  for (let position = 0; position + 512 <= archive.length;) {
    const header = archive.subarray(position, position + 512);
    const name = field(header, 0, 100);
    if (name === "") break;
    const size = Number.parseInt(field(header, 124, 136), 8);
    const prefix = field(header, 345, 500);
    const path = (prefix === "" ? name : `${prefix}/${name}`).replace(/^\.\//, "");
    files.set(path, decoder.decode(archive.subarray(position + 512, position + 512 + size)));
    position += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** Publishes to a registry of our own. */
async function published(): Promise<Map<string, string>> {
  let upload: Uint8Array<ArrayBuffer> | undefined;
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method === "POST" && pathname.includes("/versions/")) {
      upload = new Uint8Array(await request.arrayBuffer());
      return Response.json({ id: "1", status: "success", error: null });
    }
    if (pathname.endsWith("/packages/across")) return Response.json({ scope: "x", name: "across" });
    return Response.json({ code: "notFound", message: "There is no such thing" }, { status: 404 });
  });
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--allow-dirty", "--no-provenance", "--token", "none"],
    cwd: ROOT,
    env: { JSR_URL: `http://127.0.0.1:${server.addr.port}/`, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  assert(upload, "Nothing was uploaded");
  const plain = new Blob([upload]).stream().pipeThrough(new DecompressionStream("gzip"));
  return untar(new Uint8Array(await new Response(plain).arrayBuffer()));
}

Deno.test("the published package", async (t) => {
  const files = await published();
  const paths = [...files.keys()];

  await t.step("holds every entry point, what the far side needs, and the documents", () => {
    const entries = Object.values(config.exports).map((path) => path.slice(2));
    for (const path of [...entries, "bios/embedded.ts", "deno.json", "README.md", "CHANGELOG.md", "LICENSE"]) {
      assert(files.has(path), `"${path}" is missing`);
    }
  });

  await t.step("holds no tests, scripts or benches", () => {
    assertEquals(paths.filter((path) => /^(tests|scripts|benches|examples|\.)|_test\.|_bench\./.test(path)), []);
  });

  await t.step("names the real @std packages and no stand-in", () => {
    let std = 0;
    for (const [path, source] of files) {
      if (!path.endsWith(".ts") || path.startsWith("links/")) continue;
      for (const [, specifier = ""] of source.matchAll(/^(?:import|export)\b[^;]*?\bfrom "([^"]+)";$/gm)) {
        if (specifier.startsWith(".") || specifier.startsWith("node:")) continue;
        assertMatch(specifier, /^jsr:@std\/[a-z]+@\^1$/, path);
        std++;
      }
      assert(!source.includes("deno-std"), path);
      assert(!/from "[./]+links\//.test(source), path);
    }
    assert(std > 0);
  });

  await t.step("has the version of the protocol, which the change log describes", () => {
    assertEquals(JSON.parse(files.get("deno.json") ?? "{}").version, VERSION);
    assertStringIncludes(files.get("CHANGELOG.md") ?? "", `## ${VERSION}`);
  });
});

Deno.test("deno.json links only names that are imported from JSR", async () => {
  const imported = Object.entries(config.imports).filter(([, target]) => target.startsWith("jsr:"));
  for (const [name, target] of imported) assertMatch(target, new RegExp(`^jsr:${name}@\\^1$`));
  const linked = await Promise.all(
    config.links.map(async (path) => JSON.parse(await Deno.readTextFile(`${ROOT}/${path}/deno.json`)).name),
  );
  assertEquals(linked.sort(), imported.map(([name]) => name).sort());
});
