/** Judges, and the command that labels pairs by them; an endpoint is a server on this machine. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createWorld } from "../../data/world/world.ts";
import { createEngine } from "../../graph/node.ts";
import { checkRecipe } from "../../recipe/recipe.ts";
import { runRecipe } from "../../recipe/run.ts";
import { judgeOf, languageJudge, localModel, openJudge, RewardError } from "../../reward/index.ts";
import type { JudgePair } from "../../reward/judge/judge.ts";
import { letterOf, questionOf } from "../../reward/judge/question.ts";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { runCli } from "../main.ts";
import { register } from "./label.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "judge-"));
});
afterAll(() => rm(folder, { recursive: true }));

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Question {
  readonly model: string;
  readonly temperature: number;
  readonly messages: { readonly content: string }[];
}

/** An endpoint on this machine. */
async function serve(
  answer: (
    question: Question,
    tries: number,
    request: IncomingMessage,
  ) => string | ((out: ServerResponse) => void),
) {
  const questions: Question[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece) => {
      text += piece;
    });
    request.on("end", () => {
      questions.push(JSON.parse(text));
      const found = answer(questions.at(-1) as Question, questions.length, request);
      if (typeof found !== "string") return found(response);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ choices: [{ message: { content: found } }] }));
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, questions };
}

/** Which of the two the question shows as A. */
const shownFirst = ({ messages }: Question): string =>
  /\[Response A\]\n(.*)\n/.exec(messages[0]?.content as string)?.[1] as string;
const pair = (first: string, second: string): JudgePair => ({ prompt: "Say good.", first, second });

describe("an answer", () => {
  it("is the letter, alone, at the beginning or after a word that announces it", () => {
    for (const text of ["A", " a".toUpperCase(), "(A)", "**A**", "A.", "A: it is shorter", "A because it is true", "Answer: A", "The better response is A.", "My verdict is [[A]]"])
      expect(letterOf(text), text).toBe("A"); // biome-ignore format: a table
    for (const text of ["", "neither", "A better answer is hard to name", "Both A and B", "AB", "Answer: A. Answer: B", "As said", "C"])
      expect(letterOf(text), text).toBeUndefined(); // biome-ignore format: a table
  });

  it("is asked for with both responses in their places, whatever stands in them", () => {
    const template = "{prompt}|{first}|{second}";
    expect(questionOf(template, pair("{second}", "$&"), false)).toBe("Say good.|{second}|$&");
    expect(questionOf(template, pair("one", "two"), true)).toBe("Say good.|two|one");
  });
});

