import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type ModelCard, modelCard, writeModelCard } from "./model-card.ts";

const card: ModelCard = {
  name: "ppo",
  method: "ppo",
  base: "org/base@main",
  data: ["prompts.jsonl", "org/prompts"],
  rows: 4_000,
  steps: 120,
  metrics: { "objective/kl": 9.8312345 },
  evaluation: {
    reward: { overall: { mean: 0.8, low: 0.77, high: 0.82 } },
    win_rate: { against: "sft", rate: 0.79, low: 0.74, high: 0.84, n: 240 },
  },
  version: "0.1.0",
  command: "attune run recipes/world.yaml",
};

const front = (text: string) => parse(/^---\n([\s\S]*?)\n---\n/.exec(text)?.[1] ?? "");

describe("a model card", () => {
  it("begins with what the hub reads", () => {
    expect(front(modelCard(card))).toEqual({
      base_model: "org/base",
      datasets: ["org/prompts"],
      library_name: "transformers",
      pipeline_tag: "text-generation",
      license: "unknown",
      tags: ["attune", "ppo", "rlhf"],
    });
    expect(
      front(modelCard({ ...card, base: "./mine", method: "reward", scores: true, adapter: true })),
    ).toMatchObject({
      library_name: "peft",
      pipeline_tag: "text-classification",
    });
    expect(front(modelCard({ ...card, base: "./mine" })).base_model).toBeUndefined();
  });

  it("says base, method, data, measures and how to load, and what a person still has to say", () => {
    const text = modelCard(card);
    for (const part of [
      "optimised by PPO for the score of a reward",
      "starting from `org/base@main`",
      "arxiv.org/abs/1707.06347",
      "- data: `prompts.jsonl`, `org/prompts`",
      "- rows: 4,000",
      "| held-out reward | 0.8 (0.77 to 0.82) |",
      "| win rate over sft | 0.79 (0.74 to 0.84) |",
      "| `objective/kl` | 9.831 |",
      "attune generate --model .",
      "Licence\n\nNot chosen yet",
      "Intended use and limits\n\nNot written yet",
      "0.1.0: `attune run recipes/world.yaml`",
    ])
      expect(text).toContain(part);
    expect(modelCard({ name: "x", method: "custom" })).toContain("This model was trained by custom.");
  });

  it("keeps to its lines, whatever names hold", () => {
    const text = modelCard({ ...card, name: "a\n---\n# b", command: "attune `x`\n## y", data: ["a|b"] });
    expect(text).toContain("\n# a --- # b\n");
    expect(text).toContain("`` attune `x` ## y ``");
    expect(front(text).license).toBe("unknown");
  });

  it("is written again over its own, and never over what a person wrote", async () => {
    const dir = await mkdtemp(join(tmpdir(), "attune-card-"));
    try {
      expect(await writeModelCard(dir, card)).toBe(true);
      expect(await writeModelCard(dir, { ...card, name: "second" })).toBe(true);
      expect(await readFile(join(dir, "README.md"), "utf8")).toContain("# second");
      await writeFile(join(dir, "README.md"), "# mine");
      expect(await writeModelCard(dir, card)).toBe(false);
      expect(await readFile(join(dir, "README.md"), "utf8")).toBe("# mine");
      expect(await writeModelCard(join(dir, "nowhere"), card)).toBe(false);
      await mkdir(join(dir, "blocked", "README.md.new"), { recursive: true });
      await expect(writeModelCard(join(dir, "blocked"), card)).rejects.toThrow(
        /README\.md: .*the model itself is there/,
      );
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
