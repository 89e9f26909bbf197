import { describe, expect, it } from "vitest";
import { openReward } from "./node-open.ts";
import { codeOf, unitTestReward } from "./node-unit-test.ts";

const tests = "assert.equal(add(2, 3), 5); assert.deepEqual([add(0, 0)], [0]);";
const passed = async (completion: string, of = tests, options = {}) =>
  (await unitTestReward("test", options)([{ prompt: "", completion, row: { test: of } }]))[0];

describe("unit_test", () => {
  it("pays for code that passes, JavaScript or TypeScript, plain or fenced", async () => {
    const reward = await openReward("unit_test?column=test&workers=2");
    const row = { test: tests };
    const scores = await reward.score(
      [
        "function add(a, b) { return a + b; }",
        "Here it is:\n```ts\nconst add = (a: number, b: number): number => a + b;\n```\nThat adds.",
        "const add = (a, b) => a - b;",
        "const add = (",
        "",
      ].map((completion) => ({ prompt: "", completion, row })),
    );
    expect(scores).toEqual([1, 1, 0, 0, 0]);
    expect(codeOf("a ```\nb\n``` c ```js\nd")).toBe("b\n\nd");
  });

  it("waits for tests that wait, and fails those that reject", async () => {
    const code = "const later = async (x) => { await null; return x; };";
    expect(await passed(code, "assert.equal(await later(3), 3);")).toBe(1);
    expect(await passed(code, "assert.equal(await later(3), 4);")).toBe(0);
    expect(await passed("", "assert.throws(() => { throw new Error(); });")).toBe(1);
  });

  it("does not pay for ways around the tests", async () => {
    for (const code of [
      "process.exit(0);",
      "const assert = () => {}; assert.equal = assert; assert.deepEqual = assert;",
      "globalThis.assert = new Proxy(() => {}, { get: () => () => {} }); const add = 0;",
      "console.log('passed'); throw new Error();",
      "});//",
    ])
      expect(await passed(code), code).toBe(0);
  });

  it("gives the code no environment, no files, no processes and no network functions", async () => {
    for (const name of ["process", "require", "fetch", "Buffer", "setTimeout"])
      expect(await passed("", `assert.equal(typeof ${name}, "undefined");`), name).toBe(1);
    // What finds its way out of the scope still has the process's own limits.
    const out = "const p = assert.constructor.constructor('return typeof process')();";
    expect(await passed("", `${out} assert.equal(p, "undefined");`)).toBe(1);
  });

  it("ends code that takes too long or too much memory", async () => {
    expect(await passed("while (true) {}", tests, { timeout: 0.5 })).toBe(0);
    expect(await passed("const all = []; while (true) all.push(new Array(1e5).fill(1));", tests)).toBe(0);
    expect(await passed("const all = []; while (true) all.push(new Uint8Array(1e7).fill(1));", tests)).toBe(
      0,
    );
  });

  it("says which column is missing", async () => {
    await expect(
      unitTestReward("tests")([{ prompt: "", completion: "", row: { test: "" } }]),
    ).rejects.toThrow(/unit_test: each row needs the column tests.*there are test/);
  });
});
