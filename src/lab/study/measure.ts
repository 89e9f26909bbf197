/**
 * A model measured for a study: it answers the prompts several times, proxy and gold reward score the answers, and the
 * KL from the reference is taken along them, exact at each token and summed over a response.
 */
import type { PromptExample } from "../../data/prompts.ts";
import { bootstrap, type Drift, driftOf, type Interval, klBetween, mean } from "../../evaluate/index.ts";
import { createGenerator } from "../../generate/index.ts";
import { type Engine, unflatten } from "../../graph/index.ts";
import type { Model } from "../../models/load.ts";
import type { AxisScores } from "../../recipe/rewards.ts";
import { type OpenedReward, type RewardInput, spreadOf } from "../../reward/reward.ts";
import { scoreRows } from "../../reward/score-rows.ts";

/** A line of responses.jsonl. */
export interface StudyResponse {
  /** Place of the prompt. */
  readonly prompt_index: number;
  readonly prompt: string;
  readonly completion: string;
  readonly tokens: number;
  readonly terminated: boolean;
  /** Mean of -log pi over its tokens, nats. */
  readonly surprisal: number;
  readonly proxy?: number;
  readonly gold?: number;
  /** Standard deviation of the scores of the proxy's members. */
  readonly disagreement?: number;
  /** By objective, of a study of weights. */
  readonly objectives?: Readonly<Record<string, number>>;
}

/** A line of points.jsonl: a model somewhere on its way. */
export interface StudyPoint {
  readonly step: number;
  readonly responses: number;
  /** Nats a response, from the reference; of the reference itself 0. */
  readonly kl?: Interval;
  readonly proxy?: Interval;
  readonly gold?: Interval;
  readonly disagreement?: number;
  readonly drift: Drift;
}

export interface Scorers {
  readonly proxy?: OpenedReward | undefined;
  readonly gold?: OpenedReward | undefined;
}

/** What a study of weights measures: objectives by the gold reward's axes, or by the heads of the proxy itself. */
export interface Objectives {
  readonly names: readonly string[];
  readonly axes?: ((batch: readonly RewardInput[]) => AxisScores) | undefined;
}

export interface MeasureOptions extends Scorers {
  readonly objectives?: Objectives | undefined;
  readonly engine: Engine;
  readonly prompts: readonly PromptExample[];
  /** Answers to each. */
  readonly samples: number;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly step: number;
  /** What the KL is measured from; the model itself is at 0. */
  readonly reference?: Model | undefined;
  readonly signal?: AbortSignal;
}

export interface Measured {
  readonly point: StudyPoint;
  readonly responses: readonly StudyResponse[];
}

/** Answers, scores and measures. */
export async function measureModel(model: Model, options: MeasureOptions): Promise<Measured> {
  const { engine, temperature, reference, step } = options;
  const { rows, sequences } = await scoredAnswers(model, options);
  const of = (key: "proxy" | "gold"): { [K in typeof key]?: Interval } => {
    const values = rows.flatMap((row) => (row[key] === undefined ? [] : [row[key]]));
    return values.length === 0 ? {} : { [key]: bootstrap(byPrompt(rows, values)) };
  };
  const members = rows.flatMap((row) => (row.disagreement === undefined ? [] : [row.disagreement]));
  const isReference = reference === model;
  const kl =
    reference === undefined
      ? undefined
      : isReference
        ? { mean: 0, low: 0, high: 0 }
        : (await klBetween(engine, model, reference, sequences, { temperature })).forward.exact.perResponse;
  return {
    responses: rows,
    point: {
      step,
      responses: rows.length,
      ...(kl && { kl }),
      ...of("proxy"),
      ...of("gold"),
      ...(members.length > 0 && { disagreement: mean(members) }),
      drift: driftOf(rows),
    },
  };
}

/** Scores by objective; undefined where nothing tells them. */
export function objectiveScores(
  { names, axes }: Objectives,
  inputs: readonly RewardInput[],
  parts: AxisScores | undefined,
): AxisScores | undefined {
  const found = axes ? axes(inputs) : parts;
  return found && names.every((name) => found[name])
    ? Object.fromEntries(names.map((name) => [name, found[name] as readonly number[]]))
    : undefined;
}

/** Means over the samples of each prompt: samples of one prompt are not independent. */
function byPrompt(rows: readonly StudyResponse[], values: readonly number[]): number[] {
  const groups = new Map<number, number[]>();
  for (const [i, { prompt_index }] of rows.entries()) {
    const group = groups.get(prompt_index) ?? [];
    group.push(values[i] as number);
    groups.set(prompt_index, group);
  }
  return [...groups.values()].map(mean);
}

/** Answers of a model with their scores, those of one prompt together. */
export async function scoredAnswers(
  { config, parameters, tokenizer }: Model,
  {
    engine,
    prompts,
    samples,
    maxNewTokens,
    temperature,
    seed,
    proxy,
    gold,
    signal,
    objectives,
  }: MeasureOptions,
) {
  const generator = createGenerator(engine, config, unflatten(parameters));
  try {
    const completions = await generator.generate(
      prompts.map(({ ids }) => [...ids]),
      {
        samples,
        maxNewTokens,
        temperature,
        seed,
        ...(tokenizer && { tokenizer }),
        ...(signal && { signal }),
      },
    );
    const inputs = completions.map(({ prompt, text = "", ids, finishReason }): RewardInput => {
      const example = prompts[prompt] as PromptExample;
      return {
        prompt: example.text,
        completion: text,
        promptIds: [...example.ids],
        completionIds: ids,
        terminated: finishReason !== "length",
        ...(example.messages && { messages: example.messages }),
        row: example.row,
      };
    });
    const byProxy = proxy && (await scoreRows(proxy, inputs, signal ? { signal } : {}));
    const byGold = gold && (await scoreRows(gold, inputs, signal ? { signal } : {}));
    const byObjective = objectives && objectiveScores(objectives, inputs, byProxy?.parts);
    const apart = byProxy && spreadOf(byProxy);
    const rows = completions.map(({ prompt, ids, logprobs }, i): StudyResponse => {
      const { prompt: text, completion, terminated = false } = inputs[i] as RewardInput;
      return {
        prompt_index: prompt,
        prompt: text,
        completion,
        tokens: ids.length,
        terminated,
        surprisal: -mean(logprobs),
        ...(byProxy && { proxy: byProxy.scores[i] as number }),
        ...(byGold && { gold: byGold.scores[i] as number }),
        ...(byObjective && {
          objectives: Object.fromEntries(
            Object.entries(byObjective).map(([name, values]) => [name, values[i] as number]),
          ),
        }),
        ...(apart && { disagreement: apart[i] as number }),
      };
    });
    const sequences = completions.map(({ prompt, ids }) => ({
      promptIds: [...(prompts[prompt] as PromptExample).ids],
      ids,
    }));
    return { rows, sequences, inputs };
  } finally {
    await generator.dispose();
  }
}
