/** attune generate --best-of: of n completions the one that a reward likes best. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";
import { register } from "./generate.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-best-"));
  await tinyModel().save(join(folder, "model"));
  const rows = [
    { prompt: "The cat", answer: "a" },
    { prompt: "A dog", answer: "e" },
  ];
  await writeFile(join(folder, "prompts.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  await writeFile(
    join(folder, "reward.mjs"),
    `export default (batch) => batch.map(({ prompt, completion, row, completionIds }) =>
      completion.split(row ? row.answer : prompt.at(-1)).length - 1 + completionIds.length / 100);`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

async function generate(...argv: string[]) {
  let [stdout, stderr] = ["", ""];
  const streams = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
  };
  const basics = ["--model", join(folder, "model"), "--max-new-tokens", "6", "--threads", "1"];
  const code = await runCli(["generate", ...basics, ...argv], { registrations: [register], streams });
  return { code, stdout, stderr };
}
const best = (...more: string[]) => ["--best-of", "4", "--reward", join(folder, "reward.mjs"), ...more];

interface Found {
  readonly text: string;
  readonly score: number;
  readonly scores: readonly number[];
  readonly ids: readonly number[];
}

describe("attune generate --best-of", () => {
  it("takes of the completions of each prompt the one that scores best, which are those of --n", async () => {
    const prompts = ["--prompts", join(folder, "prompts.jsonl"), "--seed", "3", "--json"];
    const found = await generate(...prompts, ...best());
    expect(found.code, found.stderr).toBe(0);
    const { completions, kl_bound } = JSON.parse(found.stdout) as { completions: Found[]; kl_bound: number };
    expect(kl_bound).toBeCloseTo(Math.log(4) - 3 / 4, 12);
    const all = JSON.parse((await generate(...prompts, "--n", "4")).stdout).completions as Found[];
    expect(completions).toHaveLength(2);
    for (const [i, { text, score, scores }] of completions.entries()) {
      const letter = ["a", "e"][i] as string; // the row's own column
      const own = all
        .slice(4 * i, 4 * i + 4)
        .map(({ text, ids }) => text.split(letter).length - 1 + ids.length / 100);
      expect(scores).toEqual(own.map((x) => expect.closeTo(x, 9)));
      expect(score).toBe(Math.max(...scores));
      expect(text).toBe(all[4 * i + scores.indexOf(score)]?.text);
    }
  });

  it("gives as many of them as --n asks for, each of its own samples, and prints the score", async () => {
    const found = await generate("--prompt", "The cat", "--n", "2", ...best());
    expect(found.code, found.stderr).toBe(0);
    const heads = found.stdout.match(/^--- prompt 1, sample (\d) \(length, scores \d\.\d{3}\)$/gm) ?? [];
    expect(heads).toHaveLength(2);
    const [first, second] = heads.map((head) => Number(/sample (\d)/.exec(head)?.[1]));
    expect(first).toBeLessThanOrEqual(4);
    expect(second).toBeGreaterThan(4);
  });

  it("needs a reward, and samples that differ", async () => {
    const misused = async (message: RegExp, ...argv: string[]) =>
      expect(await generate("--prompt", "The cat", ...argv)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(message),
      });
    await misused(/--best-of and --reward go together/, "--best-of", "4");
    await misused(/--best-of and --reward go together/, "--reward", "rule:length");
    await misused(/leave --greedy out/, "--greedy", ...best());
    await misused(/--best-of/, "--best-of", "0", "--reward", "rule:length");
  });
});
