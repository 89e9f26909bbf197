import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { modelOf, withParameters } from "../models/load.ts";
import { rows, tinyModel } from "../train/tiny.fixture.ts";
import { recipeNames } from "./recipe-box.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const nodeArgs = ["--import", here("../../scripts/register-ts.js"), here("./commands.fixture.ts")];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `attune ...` from the sources; `input` is its standard input. */
const attune = (args: readonly string[], input = ""): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...nodeArgs, ...args, "--threads", "1"],
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    );
    child.stdin?.end(input);
  });

let folder: string;
let model: string;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-cli-"));
  model = join(folder, "tiny");
  data = join(folder, "rows.jsonl");
  await tinyModel().save(model);
  await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const sft = (output: string, ...more: string[]) =>
  attune(["sft", "--model", model, "--data", data, "--output", join(folder, output), ...more]);

describe("attune", { timeout: 90_000 }, () => {
  it("sft, eval perplexity and generate work on the same folder, each with one JSON value", async () => {
    const trained = await sft(
      "run",
      "--learning-rate",
      "1e-2",
      "--num-epochs",
      "12",
      "--eval-data",
      data,
      "--json",
    );
    expect(trained.code).toBe(0);
    const summary = JSON.parse(trained.stdout);
    expect(summary).toMatchObject({ steps: 36, reason: "done", metrics: { epoch: 12 } });
    expect(trained.stderr).toContain("the end-of-text token is a label in 100 % of the rows");
    expect((await readdir(join(folder, "run"))).sort()).toEqual([
      "best",
      "checkpoints",
      "metrics.jsonl",
      "model",
      "tensorboard",
    ]);

    const evaluate = (dir: string) =>
      attune(["eval", "perplexity", "--model", dir, "--data", data, "--per-token", "--json"]);
    const [before, after] = await Promise.all([evaluate(model), evaluate(join(folder, "run"))]);
    const [untrained, learnt] = [JSON.parse(before.stdout), JSON.parse(after.stdout)];
    expect(Object.keys(learnt)).toEqual(["perplexity", "tokens", "rows"]);
    expect(learnt.rows[0].nll.length).toBe(learnt.rows[0].ids.length - 1);
    expect(learnt.tokens).toBe(
      learnt.rows.reduce((n: number, { nll }: { nll: number[] }) => n + nll.length, 0),
    );
    expect(learnt.perplexity).toBeLessThan(untrained.perplexity / 20);

    const generated = await attune([
      "generate",
      "--model",
      join(folder, "run"),
      "--prompt",
      "The cat",
      "--n",
      "2",
      "--max-new-tokens",
      "8",
      "--json",
    ]);
    const { completions } = JSON.parse(generated.stdout);
    expect(completions).toHaveLength(2);
    expect(completions[0]).toMatchObject({ prompt: "The cat", sample: 0 });
    const greedy = ["generate", "--model", join(folder, "run"), "--prompt", "The cat", "--greedy"];
    const [streamed, stopped] = await Promise.all([attune(greedy), attune([...greedy, "--stop", " in"])]);
    expect(streamed.stdout).toMatch(/^The cat sleeps in the .*\n$/);
    expect(stopped.stdout).toBe("The cat sleeps\n");
  });

  it("generate reads prompts of a file, a line each, whatever system wrote it", async () => {
    const prompts = join(folder, "prompts.txt");
    await writeFile(prompts, "A dog\r\nThe hen\r\n");
    const { stdout } = await attune([
      "generate",
      "--model",
      model,
      "--prompts",
      prompts,
      "--max-new-tokens",
      "4",
      "--json",
    ]);
    expect(JSON.parse(stdout).completions.map((c: { prompt: string }) => c.prompt)).toEqual([
      "A dog",
      "The hen",
    ]);
  });

  it("chat answers line by line from a pipe, with a template that is named", async () => {
    const args = ["chat", "--model", model, "--chat-template", "chatml", "--max-new-tokens", "3", "--json"];
    const { code, stdout } = await attune(args, "Hello\nAnd now?\n");
    expect(code).toBe(0);
    const { messages } = JSON.parse(stdout);
    expect(messages.map((m: { role: string }) => m.role)).toEqual(["user", "assistant", "user", "assistant"]);
  });
});

