import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { TrainError } from "../errors.ts";
import { multiTurn } from "../multi-turn.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { conversation } from "./conversation.ts";
import { openEnvironment } from "./node-environment.ts";

// below the repository, so that the packages are found
mkdirSync(".cache", { recursive: true });
const dir = mkdtempSync(".cache/environment-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What is made by a module, or what refuses it. */
async function made(name: string, source: string, exported = "") {
  writeFileSync(join(dir, name), source);
  return (await openEnvironment(`./${name}${exported}`, { baseDir: dir }))();
}
const refusal = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(TrainError);
  return (error as Error).message;
};
const environmentOf = (reset: string, step: string) =>
  `export default () => ({ reset: () => { ${reset} }, step: () => { ${step} } });`;

describe("an environment that throws", () => {
  it("is named with the call, the turn and what the model said", async () => {
    const one = await made(
      "step.mjs",
      `let turns = 0;
       export default () => ({
         reset: () => ({ observation: "a" }),
         step: () => {
           if (++turns === 2) throw new RangeError("boom in step");
           return { observation: "b", reward: 0, terminated: false, truncated: false };
         },
       });`,
    );
    await one.reset({ seed: 1 });
    await one.step("first");
    expect(await refusal(one.step("second") as Promise<unknown>)).toBe(
      'environment ./step.mjs: step in turn 2 threw on "second": RangeError: boom in step; correct the environment',
    );
    await one.reset({ seed: 1 });
    expect(await one.step("third")).toMatchObject({ observation: "b" });

    const other = await made("reset.mjs", environmentOf('throw new Error("boom in reset")', ""));
    expect(await refusal(other.reset({ seed: 7 }) as Promise<unknown>)).toBe(
      "environment ./reset.mjs: reset with seed 7 threw: Error: boom in reset; correct the environment",
    );
    expect(await refusal(made("make.mjs", 'export default () => { throw "no"; }'))).toBe(
      "environment ./make.mjs: threw when it was made: no; correct the environment",
    );
  });

  it("says itself what is wrong when it is one of ours", async () => {
    const make = await openEnvironment(conversation({ requestsPerCall: 1 }));
    const one = await make();
    await expect(one.step("too early")).rejects.toThrow(/^conversation: the call has ended/);
  });
});

describe("an environment that does not keep to the protocol", () => {
  it("is told what is required and what came, by its name", async () => {
    for (const [came, words] of [
      ["42", "number 42"],
      ["undefined", "nothing"],
      ["{ reset() {}, stp() {} }", "an object with reset, stp"],
    ])
      expect(
        await refusal(made(`${words?.replace(/\W/g, "-")}.mjs`, `export default () => (${came});`)),
      ).toMatch(`an object with the functions reset and step is required, got ${words}; return one from`);
    const bad = await made("bad.mjs", environmentOf("", 'return { observation: "a", reward: "1" };'));
    expect(await refusal(bad.reset({ seed: 1 }) as Promise<unknown>)).toBe(
      "environment ./bad.mjs: reset with seed 1 must give an observation that is a text, got nothing",
    );
    expect(await refusal(bad.step("x") as Promise<unknown>)).toBe(
      'environment ./bad.mjs: step in turn 1 must give a reward that is a finite number, got the string "1"',
    );
  });

  it("ends training with such a message, not with the name of a variable", async () => {
    await expect(
      multiTurn({ model: tinyModel(), environment: (() => 42) as never, maxSteps: 1, threads: 1 }),
    ).rejects.toThrow(
      /environment .*: an object with the functions reset and step is required, got number 42/,
    );
  });
});

describe("a module that makes environments", () => {
  it("is called an environment when it is not there, has no such export, or is broken", async () => {
    expect(await refusal(openEnvironment("./gone.mjs", { baseDir: dir }))).toMatch(
      /^environment \.\/gone\.mjs: no such file/,
    );
    expect(await refusal(made("broken.mjs", "export default () => {"))).toMatch(
      /^environment \.\/broken\.mjs: the module cannot be loaded: /,
    );
    expect(await refusal(made("value.mjs", "export default 42;"))).toBe(
      "environment ./value.mjs: a function that makes environments, as default export, is required, there is none",
    );
    expect(
      await refusal(made("named.mjs", "export const town = () => ({}); export const reward = 1;")),
    ).toMatch(/makes environments, as default export.* it exports town; name one: \.\/named\.mjs#town$/);
    expect(await refusal(made("typo.mjs", "export const town = () => ({});", "#twon"))).toMatch(
      /^environment \.\/typo\.mjs: an exported function twon is required, it exports town; name one: .*#town$/,
    );
  });
});
