/**
 * Certificates for tests, made by `openssl` when they are needed: an authority of our own, and what it has signed.
 *
 * @module
 */

/** A certificate and its key, in PEM format. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority that exists only as long as the test. */
export interface Authority {
  /** Its own certificate, in PEM format. */
  readonly ca: string;
  /**
   * Signs a certificate.
   *
   * @param names Whom it is for, as `DNS:localhost` or `IP:127.0.0.1`.
   * @param days How long it is valid from now on; a negative number makes one that has expired.
   */
  sign(names: readonly string[], days?: number): Promise<Certificate>;
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

async function openssl(folder: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command("openssl", { args, cwd: folder, stdin: "null" }).output();
  if (code !== 0) throw new Error(`openssl ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
}

/**
 * Makes an authority.
 *
 * @param body Uses it; its files are gone afterwards.
 */
export async function withAuthority<T>(body: (authority: Authority) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "across-test-" });
  const read = (name: string) => Deno.readTextFile(`${folder}/${name}`);
  try {
    await openssl(folder, "req", "-x509", ...NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test");
    let count = 0;
    return await body({
      ca: await read("ca.pem"),
      async sign(names, days = 2) {
        const [key, request, cert, extensions] = ["key", "csr", "pem", "ext"].map((end) => `${count}.${end}`);
        // Not from a file, which two that are made at once would both write.
        const serial = String(++count);
        await Deno.writeTextFile(
          `${folder}/${extensions}`,
          `subjectAltName=${names.join()}\nbasicConstraints=CA:FALSE\n`,
        );
        await openssl(folder, "req", ...NEW_KEY, "-keyout", key!, "-out", request!, "-subj", "/CN=test end");
        const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", serial, "-extfile", extensions!];
        await openssl(folder, "x509", "-req", "-in", request!, "-out", cert!, ...signer, "-days", String(days));
        return { cert: await read(cert!), key: await read(key!) };
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