describe("bad input gets one sentence, exit code 1 and an untouched folder", { timeout: 90_000 }, () => {
  const fails = async (ended: Promise<Ended>, message: RegExp) => {
    const { code, stdout, stderr } = await ended;
    const said = stderr
      .trimEnd()
      .split("\n")
      .filter((line) => line.startsWith("error: "));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  };
  const generate = (...args: string[]) => attune(["generate", "--model", model, ...args]);

  it("files: missing, empty, with a bad row", async () => {
    const empty = join(folder, "empty.jsonl");
    const bad = join(folder, "bad.jsonl");
    await writeFile(empty, "");
    await writeFile(bad, '{"text":"fine"}\n{"text":3}\n');
    await Promise.all([
      fails(sft("x1", "--data", join(folder, "none.jsonl")), /none\.jsonl: no such file/),
      fails(sft("x2", "--data", empty), /empty\.jsonl: the file has no rows/),
      fails(sft("x3", "--data", bad), /bad\.jsonl:2: text: .*--on-bad-row skip/),
      fails(
        attune(["eval", "perplexity", "--model", model, "--data", join(folder, "none")]),
        /none: no such file/,
      ),
      fails(generate("--prompts", join(folder, "none")), /none: no such file/),
    ]);
    expect(await readdir(folder)).not.toContain("x1");
  });

  it("models: none, of an unknown family, with a tokenizer that is larger than the vocabulary", async () => {
    const [unknown, large] = [join(folder, "unknown"), join(folder, "large")];
    await tinyModel().save(unknown);
    const config = JSON.parse(await readFile(join(unknown, "config.json"), "utf8"));
    await writeFile(join(unknown, "config.json"), JSON.stringify({ ...config, model_type: "t5" }));
    const { config: shape, parameters, tokenizer } = tinyModel();
    const bare = modelOf({ config: shape, parameters });
    await withParameters(bare, parameters).save(large);
    const files = tokenizer?.addTokens(["<one>", "<more>"]).tokenizer.toJSON();
    await writeFile(join(large, "tokenizer.json"), JSON.stringify(files?.tokenizer));
    await writeFile(join(large, "tokenizer_config.json"), JSON.stringify(files?.config));
    const load = (dir: string) => attune(["generate", "--model", dir, "--prompt", "x"]);
    await Promise.all([
      fails(load(join(folder, "no model")), /no model: no such folder/),
      fails(load(unknown), /model_type "t5" is unknown, known families are gpt2, llama/),
      fails(load(large), /the tokenizer has \d+ tokens, the model's vocabulary \d+/),
    ]);
  });

  it("prompts: longer than the context, or for a chat without a template", async () => {
    await Promise.all([
      fails(
        generate("--prompt", "the cat and ".repeat(100)),
        /prompt 1 has \d+ tokens, and the context of the model is 64/,
      ),
      fails(generate("--chat", "--prompt", "x"), /no chat template/),
    ]);
  });

  it("an option's value that no data could mend, or two that exclude each other: exit code 2", async () => {
    const misused = async (ended: Promise<Ended>, message: RegExp) =>
      expect(await ended).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(message) });
    const perplexity = ["eval", "perplexity", "--model", model, "--data", data];
    await Promise.all([
      misused(generate("--prompt", "x", "--greedy", "--temperature", "0.5"), /--greedy.*cannot be used with/),
      misused(generate("--prompt", "x", "--top-p", "0"), /--top-p.*A number above 0, at most 1/),
      misused(generate("--prompt", "x", "--stop", ""), /--stop.*not empty/),
      misused(attune([...perplexity, "--context-length", "4096"]), /a window of 2 to 64 tokens/),
      misused(sft("x4", "--lora-target-modules", "nonsense"), /target modules of the model are required/),
    ]);
  });

  it("a run that is there is not written over, and nothing else is either", async () => {
    const other = join(folder, "mine");
    await sft("mine", "--max-steps", "1");
    await fails(sft("mine", "--max-steps", "1"), /the folder is not empty.*--resume.*--overwrite/);
    await rm(join(other), { recursive: true });
    await writeFile(other, "a file");
    await fails(sft("mine", "--max-steps", "1"), /mine: a folder is required, .*is a file/);
    expect(await readFile(other, "utf8")).toBe("a file");
  });

  it("a loss that is not finite", async () => {
    await fails(
      sft("nan", "--learning-rate", "1e30", "--optimizer", "sgd", "--max-grad-norm", "0"),
      /step \d: (loss|grad_norm) is (NaN|Infinity).*rows\.jsonl:\d+/,
    );
  });
});

it("every recipe in the box is found by its name, from the sources, and nothing is wrong with it", async () => {
  const names = await recipeNames();
  expect(names).toEqual(expect.arrayContaining(["hh", "tinystories", "world"]));
  const checked = await Promise.all(names.map((name) => attune(["run", name, "--check"])));
  expect(checked.map(({ code, stderr }) => [code, stderr])).toEqual(names.map(() => [0, ""]));
  expect((await attune(["run", "wrld"])).stderr).toMatch(/did you mean world/);
}, 90_000);

it("a recipe runs its stages, measures each and writes the report; what is wrong with it is said first", async () => {
  const [recipe, output] = [join(folder, "small.yaml"), join(folder, "small")];
  await writeFile(
    recipe,
    `stages: { sft: { model: ${JSON.stringify(model)}, data: ${JSON.stringify(data)}, max_steps: 2, max_length: 32 } }`,
  );
  const run = (...args: string[]) => attune(["run", recipe, "--output_dir", output, ...args]);
  expect(await run("--sft.max_stps", "1")).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/max_steps/),
  });
  await writeFile(join(folder, "bad.yaml"), "stages: { sft: { modl: x } }");
  const { code: bad, stderr } = await attune(["run", join(folder, "bad.yaml")]);
  expect({ bad, stderr }).toMatchObject({
    bad: 1,
    stderr: expect.stringMatching(/modl.*did you mean model/),
  });
  const { code, stdout } = await run("--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout).stages).toMatchObject([{ name: "sft", status: "done", steps: 2 }]);
  expect(await readdir(output)).toEqual(["recipe.yaml", "report.html", "run.json", "stages"]);
  expect((await run()).stderr).toMatch(/not empty.*--resume/);
}, 90_000);
