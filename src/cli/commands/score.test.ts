/** `attune score` and `attune eval kl`, in this process. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine } from "../../graph/node.ts";
import { configOf } from "../../models/config/config.ts";
import { createModel, type Model } from "../../models/load.ts";
import { createScorer } from "../../reward/scorer.ts";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";
import { register as evaluate } from "./eval.ts";
import { register as score } from "./score.ts";

const dir = mkdtempSync(join(tmpdir(), "attune-score-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (name: string) => join(dir, name);
const write = (name: string, rows: readonly object[]): string => {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return at(name);
};

async function attune(...argv: string[]) {
  let [stdout, stderr] = ["", ""];
  const streams = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
  };
  const code = await runCli([...argv, "--threads", "1"], { registrations: [score, evaluate], streams });
  return { code, stdout, stderr };
}

const json = async (...argv: string[]) => {
  const { stdout, stderr, code } = await attune(...argv, "--json");
  expect(stderr).not.toMatch(/error/);
  expect(code).toBe(0);
  return JSON.parse(stdout);
};

const policy = tinyModel();
const { tokenizer } = policy;
const judgeOf = (vocabSize: number): Model =>
  createModel(
    configOf("llama", {
      vocabSize,
      hiddenSize: 16,
      numLayers: 1,
      numHeads: 2,
      intermediateSize: 16,
      maxPositions: 64,
      eosTokenId: tokenizer?.eosId as number,
      numLabels: 1,
    }),
    3,
    tokenizer,
    "judge",
  );
const judge = judgeOf(policy.config.vocabSize);

beforeAll(async () => {
  await policy.save(at("policy"));
  await tinyModel(1).save(at("other"));
  await judge.save(at("judge"));
});

describe("attune score", () => {
  it("scores rows in the order of the file, with rules and weights", async () => {
    const data = write("rows.jsonl", [
      { prompt: "Hi", completion: "Hello! Hello!" },
      { text: "one two three" },
      { messages: [{ role: "user", content: "Say: a b!" }, { role: "assistant", content: "a b!" }] }, // biome-ignore format: a row
    ]);
    const found = await json(
      "score",
      "--reward",
      "rule:length",
      "--reward",
      "-2*exclamation",
      "--data",
      data,
      "--batch-size",
      "2",
    );
    expect(found.rows).toEqual([
      { score: -2, parts: { length: 2, exclamation: 2 } },
      { score: 3, parts: { length: 3, exclamation: 0 } },
      { score: 0, parts: { length: 2, exclamation: 1 } },
    ]);
    expect(found.mean).toBeCloseTo(1 / 3, 12);
    const { stdout } = await attune("score", "--reward", "length", "--data", data);
    expect(stdout).toMatch(
      /2\.0000 {2}Hello! Hello!\n.*3\.0000 {2}one two three\n[\s\S]*mean 2\.3333, std 0\.5774 over 3 rows/,
    );
  });

  it("scores with a reward model: a text as its tokenizer writes it, a response with its end", async () => {
    const text = "The cat sleeps in the barn.";
    const data = write("texts.jsonl", [
      { text },
      { prompt: "The cat", completion: " sleeps in the barn." },
      { text: "A dog" },
    ]);
    const found = await json("score", "--model", at("judge"), "--data", data);
    const engine = await createEngine({ threads: 1 });
    const scorer = await createScorer(engine, judge);
    const ids = (t: string) => tokenizer?.encode(t) as number[];
    const expected = await scorer.scores([
      ids(text),
      [...ids("The cat"), ...ids(" sleeps in the barn."), tokenizer?.eosId as number],
      ids("A dog"),
    ]);
    for (const [i, value] of expected.entries()) expect(found.rows[i].score).toBeCloseTo(value, 5);
    await engine.dispose();
  });

  it("says what each token adds: by leaving it out, what the score loses; by gradient, its first order", async () => {
    const data = write("attributed.jsonl", [{ text: "The cat sleeps." }]);
    const score = async (...more: string[]) =>
      (await json("score", "--model", at("judge"), "--data", data, ...more)).rows[0];
    const { score: whole, tokens } = await score("--attribute", "leave_one_out");
    expect(tokens.map(({ token }: { token: string }) => token).join("")).toContain("The cat sleeps.");
    const [first] = tokens;
    const rest = write("rest.jsonl", [{ text: "The cat sleeps.".slice(first.token.length) }]);
    const without = (await json("score", "--model", at("judge"), "--data", rest)).rows[0].score;
    expect(first.weight).toBeCloseTo(whole - without, 4);

    const plain = await score("--attribute");
    expect(plain).toEqual(await score("--attribute", "gradient"));
    expect(plain.tokens).toHaveLength(tokens.length);
    expect(plain.tokens).not.toEqual(tokens);
    const { stdout } = await attune("score", "--model", at("judge"), "--data", data, "--attribute");
    expect(stdout.split("\n")[1]).toMatch(/[+-]\d\.\d\d \| /);
  });

  it("refuses what it cannot do in one line", async () => {
    const data = write("one.jsonl", [{ text: "a" }]);
    const refusals: [string[], number, RegExp][] = [
      [["--data", data], 2, /either --model or --reward is required, got neither/],
      [["--reward", "length"], 2, /--data is required/],
      [
        ["--reward", "rule:lenght", "--data", data],
        2,
        /rule lenght: there is no such rule; did you mean length\?/,
      ],
      [["--reward", "rule:length_band?mim=3", "--data", data], 2, /no option mim; did you mean min\?/],
      [["--model", at("policy"), "--data", data], 1, /a reward model with one score is required/],
      [["--reward", "length", "--data", write("bad.jsonl", [{ prompt: "a" }])], 1, /bad\.jsonl:1: /],
      [["--reward", "length", "--data", data, "--attribute"], 2, /--attribute needs --model/],
      [["--reward", "./none.ts", "--data", data], 1, /none\.ts: no such file/],
      [["--reward", "rouge", "--data", data], 1, /each row needs the column reference/],
    ];
    for (const [argv, code, message] of refusals) {
      const found = await attune("score", ...argv);
      expect(found.stderr).toMatch(message);
      expect(found.stderr.trim().split("\n").length, found.stderr).toBe(1);
      expect(found.code, found.stderr).toBe(code);
      expect(found.stdout).toBe("");
    }
  });

  it("lists its rules, and says which are flawed on purpose", async () => {
    const rules = await json("score", "--list-rules");
    expect(rules.find(({ name }: { name: string }) => name === "length_band")).toMatchObject({
      options: ["min", "max", "unit"],
      flawed: false,
    });
    expect((await attune("score", "--list-rules")).stdout).toMatch(
      /keyword_count \(words\), flawed on purpose/,
    );
  });
});

describe("attune eval kl", () => {
  const zero = { mean: 0, low: 0, high: 0 };

  it("of a model with itself is 0 in both directions", async () => {
    const data = write("answers.jsonl", [
      { prompt: "The cat", completion: " sleeps in the barn." },
      { prompt: "A dog", completion: " runs." },
    ]);
    const found = await json(
      "eval",
      "kl",
      "--model",
      at("policy"),
      "--reference",
      at("policy"),
      "--data",
      data,
    );
    expect(found).toMatchObject({ unit: "nats", responses_from: "data", responses: 2 });
    for (const figure of [
      ...Object.values(found.kl_model_reference),
      ...Object.values(found.kl_reference_model),
    ])
      expect(figure).toEqual({ per_token: zero, per_response: zero });
  });

  it("compares along samples of each model when there are prompts alone; the seed decides", async () => {
    const data = write("prompts.jsonl", [{ prompt: "The cat" }, { prompt: "A dog" }, { prompt: "The hen" }]);
    const argv = [
      "eval",
      "kl",
      "--model",
      at("policy"),
      "--reference",
      at("other"),
      "--data",
      data,
      "--max-new-tokens",
      "6",
    ];
    const found = await json(...argv);
    expect(found).toMatchObject({ responses_from: "samples", responses: 3 });
    expect(found.kl_model_reference.exact.per_token.mean).toBeGreaterThan(0);
    expect(found.kl_reference_model.k3.per_response.mean).toBeGreaterThan(0);
    expect(await json(...argv)).toEqual(found);
    const { stdout } = await attune(...argv);
    expect(stdout).toMatch(/KL in nats along each model's own samples: 3 responses/);
  });

  it("refuses models of different tokenizers or vocabularies, and rows with and without responses", async () => {
    const data = write("mixed.jsonl", [{ prompt: "a", completion: "b" }, { prompt: "a" }]);
    const kl = (reference: string) =>
      attune("eval", "kl", "--model", at("policy"), "--reference", reference, "--data", data);
    expect((await kl(at("other"))).stderr).toMatch(/1 of 2 rows have a response/);
    const one = write("single.jsonl", [{ prompt: "a", completion: "b" }]);
    const { stderr, code } = await attune(
      "eval", "kl", "--model", at("policy"), "--reference", "test/parity/golden/models/llama", "--data", one,
    ); // biome-ignore format: one line
    expect(code).toBe(1);
    expect(stderr).toMatch(/one tokenizer and one vocabulary are required/);
  });
});

describe("attune eval responses", () => {
  it("describes responses, and compares them with others by a reward", async () => {
    const prompts = ["Hi", "Bye"];
    const rows = (completions: string[]) =>
      completions.map((completion, i) => ({ prompt: prompts[i], completion }));
    const [ours, theirs] = [
      write("ours.jsonl", rows(["a b c", "a b a b a b"])),
      write("theirs.jsonl", rows(["a", "a a a a a a"])),
    ];
    const found = await json("eval", "responses", "--data", ours, "--against", theirs, "--reward", "length");
    expect(found).toMatchObject({
      responses: 2,
      length: { mean: 4.5, min: 3, max: 6, unit: "words" },
      distinct_1: 3 / 9,
      repetition: 0.25,
      reward: { name: "length", mean: 4.5 },
      win_rate: { rate: 0.75, n: 2 },
    });
    const swapped = write("swapped.jsonl", rows(["a", "b"]).reverse());
    const refused = await attune(
      "eval",
      "responses",
      "--data",
      ours,
      "--against",
      swapped,
      "--reward",
      "length",
    );
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toMatch(/same prompts in the same order are required; row 1 has another prompt/);
    expect(await attune("eval", "responses", "--data", ours, "--against", theirs)).toMatchObject({ code: 2 });
  });
});
