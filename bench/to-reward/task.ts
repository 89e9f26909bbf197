/**
 * The task of ppo-to-reward: a storyteller is to end stories warmly. Gold is a rule that a reader can check; what both
 * sides optimise is a reward model that has learned it from pairs of the storyteller's own endings, and that is all they
 * know of it. Written into a folder by Attune's process: policy, reward model, prompts in tokens.
 */
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodePrompt, readRawRows } from "../../src/data/index.ts";
import type { Engine } from "../../src/graph/index.ts";
import { loadModel, type Model } from "../../src/models/index.ts";
import { openReward, type RewardSpec } from "../../src/reward/index.ts";
import { type CollectedPair, collectPairs } from "../../src/train/collect.ts";
import { reward } from "../../src/train/reward.ts";
import { taskPaths } from "./task-paths.ts";

const shared = "../shared/data";
const policy = `${shared}/tinystories-656k`;
const stories = `${shared}/tinystories/tinystories_cased_2M.txt.gz`;

const warm = [
  "friends",
  "friend",
  "happy",
  "smiled",
  "hugged",
  "laughed",
  "love",
  "loved",
  "thank",
  "together",
  "kind",
  "fun",
];

/** One point for each warm word, however often it comes; the story must end, and not go round in circles. */
export const gold: RewardSpec = [
  { rule: "word_list", words: warm, weight: warm.length },
  { rule: "complete", weight: 0.5 },
  { rule: "no_repetition", n: 3, weight: 0.5 },
];

export interface TaskOptions {
  readonly folder: string;
  readonly seed: number;
  /** Prompts to train on, and held out for gold. */
  readonly prompts: number;
  readonly heldOut: number;
  /** Tokens of a prompt: all alike, so that nobody pads. */
  readonly promptTokens: number;
  /** Tokens of a response, at most. */
  readonly newTokens: number;
  /** Responses to each training prompt, of which the best and the worst become a pair. */
  readonly samples: number;
}

/** A prompt as both sides read it. */
export interface TaskPrompt {
  readonly input_ids: number[];
  readonly text: string;
}

/** Of a file that the task wrote; `text` is for rewards, the ids are what the policy gets. */
export const readTaskPrompts = async (path: string) =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line, i) => {
      const { input_ids, text } = JSON.parse(line) as TaskPrompt;
      return { ids: Int32Array.from(input_ids), text, row: {}, source: { file: path, line: i + 1 } };
    });

export async function writeTask(engine: Engine, options: TaskOptions): Promise<void> {
  const missing = [policy, stories].filter((path) => !existsSync(path));
  if (missing.length > 0) throw new Error(`the benchmark's data is not there: ${missing.join(", ")}`);
  const stamp = join(options.folder, "complete.json");
  const key = JSON.stringify([options, gold]);
  if ((await readFile(stamp, "utf8").catch(() => "")) === key) return;
  await mkdir(options.folder, { recursive: true });
  const paths = taskPaths(options.folder);
  await copyPolicy(paths.policy);
  const model = await loadModel(paths.policy);
  const found = await findPrompts(model, options);
  const lines = (rows: readonly TaskPrompt[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");
  await writeFile(paths.held_out, lines(found.slice(0, options.heldOut)));
  await writeFile(paths.prompts, lines(found.slice(options.heldOut)));
  const judge = await trainReward(engine, model, options);
  await judge.save(paths.reward);
  await writeFile(stamp, key);
}

/**
 * The policy, with a tokenizer that does not put the start of a story before what is the middle of one: a response to
 * it would be a whole story.
 */
async function copyPolicy(to: string): Promise<void> {
  await cp(policy, to, { recursive: true, force: true });
  const edit = async (file: string, changes: object) => {
    const path = join(to, file);
    await chmod(path, 0o644);
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...changes }));
  };
  await chmod(to, 0o755);
  await edit("tokenizer.json", { post_processor: null });
  await edit("tokenizer_config.json", { add_bos_token: false });
}

/** A few words of a story near its end. */
async function findPrompts({ tokenizer }: Model, options: TaskOptions): Promise<TaskPrompt[]> {
  if (!tokenizer) throw new Error(`${policy}: a tokenizer is required`);
  const { prompts, heldOut, promptTokens } = options;
  const found: TaskPrompt[] = [];
  for await (const { value } of readRawRows(stories, { separator: "<|endoftext|>" })) {
    const ids = tokenizer.encode((value as { text: string }).text.trim(), { addSpecialTokens: false });
    // The first piece that is read again as it was cut: one that begins with a word.
    for (let before = 18; before < 30; before++) {
      const text = tokenizer.decode(ids.slice(-before - promptTokens, -before)).trim();
      const { ids: read } = encodePrompt(text, tokenizer);
      if (read.length !== promptTokens) continue;
      found.push({ input_ids: read, text });
      break;
    }
    if (found.length === prompts + heldOut) return found;
  }
  throw new Error(
    `${stories}: ${prompts + heldOut} prompts of ${promptTokens} tokens are required, got ${found.length}`,
  );
}

/** A reward model on pairs of the policy's own responses, as gold judges them. */
async function trainReward(engine: Engine, model: Model, options: TaskOptions): Promise<Model> {
  const judge = await openReward(gold);
  const prompts = await readTaskPrompts(taskPaths(options.folder).prompts);
  const pairs: CollectedPair[] = [];
  for (const round of [1, 2])
    pairs.push(
      ...(await collectPairs({
        engine,
        model,
        prompts,
        reward: judge.score,
        samples: options.samples,
        responseLength: options.newTokens,
        seed: options.seed + 100_000 * round,
      })),
    );
  const held = Math.floor(pairs.length / 10);
  const { model: learned, metrics } = await reward({
    engine,
    model,
    data: pairs.slice(held).map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected })),
    evalData: pairs.slice(0, held).map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected })),
    batchSize: 32,
    learningRate: 5e-4,
    lrSchedulerType: "cosine",
    numEpochs: 2,
    // TRL reads the head as it is.
    normalizeRewards: false,
    seed: options.seed,
  });
  process.stderr.write(`reward model: ${pairs.length} pairs, ${JSON.stringify(metrics)}\n`);
  return learned;
}
