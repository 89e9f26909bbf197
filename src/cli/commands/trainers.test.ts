import { describe, expect, it } from "vitest";
import { stageKinds } from "../../recipe/index.ts";
import { commands, runCli } from "../main.ts";
import { trainers } from "./trainers.ts";

async function said(...argv: string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const stream = { write: (piece: string) => (text += piece) };
  const code = await runCli(argv, { registrations: commands, streams: { stdout: stream, stderr: stream } });
  return { code, text: text.replace(/\s+/g, " ") };
}

describe("the trainers' commands", () => {
  it("are the kinds of stages, with the same sentences; label writes a file, and has a command of its own", () => {
    const kinds = Object.values(stageKinds)
      .filter(({ name }) => name !== "label")
      .map(({ name, description }) => [name, description]);
    expect(Object.fromEntries(kinds)).toEqual(trainers);
  });

  it("have their keys as options, with defaults, other spellings, and without what only recipes have", async () => {
    const { code, text } = await said("dpo", "--help");
    expect(code).toBe(0);
    expect(text).toMatch(/--beta <x> strength of the pull towards the reference \(default: 0\.1\)/);
    expect(text).toMatch(/--batch-size, --per-device-train-batch-size <n>/);
    expect(text).not.toMatch(/earlier stage|world:NAME|the recipe's/);
  });

  it("take several losses between commas, and refuse a name that is none", async () => {
    const need = ["--model", "x", "--data", "y", "--output", "z"];
    expect(await said("dpo", ...need, "--loss-type", "sigmoid,none")).toMatchObject({
      code: 2,
      text: expect.stringMatching(/loss_type: one of sigmoid, [^.]* is required, got \["sigmoid","none"\]/),
    });
    expect(await said("dpo", ...need, "--loss-weights", "1,x")).toMatchObject({
      code: 2,
      text: expect.stringMatching(/loss_weights\.1: a number is required, got "x"/),
    });
  });

  it("show the same help when help is asked for first", async () => {
    expect((await said("help", "ppo")).text).toContain("--kl-coef <x>");
  });

  it("refuse a number that a key does not allow, an unknown option and a missing one with exit code 2", async () => {
    const need = ["--model", "x", "--data", "y", "--output", "z"];
    expect(await said("dpo", ...need, "--beta", "0")).toMatchObject({
      code: 2,
      text: expect.stringMatching(/above 0/),
    });
    expect(await said("dpo", ...need, "--bta", "1")).toMatchObject({
      code: 2,
      text: expect.stringMatching(/--beta/),
    });
    expect(await said("dpo", "--model", "x")).toMatchObject({
      code: 2,
      text: expect.stringMatching(/--data/),
    });
  });
});
