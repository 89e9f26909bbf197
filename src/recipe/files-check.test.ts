import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecipeError } from "./errors.ts";
import { checkFiles } from "./files-check.ts";
import { checkRecipe } from "./recipe.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-files-"));
  await writeFile(join(folder, "rows.jsonl"), "{}");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const rows = () => join(folder, "rows.jsonl");
const told = (stages: object, more: object = {}): string => {
  try {
    checkFiles(checkRecipe({ name: "mine", output_dir: join(folder, "run"), stages, ...more }, "mine.yaml"));
  } catch (error) {
    expect(error).toBeInstanceOf(RecipeError);
    return (error as Error).message;
  }
  return "nothing";
};

describe("files that a recipe names", () => {
  it("are looked for before anything runs, all of them", () => {
    const stages = {
      sft: { model: `${folder}/none`, data: rows(), eval_data: "gone.jsonl" },
      ppo: {
        model: "sft",
        data: [`${folder}/a.jsonl=2`, rows()],
        reward: ["0.5*./nowhere.ts#short", "rule:length"],
      },
    };
    expect(told(stages, { evaluate: { prompts: "held.jsonl", reward: "./gold.ts" } })).toBe(
      [
        "mine: sft.eval_data: gone.jsonl: no such file or folder",
        `sft.model: ${folder}/none: no such file or folder`,
        `ppo.data: ${folder}/a.jsonl: no such file or folder`,
        "ppo.reward: ./nowhere.ts: no such file or folder",
        "evaluate.prompts: held.jsonl: no such file or folder",
        "evaluate.reward: ./gold.ts: no such file or folder",
      ].join("; "),
    );
  });

  it("may be on the hub, an earlier stage, of the world, or made by the run itself", () => {
    const stages = {
      sft: { model: "org/name", data: "org/rows:train", max_steps: 1 },
      pairs: { model: "sft", data: "world:prompts", reward: "world:gold" },
      dpo: { model: "sft", data: ["pairs", `${folder}/run/stages/pairs/pairs.jsonl`] },
    };
    expect(told(stages, { world: { prompts: 4 } })).toBe("nothing");
    expect(
      told({ ...stages, dpo: { model: "sft", data: "world:prmpts" } }, { world: { prompts: 4 } }),
    ).toMatch(/world:prmpts: no such data of the world; did you mean prompts/);
  });
});