describe("a judge behind an endpoint", () => {
  it("is asked in both orders; what it prefers in both is preferred, opposite answers are a tie", async () => {
    const { url, questions } = await serve((question) => (shownFirst(question) === "good" ? "A" : "B"));
    const judge = await openJudge(`${url}#some-model`);
    expect(await judge.judge([pair("good", "bad"), pair("bad", "good")])).toEqual([1, 0]);
    expect(questions).toHaveLength(4);
    expect(questions[0]).toMatchObject({ model: "some-model", temperature: 0 });
    expect(judge.report()).toMatchObject({
      pairs: 2,
      questions: 4,
      unclear: 0,
      inconsistent: 0,
      first_share: 0.5,
    });

    const biased = await openJudge(`${(await serve(() => "A")).url}#m`);
    expect(await biased.judge([pair("x", "y"), pair("y", "x")])).toEqual([0.5, 0.5]);
    expect(biased.report()).toMatchObject({ inconsistent: 2, first_share: 1 });
  });

  it("that answers neither A nor B is asked again, and its pair left out when it stays so; both are counted", async () => {
    const { url, questions } = await serve((question, tries) => {
      if (question.messages[0]?.content.includes("hopeless")) return "I cannot say.";
      return tries === 1 ? "Hm" : shownFirst(question) === "good" ? "A" : "B";
    });
    const judge = await openJudge({ url, model: "m", retries: 1, concurrency: 1 });
    expect(await judge.judge([pair("good", "bad"), pair("hopeless", "bad")])).toEqual([1, undefined]);
    expect(judge.report()).toMatchObject({ pairs: 2, questions: 7, unclear: 5, repeated: 3, excluded: 1 });
    expect(questions[1]?.temperature).toBe(1); // asked again, where another answer is possible
  });

  it("is waited for when it is busy, and refused with one line that never shows the key", async () => {
    const key = "sk-very-secret";
    const parts = { sleep: async () => {}, env: { MY_KEY: key } };
    const { url } = await serve((question, tries, { headers }) => {
      expect(headers.authorization).toBe(`Bearer ${key}`);
      return tries < 3
        ? (out) => out.writeHead(429).end("slow down")
        : shownFirst(question) === "good"
          ? "A"
          : "B";
    });
    const judge = await openJudge({ url, model: "m", key_env: "MY_KEY" }, { parts });
    expect(await judge.judge([pair("good", "bad")])).toEqual([1]);

    const refusals: [(out: ServerResponse) => void, RegExp][] = [
      [(out) => out.writeHead(401).end(`bad key ${key}`), /refused with status 401: bad key \*\*\*/],
      [(out) => out.writeHead(200).end("<html>"), /an answer in JSON is required, got: <html>/],
      [(out) => out.writeHead(200).end('{"choices": []}'), /"choices".* is required/],
      [(out) => out.writeHead(500).end(key), /no answer after 2 tries \(status 500: \*\*\*\)/],
    ];
    for (const [answer, message] of refusals) {
      const { url: bad } = await serve(() => answer);
      const opened = await openJudge({ url: bad, model: "m", key_env: "MY_KEY", http_retries: 1 }, { parts });
      const error = await opened.judge([pair("a", "b")]).catch((e: Error) => e);
      expect(error).toBeInstanceOf(RewardError);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).not.toContain(key);
    }
    await expect(openJudge(url)).rejects.toThrow(/a model's name is required behind a #/);
    await expect(openJudge({ url, model: "m", key_en: "x" })).rejects.toThrow(
      /no option key_en; did you mean key_env/,
    );
    await expect(openJudge("")).rejects.toThrow(/judge: world, .* is required/);
  });

  it("is not a reward: the name of one is refused with what would judge by it", async () => {
    for (const reward of ["rule:length", "length", "length?x=1", "0.5*rule:length", "./mine.ts#brevity"]) {
      const error = await openJudge(reward, { engine: {} as never }).catch((e: Error) => e);
      expect(error).toBeInstanceOf(RewardError);
      expect((error as Error).message).toBe(
        `judge ${reward}: this is a reward; to judge by its scores write reward:${reward}`,
      );
    }
  });
});

describe("a judge in this process", () => {
  it("is a language model whose chances of A and of B are compared, in both orders", async () => {
    const engine = await createEngine({ threads: 1 });
    const asked = await localModel(engine, tinyModel());
    const judge = languageJudge("tiny", asked, { template: "{prompt} {first} or {second}? " });
    const pairs = [pair("The cat", "A dog"), pair("A dog", "The cat")];
    const [one, other] = (await judge.judge(pairs)) as [number, number];
    expect(one).toBeGreaterThan(0);
    expect(one).toBeLessThan(1);
    expect(one + other).toBeCloseTo(1, 6); // which response is called the first changes nothing
    await expect(
      languageJudge("tiny", asked, { template: `{prompt}{first}{second}${"long ".repeat(99)}` }).judge(pairs),
    ).rejects.toThrow(/a question of at most 64 tokens/);
    expect(() => languageJudge("tiny", asked, { template: "{first}" })).toThrow(
      /\{prompt\} and \{second\} is missing/,
    );
    await asked.dispose();
    await engine.dispose();
  });

  it("is a reward: the higher score, or the chance that Bradley and Terry give it", async () => {
    const reward = (batch: readonly { completion: string }[]) =>
      batch.map(({ completion }) => completion.length);
    expect(await judgeOf(reward)([pair("aa", "b"), pair("a", "b")])).toEqual([1, 0.5]);
    const [p] = await judgeOf(reward, { preference: "bradley_terry" })([pair("aa", "b")]);
    expect(p).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
  });
});

