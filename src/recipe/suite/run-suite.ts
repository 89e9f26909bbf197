/**
 * Runs a suite: answers, scores and measures as rows, each written when it is done, so that a second run measures only
 * what has changed; then what follows from the rows (win rates, ratings, alignment), one JSON and one page.
 */
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { take } from "../../data/list.ts";
import { loadPreferences } from "../../data/preferences.ts";
import type { PromptExample } from "../../data/prompts.ts";
import {
  accuracyBySubset,
  bootstrap,
  bradleyTerry,
  distinctN,
  elo,
  type Game,
  klBetween,
  lengthControlledWinRate,
  marginCalibration,
  repetition,
  rewardAlignment,
  rouge,
  selfBleu,
  winRate,
} from "../../evaluate/index.ts";
import type { Engine } from "../../graph/index.ts";
import { permutation } from "../../graph/random.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { scoreRows } from "../../reward/index.ts";
import { lockFolder } from "../../runs/lock.ts";
import { makeFolder } from "../../runs/make-folder.ts";
import { writeJson, writeWhole } from "../../runs/write-whole.ts";
import { RecipeError } from "../errors.ts";
import { answers, perplexityOf } from "../evaluate.ts";
import { promptsOf } from "../prompts.ts";
import { rewardOf } from "../rewards.ts";
import { readJson } from "../run-files.ts";
import { worldFile, writeWorld } from "../world.ts";
import type { AnswerRow, ModelFigures, PairFigures, SuiteResult } from "./result.ts";
import { rowKey, type Suite, type SuiteMetric } from "./suite.ts";

export interface RunSuiteOptions {
  readonly engine: Engine;
  readonly signal?: AbortSignal;
  readonly version?: string;
  /** Measure everything again. */
  readonly overwrite?: boolean;
  /** Told each row: its name, and whether an earlier run had it. */
  readonly onRow?: (name: string, reused: boolean) => void;
  readonly note?: (line: string) => void;
}

/**
 * Measures all models of a suite.
 *
 * @returns the figures, which `suite.json` in the output folder has too, and where the page is
 * @throws whatever a model, a reward or a file throws; rows that are done stay
 */
export async function runSuite(
  suite: Suite,
  options: RunSuiteOptions,
): Promise<SuiteResult & { readonly page: string }> {
  const dir = resolve(suite.output_dir);
  await makeFolder(dir);
  const unlock = await lockFolder(dir);
  try {
    if (options.overwrite) await rm(join(dir, "rows"), { recursive: true, force: true });
    await mkdir(join(dir, "rows"), { recursive: true });
    if (suite.world) await writeWorld(join(dir, "data"), suite, options.note);
    const result = await measure(suite, dir, options);
    await writeJson(join(dir, "suite.json"), result);
    const { suitePage } = await import("./page.ts"); // with the plotting library, which nobody else waits for
    const page = join(dir, "suite.html");
    await writeWhole(page, suitePage(result));
    return { ...result, page };
  } finally {
    await unlock();
  }
}

