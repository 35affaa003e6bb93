// Runs test files with Node's runner, one more beside each other than there are processors:
//
//     node tests/support/run-beside.mjs tests/http/a.test.mjs …
//
// Node's own command leaves a processor free, which on two means one file at a time, while most of
// these tests wait for a server. Prints TAP; ends with status 1 if a test failed.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { run } from "node:test";
import { tap } from "node:test/reporters";

const files = process.argv.slice(2).map((file) => resolve(file));
if (!files.length) {
  console.error("Name the test files to run.");
  process.exit(2);
}
run({ files, concurrency: availableParallelism() + 1 })
  .on("test:fail", () => (process.exitCode = 1))
  .compose(tap)
  .pipe(process.stdout);
