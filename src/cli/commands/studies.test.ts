import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";

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
    const wrong = await attune("overopt", "world", "--strength", "ppo.kl_cof=0");
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining("did you mean kl_coef?") });
    expect(await attune("overopt", "wolrd")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("did you mean world?"),
    });
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

describe("attune monitor", () => {
  it("prints how often each alarm is false on clean runs, and right on hacked ones", async () => {
    const course = (falls: boolean) =>
      Array.from({ length: 40 }, (_, k) => ({
        step: k + 1,
        proxy: 0.1 * k + 0.01 * (k % 2),
        kl: (0.05 * k) ** 2,
        gold: (falls ? -0.03 * k : 0.03 * k) + 0.01 * (k % 3),
        length: 10 + (k % 2),
        repetition: 0,
        duplicates: 0,
      }));
    for (const name of ["clean", "hacked"]) {
      const lines = course(name === "hacked")
        .map((line) => `${JSON.stringify(line)}\n`)
        .join("");
      await mkdir(at(name), { recursive: true });
      await writeFile(join(at(name), "monitor.jsonl"), lines);
    }
    const { stdout, code } = await attune(
      "monitor",
      "--clean",
      at("clean"),
      "--hacked",
      at("hacked"),
      "--json",
    );
    expect(code).toBe(0);
    const { clean, hacked } = JSON.parse(stdout);
    expect(clean.rates.gold.runs).toBe(0);
    expect(hacked.rates.gold).toMatchObject({ runs: 1, first: 16 });
    expect((await attune("monitor", "--clean", at("clean"))).stdout).toContain("0 % of runs");
    expect(await attune("monitor", "--clean", at("base"))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no monitor.jsonl"),
    });
    expect((await attune("monitor")).code).toBe(2);
  });
});