async function measure(suite: Suite, dir: string, options: RunSuiteOptions): Promise<SuiteResult> {
  const { engine, signal = new AbortController().signal, onRow } = options;
  const { seed, baseline, world, temperature = 1, max_new_tokens: maxNewTokens = 64 } = suite;
  const has = (metric: SuiteMetric) => suite.metrics.includes(metric);
  const data = (reference: string | readonly string[]) =>
    [reference].flat().map((path) => ({ path: worldFile(join(dir, "data"), path, suite) ?? path }));
  const rewards = Object.entries(suite.rewards ?? {});
  const models = new Map<string, Promise<Model>>();
  const modelOf = (name: string): Promise<Model> => {
    const known = models.get(name) ?? loadModel(suite.models[name] as string, { signal });
    models.set(name, known);
    return known;
  };

  /** A row from its file, or computed and written. */
  async function row<T extends object>(
    name: string,
    settings: unknown,
    compute: () => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const path = join(dir, "rows", `${name.replaceAll("/", ".")}.json`);
    const key = await rowKey([options.version, seed, world, settings]);
    const known = await readJson<{ key: string; value: T }>(path);
    onRow?.(name, known?.key === key);
    if (known?.key === key) return known.value;
    const value = await compute();
    signal.throwIfAborted();
    await writeJson(path, { key, value });
    return value;
  }

  const reading = {
    ...suite,
    name: undefined,
    models: undefined,
    rewards: undefined,
    pairs: undefined,
    metrics: undefined,
    texts: undefined,
    output_dir: undefined,
    baseline: undefined,
  };

  async function examplesFor(model: Model): Promise<PromptExample[]> {
    const { prompts } = await promptsOf(model, data(suite.prompts as string), maxNewTokens, suite);
    const order = [...permutation(prompts.length, seed, 7)].slice(0, suite.num_prompts ?? 128);
    return order.sort((a, b) => a - b).map((i) => prompts.at(i) as PromptExample);
  }

  const names = Object.keys(suite.models);
  const answered = new Map<string, AnswerRow[]>();
  if (suite.prompts !== undefined)
    for (const [i, name] of names.entries()) {
      const settings = [suite.models[name], reading, i];
      const { rows } = await row(`answers/${name}`, settings, async () => {
        const model = await modelOf(name);
        const found = await answers(model, await examplesFor(model), {
          engine,
          maxNewTokens,
          temperature,
          seed: seed + 1000 * (1 + i),
          signal,
        });
        return {
          rows: found.map(
            ({ prompt, completion, ids, terminated, example }): AnswerRow => ({
              prompt,
              completion,
              promptIds: [...example.ids],
              ids: [...ids],
              terminated,
              row: example.row,
            }),
          ),
        };
      });
      answered.set(name, rows);
    }

  const scores = new Map<string, Record<string, number[]>>();
  for (const [name, rows] of answered) {
    const own: Record<string, number[]> = {};
    for (const [reward, specification] of rewards) {
      const settings = [suite.models[name], reading, names.indexOf(name), specification];
      const { values } = await row(`scores/${reward}/${name}`, settings, async () => {
        const opened = await rewardOf(specification, { engine });
        try {
          const inputs = rows.map(({ ids: completionIds, ...rest }) => ({ ...rest, completionIds }));
          return { values: (await scoreRows(opened, inputs, { signal })).scores };
        } finally {
          await opened.dispose();
        }
      });
      own[reward] = [...values];
    }
    scores.set(name, own);
  }
  const gold = rewards[0]?.[0];
  const goldOf = (name: string): number[] => (gold === undefined ? [] : (scores.get(name)?.[gold] ?? []));
  const lengthsOf = (name: string) => (answered.get(name) ?? []).map(({ ids }) => ids.length);

  const figures: ModelFigures[] = [];
  for (const name of names) {
    const rows = answered.get(name) ?? [];
    const texts = rows.map(({ completion }) => completion);
    const compared = name !== baseline && gold !== undefined;
    const kl = async () => {
      const settings = [suite.models[name], suite.models[baseline], reading];
      return row(`kl/${name}`, settings, async () => {
        const pair = [await modelOf(name), await modelOf(baseline)] as const;
        const along = (of: string) =>
          (answered.get(of) ?? []).map(({ promptIds, ids }) => ({ promptIds, ids }));
        const at = temperature > 0 ? { temperature } : {};
        const there = await klBetween(engine, pair[0], pair[1], along(name), at);
        const back = await klBetween(engine, pair[1], pair[0], along(baseline), at);
        return {
          model_baseline: there.forward.exact.perResponse,
          baseline_model: back.forward.exact.perResponse,
          unit: "nats per response" as const,
        };
      });
    };
    const perplexity = async () => {
      const settings = [suite.models[name], suite.texts, suite.num_texts, suite.separator];
      return row(`perplexity/${name}`, settings, async () => ({
        value: await perplexityOf({ engine, data }, await modelOf(name), suite.texts as string, {
          perplexity_rows: suite.num_texts ?? 200,
          ...(suite.separator !== undefined && { separator: suite.separator }),
        }),
      }));
    };
    const reference = (answer: AnswerRow): string => {
      const value = answer.row[suite.references as string];
      if (typeof value === "string") return value;
      throw new RecipeError(
        `${suite.name}: references: rows of prompts with a text in ${suite.references} are required; they have ${Object.keys(answer.row).join(", ") || "no other column"}`,
      );
    };
    const meanOf = (values: readonly number[]) => bootstrap(values, undefined, { seed });
    figures.push({
      name,
      model: suite.models[name] as string,
      ...(has("reward") && {
        reward: Object.fromEntries(
          Object.entries(scores.get(name) ?? {}).map(([reward, values]) => [reward, meanOf(values)]),
        ),
      }),
      ...(has("win_rate") && compared && { win_rate: winRate(goldOf(name), goldOf(baseline), { seed }) }),
      ...(has("length_controlled_win_rate") &&
        compared && {
          length_controlled_win_rate: lengthControlledWinRate(
            goldOf(name),
            goldOf(baseline),
            { a: lengthsOf(name), b: lengthsOf(baseline) },
            { seed, n: 300 },
          ),
        }),
      ...(has("kl") && name !== baseline && { kl: await kl() }),
      ...(has("perplexity") && { perplexity: (await perplexity()).value }),
      ...(has("length") && {
        length: { ...meanOf(lengthsOf(name)), unit: "tokens" as const },
        share_terminated: meanOf(rows.map(({ terminated }) => (terminated ? 1 : 0))).mean,
      }),
      ...(has("diversity") && {
        distinct_1: distinctN(texts, 1),
        distinct_2: distinctN(texts, 2),
        self_bleu: selfBleu(texts),
        repetition: repetition(texts),
      }),
      ...(has("rouge") && {
        rouge: Object.fromEntries(
          (["rouge1", "rouge2", "rougeL"] as const).map((variant) => [
            variant,
            meanOf(rows.map((answer) => rouge(answer.completion, reference(answer), variant))),
          ]),
        ),
      }),
    });
  }

  const pairs: PairFigures[] = [];
  if (has("accuracy"))
    for (const [file, reference] of Object.entries(suite.pairs ?? {}))
      for (const [reward, specification] of rewards) {
        const settings = [reference, suite.num_pairs, suite.subset, suite.models[baseline], specification];
        pairs.push(
          await row(`pairs/${file}/${reward}`, settings, async () =>
            judged(await modelOf(baseline), { file, reward, reference, specification }),
          ),
        );
      }

  /** A reward on pairs; how they are read as text is the baseline's affair. */
  async function judged(
    model: Model,
    at: { file: string; reward: string; reference: string | string[]; specification: unknown },
  ): Promise<PairFigures> {
    const { tokenizer, config, chatTemplate } = model;
    if (!tokenizer) throw new RecipeError(`${model.name}: a tokenizer is required to read pairs`);
    const read = await loadPreferences(data(at.reference), tokenizer, {
      maxLength: config.maxPositions,
      onBadRow: suite.on_bad_row ?? "error",
      ...(chatTemplate !== undefined && { chatTemplate }),
    });
    const decided = take(read.pairs, suite.num_pairs ?? 500).filter(({ tie }) => !tie);
    const opened = await rewardOf(at.specification, { engine });
    try {
      const side = (which: "chosen" | "rejected") =>
        scoreRows(
          opened,
          decided.map(({ texts, row }) => ({ prompt: texts.prompt, completion: texts[which], row })),
          { signal },
        );
      const [chosen, rejected] = [(await side("chosen")).scores, (await side("rejected")).scores];
      const margins = chosen.map((score, i) => score - (rejected[i] as number));
      const subset = suite.subset ?? "kind";
      const accuracy = accuracyBySubset(
        margins,
        decided.map(({ row }) => String(row[subset] ?? "all")),
        { seed },
      );
      const { ece, bins } = marginCalibration(margins);
      return {
        file: at.file,
        reward: at.reward,
        pairs: margins.length,
        accuracy,
        calibration: { ece, bins },
      };
    } finally {
      await opened.dispose();
    }
  }

  const games = names.flatMap((a, i) =>
    names.slice(i + 1).flatMap((b) =>
      goldOf(a).map(
        (score, k): Game => ({
          a,
          b,
          score: 0.5 + 0.5 * Math.sign(score - (goldOf(b)[k] as number)),
        }),
      ),
    ),
  );
  const everything = [...answered.values()].flat();
  const all = (reward: string) => names.flatMap((name) => scores.get(name)?.[reward] ?? []);
  return {
    name: suite.name,
    attune: options.version ?? "",
    seed,
    baseline,
    ...(gold !== undefined && { gold }),
    prompts: answered.get(baseline)?.length ?? 0,
    models: figures,
    ...(has("leaderboard") &&
      games.length > 0 && {
        leaderboard: {
          bradley_terry: bradleyTerry(games, { seed }),
          // Elo knows an order of games: every pair of models meets once on each prompt, shuffled by the seed.
          elo: elo([...permutation(games.length, seed, 11)].map((i) => games[i] as Game)),
        },
      }),
    ...(has("alignment") && {
      alignment: Object.fromEntries(
        rewards.slice(1).map(([reward]) => [
          reward,
          rewardAlignment(all(reward), all(gold as string), {
            prompts: everything.map(({ prompt }) => prompt),
            seed,
            n: 300,
          }),
        ]),
      ),
    }),
    ...(pairs.length > 0 && { pairs }),
    answers: names.flatMap((name) =>
      (answered.get(name) ?? []).slice(0, 12).map(({ prompt, completion }, i) => ({
        model: name,
        prompt,
        completion,
        ...(gold !== undefined && { score: goldOf(name)[i] as number }),
      })),
    ),
  };
}
