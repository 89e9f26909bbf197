import { describe, expect, it } from "vitest";
import { OverrideError, parseOverrides, withOverrides } from "./overrides.ts";

const recipe = { seed: 1, stages: { sft: { trainer: "sft" }, "ppo-2": { kl_coef: 0.1, lora: { r: 8 } } } };

describe("fields from the command line", () => {
  it("are read as YAML reads them, in both forms, kebab-case too", () => {
    expect(
      parseOverrides([
        "--ppo.kl-coef",
        "0.05",
        "--seed=7",
        "--name",
        "a b",
        "--x",
        "[1, 2]",
        "--flag",
        "--no-y",
      ]),
    ).toEqual([
      { path: ["ppo", "kl_coef"], value: 0.05, flag: "--ppo.kl-coef" },
      { path: ["seed"], value: 7, flag: "--seed" },
      { path: ["name"], value: "a b", flag: "--name" },
      { path: ["x"], value: [1, 2], flag: "--x" },
      { path: ["flag"], value: true, flag: "--flag" },
      { path: ["y"], value: false, flag: "--no-y" },
    ]);
  });

  it("a negative number is a value", () => {
    expect(parseOverrides(["--a.b", "-3"])).toMatchObject([{ value: -3 }]);
  });

  it("begin with two dashes", () => {
    expect(() => parseOverrides(["ppo.kl_coef", "1"])).toThrow(OverrideError);
  });

  it("go to a stage when the first name is one, and leave the recipe as it was", () => {
    const next = withOverrides(
      recipe,
      parseOverrides(["--ppo-2.kl_coef", "0.5", "--ppo-2.lora.r", "4", "--seed", "2"]),
    );
    expect(next).toEqual({
      seed: 2,
      stages: { sft: { trainer: "sft" }, "ppo-2": { kl_coef: 0.5, lora: { r: 4 } } },
    });
    expect(recipe.seed).toBe(1);
  });
});
