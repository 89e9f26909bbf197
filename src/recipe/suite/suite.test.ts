import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { preferences, sentences, tinyModel } from "../../train/tiny.fixture.ts";
import { readSuite, runSuite, suiteMetrics } from "./index.ts";

const read = (text: string) => readSuite(text, { source: "mine.yaml" });

describe("a suite's file", () => {
  it("measures all that there is data for, against the first model, unless it says otherwise", () => {
    const suite = read("{ models: { a: x, b: y }, prompts: p.jsonl, rewards: { len: rule:length } }");
    expect(suite).toMatchObject({ name: "mine", baseline: "a", seed: 42, output_dir: "runs/suites/mine" });
    expect(suite.metrics).toEqual(
      expect.arrayContaining(["reward", "win_rate", "leaderboard", "kl", "diversity"]),
    );
    expect(suite.metrics).not.toContain("perplexity");
    expect(read("{ models: { a: x }, texts: t.jsonl }").metrics).toEqual(["perplexity"]);
  });

  it("says what is wrong: unknown keys with the nearest name, metrics without data, a baseline that is no model", () => {
    expect(() => read("{ models: { a: x }, promts: p }")).toThrow(/promts is not a key.*prompts/);
    expect(() => read("{ models: { a: x }, texts: t, metrics: [win_rate] }")).toThrow(
      /win_rate needs rewards/,
    );
    expect(() => read("{ models: { a: x }, texts: t, baseline: b }")).toThrow(/one of a is required, got b/);
    expect(() => read("{ models: { a: x } }")).toThrow(/there is nothing to measure/);
    expect(() => read("{ models: {}, texts: t }")).toThrow(/at least one model/);
  });
});

it("the suites in the box are valid", async () => {
  const files = (await readdir("recipes/suites")).filter((file) => file.endsWith(".yaml"));
  expect(files).toContain("world.yaml");
  for (const file of files)
    expect(readSuite(await readFile(`recipes/suites/${file}`, "utf8"), { source: file }).metrics).not.toEqual(
      [],
    );
});

describe("a suite that runs", () => {
  let folder: string;
  let engine: Engine;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "attune-suite-"));
    engine = await createEngine({ threads: 1 });
    const jsonl = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    await tinyModel(1).save(join(folder, "one"));
    await tinyModel(2).save(join(folder, "two"));
    const prompts = sentences
      .slice(0, 6)
      .map((text) => ({ prompt: text.slice(0, 7), answer: text.slice(7) }));
    await writeFile(join(folder, "prompts.jsonl"), jsonl(prompts));
    await writeFile(join(folder, "texts.jsonl"), jsonl(sentences.slice(0, 4).map((text) => ({ text }))));
    const pairs = preferences.slice(0, 8).map((row, i) => ({ ...row, kind: i % 2 ? "odd" : "even" }));
    await writeFile(join(folder, "pairs.jsonl"), jsonl(pairs));
  });
  afterAll(async () => {
    await engine.dispose();
    await rm(folder, { recursive: true, force: true });
  });
  const suite = (models: object = {}) => ({
    ...read(
      JSON.stringify({
        models: { one: join(folder, "one"), two: join(folder, "two"), ...models },
        prompts: join(folder, "prompts.jsonl"),
        max_new_tokens: 6,
        rewards: { length: "rule:length", questions: "rule:exclamation" },
        references: "answer",
        texts: join(folder, "texts.jsonl"),
        pairs: { held: join(folder, "pairs.jsonl") },
      }),
    ),
    output_dir: join(folder, "out"),
  });

  it("gives every measure, reuses the rows of an earlier run, and adds those of a new model", async () => {
    const run = async (models: object = {}) => {
      const rows: [string, boolean][] = [];
      const result = await runSuite(suite(models), { engine, onRow: (...row) => rows.push(row) });
      return { rows, ...result };
    };
    const first = await run();
    expect(first.rows.every(([, reused]) => !reused)).toBe(true);
    const [one, two] = first.models;
    expect(one?.win_rate).toBeUndefined();
    expect(two).toMatchObject({
      name: "two",
      win_rate: { n: 6 },
      length_controlled_win_rate: { n: 6 },
      length: { unit: "tokens" },
      kl: { unit: "nats per response" },
    });
    expect(two?.kl?.model_baseline.mean).toBeGreaterThan(0);
    expect(two?.kl?.baseline_model.mean).toBeGreaterThan(0);
    for (const value of [two?.perplexity, two?.self_bleu, two?.rouge?.rouge1?.mean, two?.distinct_1])
      expect(value).toSatisfy(Number.isFinite);
    expect(first.leaderboard?.bradley_terry.map(({ games }) => games)).toEqual([6, 6]);
    expect(Object.keys(first.alignment ?? {})).toEqual(["questions"]);
    expect(first.pairs?.map(({ reward, accuracy }) => [reward, Object.keys(accuracy.subsets)])).toEqual([
      ["length", ["even", "odd"]],
      ["questions", ["even", "odd"]],
    ]);
    expect(suite().metrics).toEqual(Object.keys(suiteMetrics));

    const again = await run();
    expect(again.rows.map(([name]) => name)).toEqual(first.rows.map(([name]) => name));
    expect(again.rows.every(([, reused]) => reused)).toBe(true);
    expect(again.models).toEqual(first.models);

    const more = await run({ three: join(folder, "one") });
    const fresh = more.rows.filter(([, reused]) => !reused).map(([name]) => name);
    expect(fresh.length).toBeGreaterThan(0);
    expect(fresh.every((name) => name.endsWith("/three"))).toBe(true);
    // The same weights answer by chances of their own, and are as near to the baseline as it is to itself.
    expect(more.models.at(-1)?.kl?.model_baseline.mean).toBeCloseTo(0, 5);

    const json = JSON.parse(await readFile(join(folder, "out", "suite.json"), "utf8"));
    expect(json.models).toHaveLength(3);
    const page = await readFile(more.page, "utf8");
    for (const text of ["three", "Who beats whom", "self-BLEU", "The rewards", "What they say"])
      expect(page).toContain(text);
    expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
  }, 120_000);
});
