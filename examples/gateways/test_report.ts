/**
 * Reports of `deno test` in JUnit's format, made into one, for `test_runner.ts`.
 *
 * @module
 */

/** What came of a test file. */
export interface Outcome {
  readonly file: string;
  /** Exit code of `deno test`. */
  readonly code: number;
  readonly seconds: number;
  /** The interpreter and the machine. */
  readonly where: string;
  /** Its report; empty if it did not get that far. */
  readonly xml: string;
  /** The end of what it printed. */
  readonly output: string;
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescape(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name) return ENTITIES[name] ?? whole;
    return String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal));
  });
}

function escape(text: string): string {
  // XML has no way to say control characters.
  // deno-lint-ignore no-control-regex -- that is what is looked for
  const sayable = text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, "\ufffd");
  return sayable.replace(/[<>"&]/g, (char) => `&${Object.keys(ENTITIES).find((name) => ENTITIES[name] === char)};`);
}

/** What came of all test files. Steps count as tests, as they do in JUnit's format. */
export class Report {
  passed = 0;
  failed = 0;
  ignored = 0;
  /** Names and errors of those that failed. */
  readonly #failures: string[] = [];
  readonly #suites: string[] = [];

  /** Adds what came of a file. Returns a line about it. */
  add({ file, code, seconds, where, xml, output }: Outcome): string {
    let passed = 0, failed = 0, ignored = 0;
    for (const [, name, inner] of xml.matchAll(/<testcase name="([^"]*)"[^>]*?>([^]*?)<\/testcase>/g)) {
      const failure = /<(?:failure|error)\b[^>]*>([^]*?)<\/(?:failure|error)>/.exec(inner!);
      if (failure) {
        failed++;
        this.#failures.push(`${unescape(name!)} (${file}, ${where})\n${unescape(failure[1]!)}`);
      } else if (inner!.includes("<skipped")) ignored++;
      else passed++;
    }
    for (const [suite] of xml.matchAll(/<testsuite [^]*?<\/testsuite>/g)) {
      this.#suites.push(suite.replace("<testsuite", `<testsuite hostname="${escape(where)}"`));
    }
    if (code !== 0 && failed === 0) {
      // It did not come to its tests: a syntax error, a throwing module, a time that ran out.
      failed++;
      this.#failures.push(`${file} (${where})\n${output.trim()}`);
      this.#suites.push(
        `<testsuite hostname="${escape(where)}" name="./${escape(file)}" tests="1" disabled="0" errors="1" failures="0">
        <testcase name="${escape(file)}" classname="./${escape(file)}" time="${seconds.toFixed(3)}">
            <error message="Exit code ${code}">${escape(output.trim())}</error>
        </testcase>
    </testsuite>`,
      );
    }
    this.passed += passed;
    this.failed += failed;
    this.ignored += ignored;
    return `${failed > 0 ? "FAILED" : "ok"} ${file} (${passed} passed, ${failed} failed, ${
      seconds.toFixed(1)
    } s, ${where})`;
  }

  /** What failed, and the counts. */
  summary(seconds: number, gateways: number): string {
    const counts = `${this.passed} passed | ${this.failed} failed | ${this.ignored} ignored`;
    const last = `${this.failed > 0 ? "FAILED" : "ok"} | ${counts} (${
      seconds.toFixed(1)
    } s on ${gateways} interpreters)`;
    return ["", ...this.#failures.map((failure) => `${failure}\n`), last].join("\n");
  }

  /** All reports as one. */
  toXml(): string {
    const tests = this.passed + this.failed + this.ignored;
    const suites = this.#suites.map((suite) => `    ${suite}\n`).join("");
    return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="${tests}" failures="${this.failed}" errors="0">\n${suites}</testsuites>\n`;
  }
}
