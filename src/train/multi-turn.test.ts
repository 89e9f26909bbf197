import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeChat } from "../models/chat/chat-tokens.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { conversation } from "./environment/conversation.ts";
import type { Environment, MakeEnvironment } from "./environment/environment.ts";
import { runEpisodes } from "./environment/episodes.ts";
import { type MultiTurnOptions, multiTurn, tokenWeights, turnAdvantages } from "./multi-turn.ts";
import type { RolloutResponse } from "./policy/rollouts.ts";
import { tinyModel } from "./tiny.fixture.ts";

const model = tinyModel();
const tokenizer = model.tokenizer as Tokenizer;

/** Says back how many turns there were; vowels earn; it ends after `length` turns, or never. */
const counting =
  (length = Number.POSITIVE_INFINITY): MakeEnvironment =>
  (): Environment => {
    let turns = 0;
    return {
      reset: ({ seed }) => {
        turns = 0;
        return { observation: seed % 2 ? "The cat" : "A dog" };
      },
      step: (action) => {
        turns++;
        const reward = (action.match(/[aeiou]/g)?.length ?? 0) / Math.max(1, action.length);
        return { observation: `The hen ${turns}`, reward, terminated: turns >= length, truncated: false };
      },
    };
  };

const basics: MultiTurnOptions = {
  model,
  environment: counting(2),
  promptsPerStep: 4,
  numGenerations: 8,
  numOpenings: 4,
  responseLength: 4,
  learningRate: 1e-2,
  lrSchedulerType: "constant",
  batchSize: 16,
  maxSteps: 10,
  threads: 1,
};

describe("episodes", () => {
  const eos = tokenizer.eosId as number;
  const said = [" sleeps", " runs", " in the barn"];
  /** Answers that are given: the first ends by itself, the second is cut off. */
  const scripted = (seen: number[][]) => {
    let turn = 0;
    return async (prompts: readonly { readonly ids: ArrayLike<number> }[]): Promise<RolloutResponse[]> => {
      const text = said[turn++] as string;
      const ids = [...tokenizer.encode(text, { addSpecialTokens: false }), ...(turn === 1 ? [eos] : [])];
      return prompts.map((prompt) => {
        seen.push(Array.from(prompt.ids));
        return { ids, logProbs: ids.map(() => -1), terminated: turn === 1, text };
      });
    };
  };
  const run = (make: MakeEnvironment, seen: number[][] = [], options = {}) =>
    runEpisodes(make, [1], 0, {
      tokenizer,
      chatTemplate: "plain",
      maxTurns: 3,
      maxTokens: 64,
      responseLength: 8,
      sample: scripted(seen),
      ...options,
    });

  it("keep sampled tokens as they are, and put the template's tokens between them", async () => {
    const seen: number[][] = [];
    const [episode] = await run(counting(3), seen);
    const whole = encodeChat(
      tokenizer,
      [
        { role: "user", content: "The cat" },
        { role: "assistant", content: " sleeps" },
        { role: "user", content: "The hen 1" },
        { role: "assistant", content: " runs" },
        { role: "user", content: "The hen 2" },
      ],
      { template: "plain", addGenerationPrompt: true },
    ).text;
    // What the model saw in its last turn is the conversation as the template writes it.
    expect(tokenizer.decode(seen[2] as number[])).toBe(whole);
    expect(episode?.observations).toEqual(["The cat", "The hen 1", "The hen 2"]);
    expect(episode?.terminated).toBe(true);
    for (const [i, { from, to }] of (episode?.turns ?? []).entries())
      expect(episode?.ids.slice(from, to)).toEqual([
        ...tokenizer.encode(said[i] as string, { addSpecialTokens: false }),
        ...(i === 0 ? [eos] : []),
      ]);
    expect(episode?.logProbs.filter((x) => x === -1)).toHaveLength(
      (episode?.turns ?? []).reduce((n, { from, to }) => n + to - from, 0),
    );
  });

  it("end at a limit of turns or tokens when the environment does not end them", async () => {
    const [endless] = await run(counting());
    expect(endless).toMatchObject({ terminated: false });
    expect(endless?.turns).toHaveLength(3);
    const [short] = await run(counting(), [], { maxTokens: 24 });
    expect(short?.turns.length).toBeLessThan(3);
    expect((short?.promptIds.length ?? 0) + (short?.ids.length ?? 0)).toBeLessThanOrEqual(24);
  });

  it("refuse an environment that does not keep to the protocol", async () => {
    const broken = (step: object) => () =>
      ({ reset: () => ({ observation: "The cat" }), step: () => step }) as never;
    const fine = { observation: "", reward: 0, terminated: false, truncated: false };
    await expect(run(() => ({}) as never)).rejects.toThrow(/functions reset and step/);
    await expect(run(broken({ ...fine, reward: Number.NaN }))).rejects.toThrow(
      /reward that is a finite number, got NaN/,
    );
    await expect(run(broken({ ...fine, terminated: undefined }))).rejects.toThrow(/whether it is terminated/);
    await expect(run(broken({ ...fine, observation: 3 }))).rejects.toThrow(
      /an observation that is a text, got number/,
    );
    await expect(run(counting(), [], { maxTokens: 8 })).rejects.toThrow(/lower response_length/);
  });
});

