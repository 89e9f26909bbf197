/**
 * `npm test` runs the tests beside the code and those of test/, without browser and server; `npm run test:browser`
 * runs test/browser/ in Chromium (`--mode browser`); `--mode fast` leaves out test/, for a second version of Node.
 */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";
import { ClosingReporter } from "./scripts/closing-reporter.js";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const beside = ["src/**/*.test.ts", "scripts/**/*.test.ts"];

/** What each mode runs, and what it leaves to another command. */
const suites: Record<string, { include: string[]; notRun?: string }> = {
  test: {
    include: [...beside, "test/**/*.test.ts", "bench/**/*.test.ts"],
    notRun: "the browser tests (npm run test:browser)",
  },
  fast: { include: beside, notRun: "test/ (npm test) and the browser tests (npm run test:browser)" },
  browser: { include: ["test/browser/**/*.test.ts"] },
};

export default defineConfig(({ mode }) => {
  const browser = mode === "browser";
  const { include, notRun } = suites[mode] ?? { include: [] };
  return {
    resolve: {
      // `attune/graph` in tests, benches and examples is the source, as in tsconfig.json
      alias: [
        { find: /^attune\/([a-z]+)$/, replacement: here("./src/$1/index.ts") },
        { find: /^attune\/([a-z]+\/(?:node|browser))$/, replacement: here("./src/$1.ts") },
      ],
    },
    test: {
      include,
      exclude: [...configDefaults.exclude, ...(browser ? [] : ["test/browser/**"])],
      // a process per file: ONNX Runtime sessions keep threads and memory of their own
      pool: "forks",
      maxWorkers: browser ? 1 : Math.max(1, Math.min(4, availableParallelism())),
      // worker threads that a test starts from a .ts file inherit this loader
      execArgv: ["--import", new URL("./scripts/register-ts.js", import.meta.url).href],
      testTimeout: browser ? 120_000 : 30_000,
      hookTimeout: 60_000,
      passWithNoTests: browser,
      reporters: ["default", new ClosingReporter(notRun)],
    },
  };
});
