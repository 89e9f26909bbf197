import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";
import { studyFrom } from "./studies-given.ts";

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-studies-"));
  await tinyModel().save(at("base"));
  const prompts = ["The cat", "A dog", "The hen"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join("");
  await writeFile(at("prompts.jsonl"), prompts);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function attune(...argv: string[]) {
  const out = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      out[name] += text;
    },
  });
  const code = await runCli([...argv, "--threads", "1"], {
    streams: { stdout: stream("stdout"), stderr: stream("stderr") },
  });
  return { code, ...out };
}

describe("attune overopt", () => {
  const given = () => [
    "--model",
    at("base"),
    "--proxy",
    "rule:length",
    "--gold",
    "rule:complete",
    "--prompts",
    at("prompts.jsonl"),
    "--study.max_new_tokens",
    "6",
  ];

  it("samples a given model for best-of-n, and writes figures and report", async () => {
    const { code, stdout, stderr } = await attune(
      ...["overopt", ...given(), "--best-of-n", "4", "--output_dir", at("bon"), "--json", "--quiet"],
    );
    expect([code, stderr]).toEqual([0, ""]);
    const { figures, report } = JSON.parse(stdout);
    expect(figures.proxies[0].bestOfN.map(({ n }: { n: number }) => n)).toEqual([1, 2, 4]);
    expect(await readFile(report, "utf8")).toContain('<section id="best-of-n"');
    const again = await attune("overopt", ...given(), "--output_dir", at("bon"));
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("--overwrite") });
  }, 60_000);

  it("says what would run, without a recipe and with one", async () => {
    const check = ["--seeds", "1,2", "--check", "--json"];
    const alone = await attune(
      "overopt",
      ...given(),
      "--trainer",
      "ppo",
      "--data",
      at("prompts.jsonl"),
      "--strength",
      "kl_coef=0,0.1",
      ...check,
    );
    expect(JSON.parse(alone.stdout).cells).toHaveLength(4);
    const world = await attune("overopt", "world", ...check);
    expect(JSON.parse(world.stdout)).toMatchObject({
      shared: expect.arrayContaining(["base", "sft", "reward"]),
      cells: expect.arrayContaining(["ppo-kl_coef-0-seed-1"]),
    });
    const boxed = await attune("overopt", "overopt", "--check", "--json");
    expect(JSON.parse(boxed.stdout).ok).toBe(true);
  });

  it("refuses with one line what is missing or misspelt", async () => {
    expect(await attune("overopt", "--model", "x")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--proxy and --prompts"),
    });
    expect(await attune("overopt", "wolrd")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("did you mean world?"),
    });
  });

  it("refuses a recipe in which there is nothing to study, and writes nothing", async () => {
    for (const check of [[], ["--check"]]) {
      const { code, stdout, stderr } = await attune("overopt", "hh", ...check);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/a stage that optimises a reward .* is required.*the stages are base, reward/);
    }
  });

  it("refuses given models without a gold reward, and best of a single sample", async () => {
    const at2 = async (...argv: string[]) => {
      const { code, stdout, stderr } = await attune("overopt", ...argv);
      expect([code, stdout]).toEqual([2, ""]);
      return stderr;
    };
    const [gold, ...prompts] = given().slice(4);
    expect(gold).toBe("--gold");
    const without = [...given().slice(0, 4), ...prompts.slice(1)];
    expect(await at2(...without, "--best-of-n", "4")).toMatch(
      /^error: overopt: a gold reward is required.*--gold/,
    );
    expect(await at2(...given(), "--best-of-n", "1")).toMatch(/^error: --best-of-n 1: .*at least 2 samples/);
  });

  it("draws best of two, the fewest that there are", async () => {
    const argv = [...given(), "--best-of-n", "2", "--output_dir", at("two"), "--json", "--quiet"];
    const { figures } = JSON.parse((await attune("overopt", ...argv)).stdout);
    expect(figures.proxies[0].bestOfN.map(({ n }: { n: number }) => n)).toEqual([1, 2]);
  }, 60_000);
});

describe("a value of the command line that is wrong", () => {
  const cases: [string[], RegExp][] = [
    [["overopt", "overopt", "--strength", "ppo.kl_ceof=0,1"], /did you mean kl_coef\?/],
    [["overopt", "overopt", "--strength", "ppo.kl_coef=-1"], /at least 0 is required, got -1/],
    [["overopt", "world", "--strength", "ppo"], /a field and its values are required/],
    [["sweep", "world", "--vary", "ppo.clip=0.1,0.2"], /clip is not a key/],
    [["sweep", "world", "--vary", "pop.clip=0.1"], /the stages are base, sft/],
    [["overopt", "overopt", "--seeds", "0.5"], /a whole number is required, got 0\.5/],
    [["frontier", "world", "--seeds", "1,x"], /a number is required, got "x"/],
    [["overopt", "hh", "--strength", "reward.learning_rate=1"], /a stage which answers prompts is required/],
  ];
  it.each(cases)("ends %j with exit code 2 and the option, not with the file's name", async (argv, said) => {
    const { code, stderr, stdout } = await attune(...argv, "--check");
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr.startsWith(`error: ${argv.slice(2).join(" ")}`) || stderr).toBe(true);
    expect(stderr).toMatch(said);
    expect(stderr).not.toContain(".yaml");
  });

  it("is named beside others that are right", async () => {
    const argv = ["overopt", "overopt", "--seeds", "1", "--strength", "ppo.kl_coef=0", "--num-prompts", "9"];
    const { code, stderr } = await attune(...argv, "--strength", "ppo.kl_ceof=0", "--check");
    expect([code, stderr.split(":")[1]]).toEqual([2, " --strength ppo.kl_ceof=0"]);
  });
});

describe("the folder of a study", () => {
  it("is not that of attune run for the same recipe, unless it was asked for", async () => {
    const of = async (...argv: string[]) =>
      (await studyFrom({}, argv, { name: "overopt", complete: (study) => study })).recipe.output_dir;
    expect(await of("world")).toBe("runs/world-overopt");
    expect(await of("world", "--output_dir", "runs/world")).toBe("runs/world");
    expect(await of("overopt")).toBe("runs/overopt"); // a study, which attune run does not take
  });
});

describe("attune frontier and sweep", () => {
  it("take an algorithm's own strength, a third and three times of it, where none is given", async () => {
    const { stdout } = await attune("frontier", "world", "--seeds", "7", "--check", "--json");
    expect(JSON.parse(stdout).cells).toEqual([
      "ppo-kl_coef-0.04-seed-7",
      "ppo-kl_coef-0.12-seed-7",
      "ppo-kl_coef-0.36-seed-7",
      "dpo-beta-0.0667-seed-7",
      "dpo-beta-0.2-seed-7",
      "dpo-beta-0.6-seed-7",
    ]);
  });

  it("vary any field, in every combination", async () => {
    const vary = ["--vary", "ppo.cliprange=0.1,0.2", "--vary", "reward.learning_rate=1e-4,1e-3"];
    const { stdout } = await attune("sweep", "world", ...vary, "--seeds", "1", "--check", "--json");
    const { shared, cells } = JSON.parse(stdout);
    expect(shared).toEqual(expect.arrayContaining(["base", "sft"]));
    expect(shared).not.toContain("reward");
    expect(cells).toHaveLength(4);
    expect(await attune("sweep", "world")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--vary is required"),
    });
  });
});
