/**
 * How a stage's model does on the held-out prompts: it answers the same prompts as every other stage, with chances of
 * its own, so that two stages are compared as independent draws; a reward scores the answers, by axis where it has axes.
 *
 * KL is that of the model from the reference over its own answers, in nats summed over a response; there is none at
 * temperature 0.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadDataset } from "../data/dataset.ts";
import { take } from "../data/list.ts";
import type { PromptExample } from "../data/prompts.ts";
import { bootstrap, distinctN, type Interval, klBetween, winRate } from "../evaluate/index.ts";
import { tokenNll } from "../evaluate/perplexity.ts";
import { createGenerator } from "../generate/index.ts";
import { type Engine, unflatten } from "../graph/index.ts";
import { permutation } from "../graph/random.ts";
import type { Model } from "../models/load.ts";
import { writeJson, writeWhole } from "../runs/write-whole.ts";
import { RecipeError } from "./errors.ts";
import type { Place } from "./place.ts";
import { promptsOf } from "./prompts.ts";
import type { Recipe } from "./recipe.ts";
import { namesIn } from "./references.ts";
import { type AxisScores, axesOf } from "./rewards.ts";
import { readJson, stageDir } from "./run-files.ts";
import { stageKinds } from "./stages/index.ts";

/** evaluation.json of a stage. */
export interface Evaluation {
  readonly prompts: number;
  readonly reward?: { readonly overall: Interval; readonly axes?: Readonly<Record<string, Interval>> };
  readonly by_kind?: Readonly<Record<string, { readonly overall: Interval; readonly count: number }>>;
  readonly win_rate?: { against: string; rate: number; low: number; high: number; n: number };
  readonly kl?: { against: string; value: number; low: number; high: number; unit: "nats per response" };
  readonly perplexity?: number;
  readonly length: { readonly mean: number; readonly unit: "tokens" };
  readonly distinct_1: number;
  readonly distinct_2: number;
  readonly share_terminated: number;
}

/** A row of responses.jsonl. */
export interface Response {
  readonly prompt: string;
  readonly kind?: string;
  readonly completion: string;
  readonly scores: Readonly<Record<string, number>>;
  readonly tokens: number;
  readonly terminated: boolean;
}

export interface Evaluator {
  /** Stages that are done and not measured yet, once there is what they are measured by. */
  ready(done: readonly string[]): string[];
  /** Answers, scores and compares; reads what was measured before. Undefined when the signal aborts. */
  evaluate(stage: string, signal: AbortSignal): Promise<Evaluation | undefined>;
}

