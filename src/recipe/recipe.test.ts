import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { RecipeError } from "./errors.ts";
import { recipeJsonSchema } from "./json-schema.ts";
import { parseOverrides } from "./overrides.ts";
import { readRecipe, recipeData } from "./recipe.ts";

const good = `
stages:
  sft: { trainer: sft, model: base, data: rows.jsonl, batch_size: 4 }
  dpo: { model: sft, data: [a.jsonl, b.jsonl], beta: 0.2 }
`;
const read = (text: string, fields: string[] = []) =>
  readRecipe(text, { source: "mine.yaml", overrides: parseOverrides(fields) });
const refusal = (text: string, fields: string[] = []): string => {
  try {
    read(text, fields);
  } catch (error) {
    expect(error).toBeInstanceOf(RecipeError);
    return (error as Error).message;
  }
  return "nothing";
};

describe("a recipe", () => {
  it("has its stages in order, names and folder by default, TRL's names for other spellings", () => {
    const recipe = read(good);
    expect(recipe).toMatchObject({ name: "mine", seed: 42, output_dir: "runs/mine" });
    expect(recipe.stages).toEqual([
      {
        name: "sft",
        trainer: "sft",
        keys: { model: "base", data: "rows.jsonl", per_device_train_batch_size: 4 },
      },
      { name: "dpo", trainer: "dpo", keys: { model: "sft", data: ["a.jsonl", "b.jsonl"], beta: 0.2 } },
    ]);
  });

  it("takes fields from the command line and comes back as data", () => {
    const recipe = read(good, ["--dpo.beta", "0.5", "--seed", "7", "--sft.max-steps", "3"]);
    expect(recipeData(recipe)).toMatchObject({
      seed: 7,
      stages: { dpo: { beta: 0.5 }, sft: { max_steps: 3 } },
    });
  });

  it("takes keys of another stage by YAML's merge key", () => {
    const { stages } = read(
      "stages: { a: &a { trainer: reward, model: m, data: x, seed: 1 }, b: { <<: *a, seed: 2, encoder: separate } }",
    );
    expect(stages.map(({ keys }) => keys)).toEqual([
      { model: "m", data: "x", seed: 1 },
      { model: "m", data: "x", seed: 2, encoder: "separate" },
    ]);
  });

  it("says what is wrong in one line, with the nearest valid name", () => {
    expect(refusal(good, ["--dpo.bta", "1"])).toBe("mine.yaml: dpo: bta is not a key; did you mean beta?");
    expect(refusal(good, ["--sed", "1"])).toBe("mine.yaml: sed is not a key; did you mean seed?");
    expect(refusal(good, ["--dpo.beta", "0"])).toBe("mine.yaml: dpo: beta: above 0 is required, got 0");
    expect(refusal(good, ["--dpo.trainer", "rewrd"])).toMatch(
      /trainer rewrd is not known; did you mean reward/,
    );
    expect(refusal("stages: { x: { model: a } }")).toMatch(/mine.yaml: x: trainer is required: one of/);
    expect(refusal("stages: { sft: { model: a } }")).toBe("mine.yaml: sft: data is required");
    expect(refusal("stages: { ppo: { model: a, data: b, reward: [0.5*rule:lenght, judge] } }")).toMatch(
      /mine.yaml: ppo.reward: rule lenght: there is no such rule; did you mean length/,
    );
    expect(refusal(`${good}evaluate: { prompts: p, reward: "length_band?mim=3" }`)).toMatch(
      /mine.yaml: evaluate.reward: .*no option mim; did you mean min/,
    );
    expect(refusal("seed: 1")).toMatch(/at least one named stage/);
    expect(refusal("- 1")).toMatch(/a recipe is required/);
    expect(refusal("stages: {")).toMatch(/mine.yaml: .*line 1/);
    expect(
      refusal("stages: { a: { trainer: sft, model: b, data: x }, b: { trainer: sft, model: a, data: x } }"),
    ).toMatch(/a.model: b is not an earlier stage/);
    expect(
      refusal("stages: { sft: { model: a, data: b, batch_size: 1, per_device_train_batch_size: 2 } }"),
    ).toMatch(/the same key/);
  });

  it.each([
    [
      "pairs",
      "reward: rule:length, num_samples: 4, pairs_per_prompt: 3",
      /pairs_per_prompt: from 1 to half of the 4/,
    ],
    ["reward", "members: 3, normalize_rewards: false", /normalize_rewards: true is required for an ensemble/],
    ["reward", "objectives: [helpful], loss_type: regression", /objectives: pairs are required/],
    ["reward", "early_stopping_patience: 2", /early_stopping_patience: held-out rows are required/],
    ["ppo", "reward: rule:length, kl_in: loss", /kl_estimator: k2 or k3 is required for a KL in the loss/],
    ["ppo", "reward: rule:length, int8_reference: true, lora_r: 4", /int8_reference: under LoRA/],
    ["nash-md", "reward: rule:length, int8_reference: true, lora_r: 4", /int8_reference: under LoRA/],
    ["online-dpo", "reward: rule:length, int8_reference: true, lora_r: 4", /int8_reference: under LoRA/],
    [
      "ppo",
      "reward: rule:length, critic: reward",
      /critic: reward needs a reward model as the reward, got rule:length/,
    ],
    ["ppo", "reward: rule:length, kl_target: 3", /kl_target: kl_schedule adaptive is required for it/],
    [
      "ppo",
      "reward: rule:length, kl_schedule: adaptive, kl_coef_end: 0",
      /kl_coef_end: kl_schedule linear or cosine/,
    ],
    [
      "ppo",
      "reward: rule:length, shared_backbone: true, critic: policy",
      /critic: a critic of its own, shared_backbone false/,
    ],
    ["ppo", "reward: 'length_band?min=5&max=3'", /a max of at least min is required/],
    [
      "reward",
      "encoder: separate, gradient_penalty: 0.1",
      /gradient_penalty: encoder joint is required, .* got separate/,
    ],
    ["reward", "combine: wco", /combine: members of at least 2 is required for it/],
    [
      "expert-iteration",
      "reward: rule:length, threshold: 0.5",
      /threshold: selection threshold is required for it/,
    ],
    ["dpo", "kl_steps: 5", /kl_steps: target_kl is required for it/],
    [
      "dpo",
      "f_alpha_divergence_coef: 0.3",
      /f_alpha_divergence_coef: f_divergence_type alpha_divergence is required/,
    ],
    ["dpo", "loss_weights: [0.5]", /loss_weights: a loss_type of several is required/],
    ["grpo", "reward: rule:length, num_generations: 1", /num_generations: /],
    ["rloo", "reward: rule:length, num_generations: 3, batch_size: 8", /num_generations/],
    ["reinforce", "reward: rule:length, kl_bound: 0.1, ema_decay: 0.9", /kl_bound: .*leave ema_decay out/],
    [
      "trpo",
      "reward: rule:length, gradient_checkpointing: true",
      /gradient_checkpointing .*differentiate twice/,
    ],
    [
      "expert-iteration",
      "reward: rule:length, num_generations: 4, top_k: 4",
      /top_k: a whole number from 1 to 3/,
    ],
    ["dpo", "reference_free: true, ref_model: b", /reference_free leaves the reference out/],
    ["dpo", "loss_type: hinge, label_smoothing: 0.1", /label_smoothing: hinge has none/],
    ["cpo", "loss_type: simpo, label_smoothing: 0.6", /label_smoothing: a share from 0 to below 0.5/],
    ["simpo", "label_smoothing: 0.6", /label_smoothing: a share from 0 to below 0.5/],
  ])("refuses options of %s that contradict each other when it is read: %s", (trainer, keys, message) => {
    expect(refusal(`stages: { mine: { trainer: ${trainer}, model: a, data: b, ${keys} } }`)).toMatch(message);
    expect(refusal(`stages: { mine: { trainer: ${trainer}, model: a, data: b, ${keys} } }`)).toMatch(
      /^mine.yaml: mine[:.]/,
    );
  });

  it("refuses episodes that nothing compares, though multi-turn needs no data", () => {
    expect(refusal("stages: { talk: { trainer: multi-turn, model: a, num_generations: 1 } }")).toBe(
      "mine.yaml: talk: num_generations: a whole number of at least 2 is required, got 1",
    );
  });

  it("has a JSON Schema in which a key is told by its sentence, and other spellings are keys too", () => {
    const text = JSON.stringify(recipeJsonSchema());
    expect(text).toContain('"per_device_train_batch_size":{"description":"rows of a micro-batch"');
    expect(text).toContain('"batch_size":{"description":"rows of a micro-batch"');
    expect(text).not.toContain("aliases");
  });

  it.each(["world", "tinystories", "hh"])("%s.yaml in the box is valid", async (name) => {
    const path = new URL(`../../recipes/${name}.yaml`, import.meta.url);
    const recipe = readRecipe(await readFile(path, "utf8"), { source: `${name}.yaml` });
    expect(recipe.name).toBe(name);
  });
});