describe("the policy gradient of turns", () => {
  const turn = (from: number, to: number, reward: number) => ({ from, to, reward, text: "" });

  it("compares what follows each turn with the same turn of the other episodes", () => {
    const episodes = [
      { turns: [turn(0, 1, 1), turn(2, 3, 2)], reward: 3 },
      { turns: [turn(0, 1, 4)], reward: 4 },
      { turns: [turn(0, 1, 0), turn(2, 3, 6)], reward: 6 },
      ...[0, 1, 2].map(() => ({ turns: [turn(0, 1, 1)], reward: 1 })),
    ];
    expect(turnAdvantages(episodes, 3)).toEqual({
      advantages: [[3 - 5, 2 - 3], [4 - 4.5], [6 - 3.5, 6 - 1], [0], [0], [0]],
      equalGroups: 1,
    });
  });

  it("gives no weight to what the environment said", () => {
    const episode = {
      ids: [1, 2, 3, 4, 5],
      logProbs: [-1, -2, 0, 0, -3],
      turns: [turn(0, 2, 0), turn(4, 5, 0)],
    };
    const weights = tokenWeights(episode, [-1, -1, -9, -9, -4], [10, 20], 0.5);
    expect([...weights]).toEqual([0.5 * (0 - 1 + 1) - 10, 0.5 * (-1 + 1) - 10, 0, 0, 0.5 * 1 - 20]);
  });
});

describe("multi-turn", () => {
  it("raises what episodes earn", async () => {
    const scores: number[] = [];
    const { metrics } = await multiTurn(basics, {
      onStep: ({ metrics }) => void scores.push(metrics["objective/scores"] as number),
    });
    expect(scores.at(-1)).toBeGreaterThan((scores[0] as number) + 0.06);
    expect(metrics).toMatchObject({ "episodes/turns": 2, "episodes/terminated": 1 });
  });

  it("says once that no episode ends, and counts them", async () => {
    const warnings: string[] = [];
    const { metrics } = await multiTurn(
      { ...basics, environment: counting(), maxTurns: 3, maxSteps: 2, numGenerations: 2, promptsPerStep: 2 },
      { onWarning: (text) => void warnings.push(text) },
    );
    expect(metrics).toMatchObject({ "episodes/turns": 3, "episodes/terminated": 0 });
    expect(warnings).toEqual([expect.stringMatching(/none of 4 episodes came to an end within 3 turns/)]);
  });

  it("takes an environment from a module, and goes on to the same bits", async () => {
    const dir = mkdtempSync(join(tmpdir(), "attune-turns-"));
    try {
      const path = join(dir, "environment.mjs");
      writeFileSync(
        path,
        `export default () => ({
          reset: () => ({ observation: "The cat" }),
          step: (action) => ({ observation: "A dog", reward: action.length, terminated: action.length > 8, truncated: false }),
        });`,
      );
      const run = {
        ...basics,
        environment: path,
        maxSteps: 2,
        saveSteps: 1,
        numGenerations: 2,
        promptsPerStep: 2,
      };
      const whole = await multiTurn({ ...run, outputDir: join(dir, "whole") });
      const stop = new AbortController();
      await multiTurn(
        { ...run, outputDir: join(dir, "run") },
        { signal: stop.signal, onStep: () => stop.abort() },
      );
      const second = await multiTurn({ ...run, outputDir: join(dir, "run"), resume: true });
      const bits = ({ parameters }: typeof whole.model) =>
        Object.keys(parameters)
          .sort()
          .map((name) => Array.from(parameters[name]?.data as Float32Array));
      expect(bits(second.model)).toEqual(bits(whole.model));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("refuses what cannot work, each with one sentence", async () => {
    for (const [options, message] of [
      [{ numGenerations: 1 }, /num_generations: .*at least 2 is required, got 1/],
      [{ maxTurns: 0 }, /max_turns: a whole number of at least 1/],
      [{ environment: "chess" }, /environment chess: a module's path, or conversation, is required/],
      [{ environment: "no/such.ts" }, /no such file/],
    ] as const)
      await expect(multiTurn({ ...basics, ...options })).rejects.toThrow(message);
  });
});

describe("the conversation", () => {
  it("pays for asking for what is missing, and ends when all is known", async () => {
    const one = await conversation({ cost: 0.1, repeat: 0.2 })();
    const first = await one.reset({ seed: 3 });
    expect(await (await conversation()()).reset({ seed: 3 })).toEqual(first);
    const questions = "Where should it go, when, how many, which colour, and who?";
    const miss = await one.step("No.");
    expect(miss).toMatchObject({ reward: expect.closeTo(-0.1, 9), terminated: false, truncated: false });
    expect(await one.step("No!")).toMatchObject({ reward: expect.closeTo(-0.3, 9) });
    expect(await one.step(questions)).toMatchObject({ reward: expect.closeTo(0.4, 9), terminated: false });
    expect(await one.step(`${questions} Please.`)).toMatchObject({
      reward: expect.closeTo(0.4, 9),
      terminated: true,
    });
    await expect(one.step("More?")).rejects.toThrow(/the call has ended/);
  });

  it("is broken off after five turns, and earns what a rule gives besides", async () => {
    const one = await conversation({ cost: 0, repeat: 0, turnReward: (batch) => batch.map(() => 0.25) })();
    await one.reset({ seed: 0 });
    for (let turn = 1; turn <= 5; turn++)
      expect(await one.step(`Fine, number ${turn}.`)).toMatchObject({ reward: 0.25, truncated: turn === 5 });
    expect(() => conversation({ maxTurns: 6 })).toThrow(/1 to 5 turns are required, got 6/);
  });
});