/** @param note says what a person should know */
export function createEvaluator(
  recipe: Recipe,
  parts: Place,
  note: (line: string) => void = () => {},
): Evaluator {
  const settings = recipe.evaluate ?? {};
  const { max_new_tokens: maxNewTokens = 64, temperature = 1, num_prompts = 256 } = settings;
  const seed = settings.seed ?? recipe.seed;
  const axes = axesOf(settings.reward);
  const reference = settings.kl_reference ?? recipe.stages.find(({ trainer }) => trainer === "sft")?.name;
  const names = recipe.stages.map(({ name }) => name);
  const judges = namesIn(settings.reward).filter((name) => names.includes(name));
  const answering = recipe.stages
    .filter(({ trainer }) => stageKinds[trainer]?.answers)
    .map(({ name }) => name);
  const measured = new Set<string>();

  /** The same prompts for every stage, whatever its tokenizer. */
  async function promptsFor(model: Model): Promise<PromptExample[]> {
    const data = parts.data(settings.prompts as string);
    const { prompts } = await promptsOf(model, data, maxNewTokens, settings);
    if (measured.size === 1 && settings.num_prompts !== undefined && prompts.length < num_prompts)
      note(
        `evaluate: ${prompts.length} ${prompts.length === 1 ? "prompt" : "prompts"} in ${settings.prompts}, num_prompts ` +
          `asks for ${num_prompts}; a text file is one document unless evaluate.separator says where the next begins`,
      );
    const order = [...permutation(prompts.length, seed, 7)].slice(0, num_prompts);
    return order.sort((a, b) => a - b).map((i) => prompts.at(i) as PromptExample);
  }

  async function scoresOf(rows: readonly Answer[]): Promise<AxisScores> {
    const inputs = rows.map(({ prompt, completion, example, ids, terminated }) => ({
      prompt,
      completion,
      promptIds: [...example.ids],
      completionIds: ids,
      terminated,
      row: example.row,
    }));
    if (axes) return axes(inputs);
    if (settings.reward === undefined) return {};
    const opened = await parts.reward(settings.reward);
    try {
      return { overall: [...(await opened.score(inputs))] };
    } finally {
      await parts.closeRewards();
    }
  }

  return {
    ready: (done) =>
      settings.prompts !== undefined && judges.every((name) => done.includes(name))
        ? answering.filter((name) => done.includes(name) && !measured.has(name))
        : [],
    async evaluate(stage, signal) {
      measured.add(stage);
      const dir = stageDir(parts.dir, stage);
      const model = await parts.model(stage);
      const path = join(dir, "evaluation.json");
      const known = await readJson<Evaluation>(path);
      if (known) return known;
      const rows = await answers(model, await promptsFor(model), {
        engine: parts.engine,
        maxNewTokens,
        temperature,
        seed: seed + 1000 * (1 + recipe.stages.findIndex(({ name }) => name === stage)),
        signal,
      });
      if (signal.aborted) return undefined;
      const scores = await scoresOf(rows);
      const overall = scores.overall;
      const from = recipe.stages.find(({ name }) => name === stage)?.keys.model;
      const opponent =
        typeof from === "string" && from !== stage ? await responsesOf(stageDir(parts.dir, from)) : undefined;
      const evaluation: Evaluation = {
        prompts: rows.length,
        ...(overall && { reward: rewardOf(scores) }),
        ...(overall && byKind(rows, overall)),
        ...(overall &&
          opponent?.length === rows.length && {
            win_rate: {
              against: from as string,
              ...winRate(
                overall,
                opponent.map((response) => response.scores.overall as number),
              ),
            },
          }),
        // The most likely answers alone have no distribution, and so no divergence.
        ...(temperature > 0 && reference && reference !== stage && isAfter(recipe, stage, reference)
          ? {
              kl: {
                against: reference,
                ...(await klFrom(parts, model, await parts.model(reference), rows, temperature)),
              },
            }
          : {}),
        ...(settings.perplexity !== undefined && {
          perplexity: await perplexityOf(parts, model, settings.perplexity, settings),
        }),
        length: { mean: mean(rows.map(({ ids }) => ids.length)), unit: "tokens" },
        distinct_1: distinctN(
          rows.map(({ completion }) => completion),
          1,
        ),
        distinct_2: distinctN(
          rows.map(({ completion }) => completion),
          2,
        ),
        share_terminated: mean(rows.map(({ terminated }) => (terminated ? 1 : 0))),
      };
      await writeWhole(
        join(dir, "responses.jsonl"),
        rows.map((row, i) => `${JSON.stringify(responseOf(row, scores, i))}\n`).join(""),
      );
      await writeJson(path, evaluation);
      return evaluation;
    },
  };
}

export interface Answer {
  readonly prompt: string;
  readonly completion: string;
  readonly ids: readonly number[];
  readonly terminated: boolean;
  readonly example: PromptExample;
}

const mean = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length;

