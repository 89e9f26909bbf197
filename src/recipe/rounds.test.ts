import { describe, expect, it } from "vitest";
import { checkRecipe } from "./recipe.ts";

const fields = (repeat: object) => ({
  world: { sft: 10, preferences: 10, prompts: 10 },
  stages: {
    sft: { model: "base", data: "world:sft" },
    first: { trainer: "reward", model: "sft", data: "world:preferences" },
    pairs: { model: "ppo", data: "world:prompts", reward: "world:gold" },
    judge: { trainer: "reward", model: "judge", data: ["world:preferences", "pairs"] },
    ppo: { model: "ppo", ref_model: "sft", reward: ["0.5*judge"], data: "world:prompts" },
    last: { trainer: "dpo", model: "ppo", data: "pairs" },
  },
  repeat,
});

describe("stages that are repeated", () => {
  const { stages } = checkRecipe(
    fields({ stages: ["pairs", "judge", "ppo"], times: 3, from: { ppo: "sft", judge: "first" } }),
    "r.yaml",
  );
  const keysOf = (name: string) => stages.find((stage) => stage.name === name)?.keys;

  it("are written out in rounds, between what comes before and after", () => {
    expect(stages.map(({ name }) => name)).toEqual([
      ...["sft", "first"],
      ...[1, 2, 3].flatMap((round) => ["pairs", "judge", "ppo"].map((name) => `${name}-${round}`)),
      "last",
    ]);
    expect(stages.find(({ name }) => name === "ppo-2")?.trainer).toBe("ppo");
  });

  it("mean earlier stages of their round, later ones of the round before, and at first what is said", () => {
    expect(keysOf("pairs-1")?.model).toBe("sft");
    expect(keysOf("pairs-3")?.model).toBe("ppo-2");
    expect([keysOf("judge-1")?.model, keysOf("judge-2")?.model]).toEqual(["first", "judge-1"]);
    expect(keysOf("ppo-2")).toMatchObject({ model: "ppo-1", ref_model: "sft", reward: ["0.5*judge-2"] });
    expect(keysOf("last")?.model).toBe("ppo-3");
  });

  it("learn from the comparisons of all rounds so far", () => {
    expect(keysOf("judge-1")?.data).toEqual(["world:preferences", "pairs-1"]);
    expect(keysOf("judge-3")?.data).toEqual(["world:preferences", "pairs-1", "pairs-2", "pairs-3"]);
    expect(keysOf("last")?.data).toEqual(["pairs-1", "pairs-2", "pairs-3"]);
  });

  it("are refused without a start, or when they are not there", () => {
    expect(() =>
      checkRecipe(fields({ stages: ["pairs", "judge", "ppo"], from: { judge: "first" } }), "r"),
    ).toThrow("what ppo means to pairs in the first round is required");
    expect(() => checkRecipe(fields({ stages: ["pears"] }), "r")).toThrow("pears is not a stage");
    expect(() => checkRecipe(fields({ stages: ["pairs"], times: 0 }), "r")).toThrow("times: at least 1");
  });
});
