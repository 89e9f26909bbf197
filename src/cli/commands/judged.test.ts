/** The commands that learn from a judge's comparisons; an endpoint is a server on this machine. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";
import { register } from "./trainers.ts";

let folder: string;
const at = (name: string) => join(folder, name);
/** Answers neither A nor B to every third question, unless it is asked again. */
let asked = 0;
/** Or to every question. */
let isSilent = false;
const endpoint = createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => {
    text += piece;
  });
  request.on("end", () => {
    const { temperature } = JSON.parse(text) as { temperature: number };
    const isUnclear = isSilent || (asked++ % 3 === 0 && temperature === 0);
    const content = isUnclear ? "Hard to say." : "A";
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ choices: [{ message: { content } }] }));
  });
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-judged-"));
  await tinyModel().save(at("model"));
  const prompts = ["The cat", "A dog", "The hen", "A fox"].map((prompt) => JSON.stringify({ prompt }));
  await writeFile(at("prompts.jsonl"), prompts.join("\n"));
  await writeFile(at("question.txt"), "{prompt} {first} or {second}? ");
  await new Promise<void>((resolve) => endpoint.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  endpoint.close();
  await rm(folder, { recursive: true });
});

async function attune(trainer: string, output: string, ...argv: string[]) {
  let [stdout, stderr] = ["", ""];
  const streams = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
  };
  const basics = ["--model", at("model"), "--data", at("prompts.jsonl"), "--output", at(output)];
  const small = ["--response-length", "6", "--prompts-per-step", "4", "--max-steps", "2", "--threads", "1"];
  const code = await runCli([trainer, ...basics, ...small, "--json", ...argv], {
    registrations: [register],
    streams,
  });
  return { code, stdout, stderr };
}

describe.each(["online-dpo", "nash-md"])("attune %s", (trainer) => {
  it("asks an endpoint in both orders, asks again where the answer is neither A nor B, and counts it", async () => {
    asked = 0;
    const { port } = endpoint.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/v1#some-model`;
    const output = `${trainer}-endpoint`;
    const found = await attune(trainer, output, "--judge", url, "--judge-concurrency", "1");
    expect(found.code, found.stderr).toBe(0);
    const { metrics } = JSON.parse(found.stdout);
    // 4 pairs in 2 orders; always A is a tie, and no pair is left out.
    expect(metrics).toMatchObject({ "judge/excluded": 0, "judge/inconsistent": 4, frac_ties: 1 });
    expect(metrics["judge/questions"]).toBe(8 + metrics["judge/unclear"]);
    expect(metrics["judge/unclear"]).toBeGreaterThan(0);
    expect(metrics).not.toHaveProperty("objective/scores");
    const sample = JSON.parse(
      (await readFile(join(at(output), "samples.jsonl"), "utf8")).split("\n")[0] ?? "",
    );
    expect(sample).not.toHaveProperty("score");
  });

  it("leaves out pairs that stay without an answer, and says how many at the end", async () => {
    asked = 0;
    const { port } = endpoint.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/v1#some-model`;
    const once = ["--judge-retries", "0", "--judge-concurrency", "1"];
    const found = await attune(trainer, `${trainer}-once`, "--judge", url, ...once);
    expect(found.code, found.stderr).toBe(0);
    expect(JSON.parse(found.stdout).metrics["judge/excluded"]).toBeGreaterThan(0);
    // Of 16 questions in all, numbers 0, 3, 6, ... 15: 6 of 8 pairs, none of them twice.
    expect(found.stderr).toMatch(
      /6 of 16 answers were neither A nor B, none was asked for again; 6 of 8 pairs stayed without an answer/,
    );
  });

  it("counts answers and those that were asked for again, and has no figure of pairs when none was judged", async () => {
    isSilent = true;
    const { port } = endpoint.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/v1#some-model`;
    const found = await attune(trainer, `${trainer}-silent`, "--judge", url, "--judge-retries", "1");
    isSilent = false;
    expect(found.code, found.stderr).toBe(0);
    expect(found.stderr).toMatch(
      /32 of 32 answers were neither A nor B, 16 were asked for again; 8 of 8 pairs stayed without an answer/,
    );
    const { metrics } = JSON.parse(found.stdout);
    expect(metrics).toMatchObject({ "judge/excluded": 4, "judge/questions": 16, "judge/unclear": 16 });
    for (const name of ["rewards/probabilities", "loss/score", "judge/first_share"])
      expect(metrics).not.toHaveProperty(name);
  });

  it("asks a local model, and compares by a reward that is named as a judge", async () => {
    const local = ["--judge", at("model"), "--judge-template", at("question.txt")];
    const found = await attune(trainer, `${trainer}-local`, ...local);
    expect(found.code, found.stderr).toBe(0);
    expect(JSON.parse(found.stdout).metrics).toMatchObject({ "judge/questions": 8, "judge/unclear": 0 });
    const scored = await attune(trainer, `${trainer}-reward`, "--judge", "reward:length");
    expect(scored.code, scored.stderr).toBe(0);
    expect(JSON.parse(scored.stdout).metrics).not.toHaveProperty("judge/questions");
  });

  it("needs a reward or a judge, and not both", async () => {
    expect(await attune(trainer, "none")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/reward or judge is required, got neither/),
    });
    expect(await attune(trainer, "none", "--judge", "world", "--reward", "rule:length")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/reward or judge is required, got both/),
    });
  });
});
