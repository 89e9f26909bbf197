import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { frontierFigures } from "../frontier/figures.ts";
import { frontier } from "../frontier/frontier.ts";
import { frontierPage } from "../report/frontier-page.ts";
import type { StudyData } from "../study/files.ts";
import { studyText } from "../study/files.ts";
import { checkStudy, readStudyFile } from "../study/settings.ts";
import { type ParetoFigures, paretoFigures } from "./figures.ts";
import { weightGrid, weightsLabel } from "./weights.ts";

it("weights stand evenly on the simplex, each once, and sum to 1", () => {
  expect(weightGrid(["a", "b"], 2)).toEqual([{ a: 1 }, { a: 0.5, b: 0.5 }, { b: 1 }]);
  const three = weightGrid(["a", "b", "c"], 4);
  expect(three).toHaveLength(15);
  expect(new Set(three.map(weightsLabel)).size).toBe(15);
  for (const each of three) expect(Object.values(each).reduce((x, y) => x + y, 0)).toBeCloseTo(1, 12);
});

const section = {
  weights: { model: "judge", objectives: ["a", "b"], steps: 2 },
  best_of_n: 2,
  num_prompts: 3,
};
const stages = { judge: { trainer: "reward", model: "m", data: "pairs.jsonl", objectives: ["a", "b"] } };

describe("a sweep over weights", () => {
  it("is a proxy for each way to weigh, also when its file is read again", async () => {
    const study = checkStudy({ name: "weights", stages, study: section }, "study.yaml");
    expect(Object.entries(study.settings.proxies ?? {})).toEqual([
      ["a 1", { model: "judge", weights: { a: 1 } }],
      ["a 0.5, b 0.5", { model: "judge", weights: { a: 0.5, b: 0.5 } }],
      ["b 1", { model: "judge", weights: { b: 1 } }],
    ]);
    const dir = await mkdtemp(join(tmpdir(), "attune-weights-"));
    await writeFile(join(dir, "study.yaml"), studyText(study));
    expect((await readStudyFile(join(dir, "study.yaml"))).settings).toEqual(study.settings);
    await rm(dir, { recursive: true });
    expect(() =>
      checkStudy({ name: "weights", stages, study: { ...section, proxies: { x: "judge" } } }, "study.yaml"),
    ).toThrow(/weights are proxies of their own/);
  });

  /** Two samples to a prompt: the first is all a, the second all b; mixed weights take a third that is neither. */
  const planted = (): StudyData => ({
    dir: "runs/weights",
    study: checkStudy({ name: "weights", stages, study: { ...section, best_of_n: 3 } }, "study.yaml"),
    reference: [0, 1, 2].map((p) => ({
      prompt: `<b>${p}</b>`,
      completions: ["one", "two", "three"],
      tokens: [3, 3, 3],
      surprisals: [1, 1, 1],
      terminated: [true, true, true],
      objectives: { a: [1, 0, 0.1 + p / 100], b: [0, 1, -0.1] },
      proxies: { "a 1": [9, 1, 2], "a 0.5, b 0.5": [1, 2, 9], "b 1": [1, 9, 2] },
    })),
    cells: [],
  });

  it("marks the ways that another one dominates, and says which", () => {
    const { ways, start, n } = paretoFigures(planted()) as ParetoFigures;
    expect(n).toBe(3);
    expect(start.a?.mean).toBeCloseTo((1 + 0 + 0.11) / 3, 6);
    expect(ways.map(({ name, onFront, dominatedBy }) => [name, onFront, dominatedBy])).toEqual([
      ["a 1", true, undefined],
      ["a 0.5, b 0.5", false, "a 1"],
      ["b 1", true, undefined],
    ]);
    expect(ways[0]?.objectives.a?.mean).toBe(1);
    expect(ways[1]?.objectives.b?.mean).toBeCloseTo(-0.1, 12);
    expect(ways[0]?.kl).toBeCloseTo(Math.log(3) - 2 / 3, 12);
  });

  it("becomes a page with the front and nothing that is not there", () => {
    const data = planted();
    const page = frontierPage(frontierFigures(data), paretoFigures(data));
    expect([...page.matchAll(/<section id="([\w-]+)"/g)].map(([, id]) => id)).toEqual(["objectives"]);
    expect(page).toContain("no: a 1");
    expect(page.match(/NaN|undefined|Infinity/)).toBeNull();
  });
});

describe("run on models", () => {
  let folder: string;
  let engine: Engine;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "attune-pareto-"));
    engine = await createEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  it("has the axes of the gold reward for every way, from one pool of samples, and writes a report", async () => {
    const names = ["helpful", "harmless", "honest"];
    const label = { id2label: Object.fromEntries(names.map((name, i) => [String(i), name])) };
    const model = tinyModel();
    await model.save(join(folder, "base"));
    const entries = { ...label, label2id: {}, objectives: { weights: { helpful: 1 } } };
    await withScoreHead(model, { numLabels: 3, head: "random", entries }).save(join(folder, "judge"));
    const questions = ["Tell me the neighbour of Casper.", "Tell me how to plant beans."];
    const prompts = questions
      .map((q) => `${JSON.stringify({ prompt: `Question: ${q}\nAnswer:` })}\n`)
      .join("");
    await writeFile(join(folder, "prompts.jsonl"), prompts);
    const study = checkStudy(
      {
        name: "pareto",
        output_dir: join(folder, "out"),
        evaluate: { prompts: join(folder, "prompts.jsonl"), reward: "world:gold", max_new_tokens: 6 },
        study: {
          model: join(folder, "base"),
          weights: { model: join(folder, "judge"), objectives: names, steps: 1 },
          best_of_n: 4,
        },
      },
      "study.yaml",
    );
    const { lines, report } = await frontier(study, { engine });
    expect(lines.map((line) => line.slice(2).split(",")[0])).toEqual(["helpful 1", "harmless 1", "honest 1"]);
    expect(lines.some((line) => line.startsWith("*"))).toBe(true);
    const rows = (await readFile(join(folder, "out/reference.jsonl"), "utf8")).trim().split("\n");
    const [first] = rows.map((line) => JSON.parse(line));
    expect(rows).toHaveLength(2);
    expect(Object.keys(first.objectives)).toEqual(names);
    expect(first.objectives.honest).toHaveLength(4);
    expect(await readFile(report as string, "utf8")).toContain("Objectives against each other");
  });
});
