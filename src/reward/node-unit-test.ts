/**
 * A reward for code: 1 when the tests in a column of the row pass on the code of the response, else 0.
 *
 * Generated code is not trusted. Each response runs in a process of its own, which gets nothing from this one: no
 * environment, no arguments, no files, no child processes, workers or native add-ons (Node's permission model), an
 * empty global scope without `process`, `require` or `fetch`, a limit of time and one of memory. That keeps a model's
 * mistakes and its shortcuts from doing harm; it is no wall against code that was written to attack Node itself, and
 * the network is not closed for code that finds its way out of the scope. Whoever must fear that runs Attune in a
 * container.
 *
 * Nor does code earn a point by ending the process, by printing, or by defining its own `assert`: tests run in a
 * scope of their own after the code, and what says that they passed is a number that the code never sees. What code
 * can still do is to tamper with built-in objects (`Array.prototype`) that the tests use.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { z } from "zod";
import { type Reward, RewardError, type RewardInput } from "./reward.ts";
import { number } from "./rules/rule.ts";

export const unitTestOptions = z.strictObject({
  /** Seconds for code and tests of a response. */
  timeout: number().default(5),
  /** MB that the process may take. */
  memory: number().default(256),
  /** Processes at a time; by default one a core. */
  workers: number().optional(),
});

export type UnitTestOptions = z.infer<typeof unitTestOptions>;

/**
 * What the process runs; source, since it may read no file. Code and tests are read from standard input, and the
 * word that says that the tests passed is written to standard output.
 */
const runner = `
const vm = require("node:vm");
let input = "";
process.stdin.on("data", (text) => { input += text; }).on("end", async () => {
  const { code, tests, word } = JSON.parse(input);
  const write = process.stdout.write.bind(process.stdout, word);
  const scope = vm.createContext(Object.create(null), { codeGeneration: { strings: true, wasm: false } });
  const run = (source) => vm.runInContext(source, scope);
  const assert = run(\`(() => {
    const { is, keys } = Object, { isArray } = Array, { stringify } = JSON, Failure = Error;
    const alike = (a, b) => is(a, b) || (typeof a === "object" && typeof b === "object" && a !== null && b !== null &&
      isArray(a) === isArray(b) && keys(a).length === keys(b).length && keys(a).every((key) => alike(a[key], b[key])));
    const require = (holds, message) => { if (!holds) throw new Failure(message); };
    const assert = (value, message = "a true value is required") => require(value, message);
    assert.ok = assert;
    assert.equal = assert.strictEqual = (a, b) => require(is(a, b), stringify(a) + " is not " + stringify(b));
    assert.notEqual = assert.notStrictEqual = (a, b) => require(!is(a, b), "both are " + stringify(a));
    assert.deepEqual = assert.deepStrictEqual = (a, b) => require(alike(a, b), stringify(a) + " is not " + stringify(b));
    assert.throws = (f) => { try { f(); } catch { return; } require(false, "it does not throw"); };
    return assert;
  })()\`);
  run("globalThis.console = { log() {}, info() {}, warn() {}, error() {}, debug() {} };");
  run(code);
  await run("(async (assert) => {" + tests + "\\n})")(assert);
  write();
});
process.on("unhandledRejection", () => process.exit(1));
`;

const fence = /```[\w+-]*[ \t]*\n(.*?)(?:```|$)/gs;

/** The code of a response: what stands in its fences, or all of it where there are none. */
export function codeOf(completion: string): string {
  const blocks = [...completion.matchAll(fence)].map(([, code]) => code as string);
  return blocks.length > 0 ? blocks.join("\n") : completion;
}

/** TypeScript without its types; JavaScript, and what cannot be read, as it is. */
async function plain(code: string): Promise<string> {
  const { transform } = await import("@swc/wasm-typescript");
  try {
    return (await transform(code, { mode: "strip-only", filename: "code.ts", module: false })).code;
  } catch {
    return code;
  }
}

const permission = process.allowedNodeEnvironmentFlags.has("--permission")
  ? "--permission"
  : "--experimental-permission";
const watchEvery = 50; // milliseconds between looks at its memory

/** Resident memory of a process in MB, where the system tells it (Linux). */
const residentOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/statm`, "utf8").catch(() => "");
  return (Number(text.split(" ")[1] ?? 0) * 4096) / 2 ** 20;
};

/** Whether the tests pass on the code. */
export async function passesTests(
  code: string,
  tests: string,
  { timeout, memory }: Pick<UnitTestOptions, "timeout" | "memory">,
): Promise<boolean> {
  const word = randomUUID();
  const heap = Math.max(16, Math.floor(memory / 2));
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${heap}`, "--no-warnings", permission, "-e", runner],
    { env: {}, cwd: "/", stdio: ["pipe", "pipe", "ignore"], windowsHide: true },
  );
  const { pid } = child;
  let said = "";
  return new Promise((resolve, reject) => {
    const stop = () => child.kill("SIGKILL");
    const clock = setTimeout(stop, timeout * 1000);
    // The heap has a limit of its own; this one is for what stands beside it, such as typed arrays.
    const watch = setInterval(async () => {
      if (pid !== undefined && (await residentOf(pid)) > memory + idleMemory) stop();
    }, watchEvery);
    const end = (passed: boolean) => {
      clearTimeout(clock);
      clearInterval(watch);
      resolve(passed);
    };
    child.on("error", (cause) => {
      clearTimeout(clock);
      clearInterval(watch);
      reject(new RewardError(`unit_test: no process could be started: ${cause.message}`, { cause }));
    });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.length > word.length) stop(); // nothing else is written there
    });
    child.on("close", () => end(said === word));
    child.stdin.on("error", () => {}); // it may have ended before it has read all
    child.stdin.end(JSON.stringify({ code, tests, word }));
  });
}

/** MB that Node takes itself. */
const idleMemory = 96;

/**
 * The reward: 1 when the tests in `column` of the row pass on the response's code, else 0.
 *
 * JavaScript and TypeScript (its types are erased). Tests are statements; `assert` is there, with `equal`, `deepEqual`
 * and `throws`, and `await` may be used.
 *
 * @throws RewardError when a row has no tests
 */
export function unitTestReward(column: string, options: Partial<UnitTestOptions> = {}): Reward {
  const { timeout, memory, workers = availableParallelism() } = unitTestOptions.parse(options);
  return async (batch) => {
    const scores = new Array<number>(batch.length).fill(0);
    const waiting = batch.map((input, i) => ({
      code: codeOf(input.completion),
      tests: testsOf(input, column),
      i,
    }));
    const work = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift())
        scores[next.i] = (await passesTests(await plain(next.code), await plain(next.tests), {
          timeout,
          memory,
        }))
          ? 1
          : 0;
    };
    await Promise.all(Array.from({ length: Math.max(1, Math.min(workers, batch.length)) }, work));
    return scores;
  };
}

function testsOf({ row = {} }: RewardInput, column: string): string {
  const tests = row[column];
  const text = Array.isArray(tests) ? tests.join("\n") : tests;
  if (typeof text === "string" && text.trim() !== "") return text;
  throw new RewardError(
    `unit_test: each row needs the column ${column}, tests as a text or a list of them; there are ${Object.keys(row).join(", ") || "none"}; name another with column=`,
  );
}