describe("attune label", () => {
  async function attune(...argv: string[]) {
    let [stdout, stderr] = ["", ""];
    const streams = {
      stdout: { write: (text: string) => void (stdout += text) },
      stderr: { write: (text: string) => void (stderr += text) },
    };
    const code = await runCli([...argv, "--threads", "1"], { registrations: [register], streams });
    return { code, stdout, stderr };
  }

  it("writes pairs as the judge sees them, and says how often it agrees with the labels that were there", async () => {
    const [data, output] = [join(folder, "pairs.jsonl"), join(folder, "labelled.jsonl")];
    const rows = createWorld({ seed: 3 }).preferences(24, { noise: 0.25 });
    await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const found = await attune("label", "--judge", "world", "--data", data, "--output", output, "--json");
    expect(found.stderr).not.toMatch(/error/);
    const summary = JSON.parse(found.stdout);
    expect(summary).toMatchObject({ pairs: 24, compared: 24, excluded: 0 });
    expect(summary.agreement).toBeGreaterThan(0.5);
    expect(summary.agreement).toBeLessThan(1);
    const labelled = (await readFile(output, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const judged = createWorld();
    for (const { prompt, chosen, rejected, annotator } of labelled) {
      const [a, b] = [chosen, rejected].map((text) => judged.goldScore(prompt, text).overall) as [
        number,
        number,
      ];
      expect(a).toBeGreaterThanOrEqual(b);
      expect(annotator).toBeUndefined();
    }
    expect(await attune("label", "--judge", "world", "--data", data, "--output", output)).toMatchObject({
      code: 1,
    });
  });

  it("counts ties half in the agreement with the labels, and says how many there are", async () => {
    const [data, output] = [join(folder, "ties.jsonl"), join(folder, "ties-out.jsonl")];
    await writeFile(
      data,
      '{"prompt": "p", "chosen": "a", "rejected": "b"}\n{"prompt": "p", "chosen": "a b", "rejected": "c"}\n',
    );
    const argv = ["label", "--judge", "reward:length", "--data", data, "--output", output];
    expect((await attune(...argv)).stdout).toContain(
      "agreement with the labels of the data: 75.0 % of 2, counting 1 tie half",
    );
    const { stdout } = await attune(...argv, "--overwrite", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ agreement: 0.75, compared: 2, compared_ties: 1 });
  });

  it("fails with one line, as the stage does, when no pair gets a label, and leaves no file behind", async () => {
    const [data, output] = [join(folder, "silent.jsonl"), join(folder, "silent-out.jsonl")];
    await writeFile(data, '{"prompt": "p", "chosen": "a", "rejected": "b"}\n');
    const { url } = await serve(() => "I cannot say.");
    const judge = `${url}#m`;
    const message =
      /label: no pair got an answer that counts, of 1 \(6 of 6 answers were neither A nor B, 4 were asked for again\); look at the replies of m at .*/;
    const found = await attune("label", "--judge", judge, "--data", data, "--output", output);
    expect(found).toMatchObject({ code: 1, stdout: "" });
    expect(found.stderr.trim()).toMatch(new RegExp(`^error: ${message.source}$`, "m"));
    expect(existsSync(output)).toBe(false);

    const run = join(folder, "run");
    const engine = await createEngine({ threads: 1 });
    await expect(
      runRecipe(checkRecipe({ output_dir: run, stages: { label: { judge, data } } }, "r.yaml"), { engine }),
    ).rejects.toThrow(message);
    await engine.dispose();
    expect(existsSync(join(run, "stages", "label", "pairs.jsonl"))).toBe(false);

    const ties = ["--judge", "reward:length", "--drop-ties"];
    expect(await attune("label", ...ties, "--data", data, "--output", output)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/prefers neither response in 1 of 1 pairs, .*; keep ties/),
    });
  });

  it("labels pairs that have no label", async () => {
    const [data, output] = [join(folder, "bare.jsonl"), join(folder, "bare-out.jsonl")];
    await writeFile(data, '{"prompt": "p", "response_1": "a", "response_2": "bb", "kind": "k"}\n');
    const found = await attune(
      "label",
      "--judge",
      "reward:length",
      "--data",
      data,
      "--output",
      output,
      "--json",
    );
    expect(JSON.parse(found.stdout)).toMatchObject({ labelled: 1, compared: 0 });
    expect(JSON.parse(await readFile(output, "utf8"))).toMatchObject({ prompt: "p", tie: true, kind: "k" });
  });
});
