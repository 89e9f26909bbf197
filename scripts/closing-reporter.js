/**
 * A vitest reporter: names every skipped test with its reason (`context.skip("reason")`), then closes with a line
 * that tools read, `N passed, M failed, K skipped`. ATTUNE_COUNTS=FILE also writes the counts there as JSON.
 */
import { writeFileSync } from "node:fs";

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** @param {Counts} counts */
export const closingLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;

export class ClosingReporter {
  /** @param {string} [notRun]  what this run leaves to another command */
  constructor(notRun) {
    this.notRun = notRun;
  }

  /**
   * @param {readonly import("vitest/node").TestModule[]} modules
   * @param {readonly unknown[]} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    const skipped = [];
    for (const module of modules) {
      const before = counts.failed;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") counts.passed++;
        else if (result.state === "failed") counts.failed++;
        else {
          counts.skipped++;
          const reason = "note" in result && result.note ? `: ${result.note}` : "";
          skipped.push(`skipped: ${module.relativeModuleId} > ${test.fullName}${reason}`);
        }
      }
      // a file that failed to load, or a hook that failed, has no failed test
      if (module.state() === "failed" && counts.failed === before) counts.failed++;
    }
    for (const line of skipped) console.log(line);
    if (this.notRun) console.log(`not run here: ${this.notRun}`);
    if (process.env.ATTUNE_COUNTS) writeFileSync(process.env.ATTUNE_COUNTS, JSON.stringify(counts));
    console.log(`\n${closingLine(counts)}`);
  }
}