export interface AnswerOptions {
  readonly engine: Engine;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** What a model says to prompts. */
export async function answers(
  { config, parameters, tokenizer }: Model,
  examples: readonly PromptExample[],
  { engine, temperature, ...options }: AnswerOptions,
): Promise<Answer[]> {
  const generator = createGenerator(engine, config, unflatten(parameters));
  try {
    const completions = await generator.generate(
      examples.map(({ ids }) => [...ids]),
      {
        ...options,
        ...(temperature === 0 ? { greedy: true } : { temperature }),
        ...(tokenizer && { tokenizer }),
      },
    );
    return completions.map(({ prompt, text, ids, finishReason }) => {
      const example = examples[prompt] as PromptExample;
      return {
        prompt: example.text,
        completion: text ?? "",
        ids,
        terminated: finishReason !== "length",
        example,
      };
    });
  } finally {
    await generator.dispose();
  }
}

const kindOf = ({ example }: Answer): string | undefined =>
  typeof example.row.kind === "string" ? example.row.kind : undefined;

function responseOf(row: Answer, scores: AxisScores, i: number): Response {
  const kind = kindOf(row);
  return {
    prompt: row.prompt,
    ...(kind !== undefined && { kind }),
    completion: row.completion,
    scores: Object.fromEntries(Object.entries(scores).map(([axis, values]) => [axis, values[i] as number])),
    tokens: row.ids.length,
    terminated: row.terminated,
  };
}

function rewardOf({ overall, ...axes }: AxisScores) {
  const intervals = Object.entries(axes).map(([axis, values]) => [axis, bootstrap(values)] as const);
  return {
    overall: bootstrap(overall as readonly number[]),
    ...(intervals.length > 0 && { axes: Object.fromEntries(intervals) }),
  };
}

function byKind(rows: readonly Answer[], overall: readonly number[]) {
  const kinds = new Map<string, number[]>();
  for (const [i, row] of rows.entries()) {
    const kind = kindOf(row);
    if (kind === undefined) continue;
    const values = kinds.get(kind) ?? [];
    values.push(overall[i] as number);
    kinds.set(kind, values);
  }
  if (kinds.size === 0) return {};
  const entries = [...kinds].sort(([a], [b]) => a.localeCompare(b));
  return {
    by_kind: Object.fromEntries(
      entries.map(([kind, values]) => [kind, { overall: bootstrap(values), count: values.length }]),
    ),
  };
}

async function responsesOf(dir: string): Promise<Response[] | undefined> {
  const content = await readFile(join(dir, "responses.jsonl"), "utf8").catch(() => undefined);
  return content
    ?.split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Response);
}

/** Whether a stage comes after another, so that it can be measured against it. */
const isAfter = ({ stages }: Recipe, stage: string, reference: string): boolean => {
  const names = stages.map(({ name }) => name);
  return names.indexOf(stage) > names.indexOf(reference);
};

/** KL(pi || pi_ref) over the model's own answers: exact at each token, summed over a response, the mean of responses. */
async function klFrom(
  { engine }: Place,
  model: Model,
  reference: Model,
  rows: readonly Answer[],
  temperature: number,
) {
  const sequences = rows.map(({ example, ids }) => ({ promptIds: [...example.ids], ids }));
  const { forward } = await klBetween(engine, model, reference, sequences, { temperature });
  const { mean: value, low, high } = forward.exact.perResponse;
  return { value, low, high, unit: "nats per response" as const };
}

/** Over what a trainer would count as labels: whole documents, or the completions of prompts. */
export async function perplexityOf(
  { engine, data }: Pick<Place, "engine" | "data">,
  model: Model,
  reference: string | readonly string[],
  { perplexity_rows: limit = 200, separator }: NonNullable<Recipe["evaluate"]>,
): Promise<number> {
  const { config, tokenizer, name } = model;
  if (!tokenizer) throw new RecipeError(`${name}: a tokenizer is required to measure perplexity`);
  const { examples } = await loadDataset(data(reference), tokenizer, {
    maxLength: config.maxPositions,
    ...(separator !== undefined && { separator }),
  });
  const rows = take(examples, limit);
  const measured = await tokenNll(
    model,
    rows.map(({ ids }) => [...ids]),
    { engine },
  );
  let [total, count] = [0, 0];
  for (const [i, { nll }] of measured.entries())
    for (let at = 0; at < nll.length; at++)
      if (rows[i]?.counts[at + 1]) {
        total += nll[at] as number;
        count++;
      }
  return Math.exp(total / count);
}
