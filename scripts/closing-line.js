/** Adds up count files of closing-reporter.js and prints the closing line: `node scripts/closing-line.js FILE...` */
import { existsSync, readFileSync } from "node:fs";
import { closingLine } from "./closing-reporter.js";

const sum = { passed: 0, failed: 0, skipped: 0 };
for (const file of process.argv.slice(2)) {
  if (!existsSync(file)) {
    sum.failed++; // a run that did not get as far as its counts
    continue;
  }
  const counts = JSON.parse(readFileSync(file, "utf8"));
  sum.passed += counts.passed;
  sum.failed += counts.failed;
  sum.skipped += counts.skipped;
}
console.log(closingLine(sum));
process.exitCode = sum.failed > 0 ? 1 : 0;
