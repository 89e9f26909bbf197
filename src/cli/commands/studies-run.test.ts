/** `attune frontier`, `sweep`, `overopt` and `monitor` as they run: a tiny model, two steps, rule rewards. */
import { access, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { preferences, tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const jsonl = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-studies-run-"));
  await tinyModel().save(at("base"));
  await writeFile(at("prompts.jsonl"), jsonl(preferences.slice(0, 4).map(({ prompt }) => ({ prompt }))));
  await writeFile(at("pairs.jsonl"), jsonl(preferences.slice(0, 8)));
  await writeFile(at("study.yaml"), JSON.stringify(study));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** JSON is YAML; paths are set when the folder is there. */
const study = {
  name: "tiny",
  get study() {
    return {
      model: at("base"),
      proxy: "rule:length",
      gold: "rule:complete",
      prompts: at("prompts.jsonl"),
      num_prompts: 4,
      max_new_tokens: 6,
      seeds: [1, 2],
    };
  },
  get stages() {
    return {
      ppo: {
        model: at("base"),
        reward: "rule:length",
        data: at("prompts.jsonl"),
        response_length: 6,
        batch_size: 4,
        max_steps: 2,
        num_ppo_epochs: 1,
        num_mini_batches: 1,
        monitor: { gold: "rule:complete" },
      },
      dpo: { model: at("base"), data: at("pairs.jsonl"), per_device_train_batch_size: 4, max_steps: 2 },
    };
  },
};

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

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe("attune frontier", { timeout: 240_000 }, () => {
  const strengths = ["--strength", "ppo.kl_coef=0.1", "--strength", "dpo.beta=0.1"];
  const run = (...more: string[]) =>
    attune("frontier", at("study.yaml"), ...strengths, "--output_dir", at("frontier"), "--json", ...more);

  it("trains every algorithm at every strength and seed, and writes figures and a page", async () => {
    const { code, stdout } = await run();
    expect(code).toBe(0);
    const { figures, report, output_dir } = JSON.parse(stdout);
    expect(figures.settings.map(({ group, seeds }: never) => [group, (seeds as []).length])).toEqual([
      ["ppo kl_coef 0.1", 2],
      ["dpo beta 0.1", 2],
    ]);
    for (const { gold, kl, seconds } of figures.settings) {
      expect(gold.mean).toSatisfy(Number.isFinite);
      expect(kl.mean).toSatisfy(Number.isFinite);
      expect(seconds.mean).toBeGreaterThan(0);
    }
    expect(figures.settings.some(({ onFrontier }: { onFrontier: boolean }) => onFrontier)).toBe(true);
    expect(JSON.parse(await readFile(join(output_dir, "figures.json"), "utf8"))).toEqual(figures);
    expect(await readdir(join(output_dir, "cells"))).toHaveLength(4);
    expect(await readFile(report, "utf8")).toContain('<section id="frontier"');
  });

  it("refuses to run over its own results, and with --resume trains nothing again", async () => {
    expect(await run()).toMatchObject({ code: 1, stderr: expect.stringContaining("--resume") });
    const cell = at("frontier", "cells", "ppo-kl_coef-0.1-seed-1");
    const before = await stat(join(cell, "cell.json"));
    const again = await attune("frontier", "--resume", at("frontier"), "--json");
    expect(again.code).toBe(0);
    expect(again.stderr.match(/done before/g)).toHaveLength(4);
    expect((await stat(join(cell, "cell.json"))).mtimeMs).toBe(before.mtimeMs);
    const { figures } = JSON.parse(again.stdout);
    expect(figures).toEqual(JSON.parse(await readFile(at("frontier", "figures.json"), "utf8")));
  });

  it("runs the cell again whose result is gone, to the same figures", async () => {
    const path = at("frontier", "cells", "dpo-beta-0.1-seed-2");
    const before = JSON.parse(await readFile(at("frontier", "figures.json"), "utf8"));
    await rm(path, { recursive: true });
    const again = await attune("frontier", "--resume", at("frontier"), "--json");
    expect(again.stderr.match(/done before/g)).toHaveLength(3);
    expect(await isThere(join(path, "cell.json"))).toBe(true);
    const of = ({ settings }: typeof before) => settings.map(({ gold, kl }: never) => ({ gold, kl }));
    expect(of(JSON.parse(again.stdout).figures)).toEqual(of(before));
  });
});

describe("attune sweep", { timeout: 240_000 }, () => {
  it("varies a field, one row a value", async () => {
    const { code, stdout } = await attune(
      ...["sweep", at("study.yaml"), "--vary", "ppo.cliprange=0.1,0.3", "--seeds", "1"],
      ...["--output_dir", at("sweep"), "--json", "--quiet"],
    );
    expect(code).toBe(0);
    const { figures, report } = JSON.parse(stdout);
    expect(figures.settings.map(({ fields }: never) => fields)).toEqual([
      { "ppo.cliprange": 0.1 },
      { "ppo.cliprange": 0.3 },
    ]);
    expect(await readFile(report, "utf8")).toContain("ppo, by cliprange");
  });
});

describe("attune overopt", { timeout: 240_000 }, () => {
  it("follows a policy on its way from the reference, and attune monitor replays its alarms", async () => {
    const { code, stdout } = await attune(
      ...["overopt", at("study.yaml"), "--strength", "ppo.kl_coef=0", "--seeds", "1", "--best-of-n", "2"],
      ...["--snapshots", "2", "--output_dir", at("overopt"), "--json", "--quiet"],
    );
    expect(code).toBe(0);
    const { figures, report } = JSON.parse(stdout);
    expect(figures.groups[0].points.map(({ step }: { step: number }) => step)).toEqual([1, 2]);
    const [{ change, fall, outcome }] = figures.groups;
    expect(change.proxy).toSatisfy(Number.isFinite);
    expect(outcome).toMatch(/hacked|fell|within noise|at its best/);
    if (fall) expect(fall.mean).toBeCloseTo(change.gold_since_best, 6);
    expect(await readFile(report, "utf8")).toContain('<section id="drift"');

    const monitor = await attune("monitor", "--clean", at("overopt"), "--json");
    expect(monitor.code).toBe(0);
    expect(JSON.parse(monitor.stdout).clean).toMatchObject({ runs: 1, rates: { gold: null } }); // two steps
  });
});

describe("a study that is not sound", () => {
  const write = async (name: string, value: object) => {
    await writeFile(at(name), JSON.stringify(value));
    return at(name);
  };
  const refused = async (...argv: string[]) => {
    const { code, stderr, stdout } = await attune(...argv);
    expect(stdout).toBe("");
    expect(stderr.trim().split("\n"), stderr).toHaveLength(1);
    return [code, stderr];
  };

  it("is told in one line with the nearest name: exit code 1 in a file, 2 on the command line", async () => {
    const { stages } = study;
    const path = await write("bad.yaml", { stages, study: { seds: [1] } });
    expect(await refused("frontier", path)).toEqual([1, expect.stringMatching(/seds.*did you mean seeds\?/)]);
    expect(await refused("frontier", at("study.yaml"), "--study.seds", "1")).toEqual([
      2,
      expect.stringMatching(/seds.*did you mean seeds\?/),
    ]);
    expect(await refused("sweep", at("study.yaml"), "--vary", "ppo.clprange=0.1,0.2")).toEqual([
      expect.any(Number),
      expect.stringMatching(/clprange.*did you mean cliprange\?/),
    ]);
    expect(await refused("sweep", at("study.yaml"), "--vary", "pop.cliprange=0.1,0.2")).toEqual([
      expect.any(Number),
      expect.stringMatching(/pop/),
    ]);
    const proxy = await write("proxy.yaml", { stages, study: { ...study.study, proxy: "rule:lenght" } });
    expect(await refused("overopt", proxy, "--check")).toEqual([
      1,
      expect.stringMatching(/lenght.*did you mean length\?/),
    ]);
  });

  it("names the folder that is no study's", async () => {
    expect(await refused("frontier", "--resume", at("base"))).toEqual([
      1,
      expect.stringContaining("the folder of a study is required"),
    ]);
  });
});
