/**
 * How well a reward model judges held-out pairs: accuracy, calibration, accuracy by margin, what length has to do with
 * its scores, and the scores of each level of quality where the rows name levels.
 */
import type { RowList } from "../data/list.ts";
import { objectiveLabels, overall } from "../data/objective-labels.ts";
import type { Pair } from "../data/pair.ts";
import type { Engine } from "../graph/index.ts";
import { type CombineOptions, combined } from "../reward/ensemble/combine.ts";
import type { Normalisation } from "../reward/normalisation.ts";
import { createHeadScorer, type ScoredModel, type ScorerOptions } from "../reward/scorer.ts";
import { mean, quantile, standardDeviation } from "./bootstrap.ts";
import { type Calibration, marginCalibration } from "./calibration.ts";
import { pearson } from "./correlation.ts";

export interface MarginBin {
  /** |r_chosen - r_rejected| as trained, before normalisation: from low up to high; the last bin its end too. */
  readonly low: number;
  readonly high: number;
  readonly accuracy: number;
  readonly count: number;
}

export interface LevelScores {
  readonly mean: number;
  readonly std: number;
  readonly count: number;
}

/** What the report shows of a reward model; JSON. */
export interface RewardModelReport {
  /** Share of the decided pairs whose preferred response has the higher score; equal scores count half. */
  readonly accuracy: number;
  readonly pairs: number;
  /** Of sigmoid(r_chosen - r_rejected), from raw scores, which are what was trained. */
  readonly calibration: Calibration;
  /** By fifths of the pairs. */
  readonly accuracy_by_margin: readonly MarginBin[];
  /** Pearson's r of score and length in tokens, over all responses; 0 when one of them never differs. */
  readonly length_correlation: number;
  /** Normalised scores by `level_chosen` and `level_rejected` of the rows. */
  readonly score_by_level?: Readonly<Record<string, LevelScores>>;
  /** Of the normalised scores of all responses. */
  readonly mean: number;
  readonly std: number;
  /** Of an ensemble. */
  readonly ensemble?: EnsembleReport;
  /** Of several objectives: how each head judges the pairs that say something of its objective. */
  readonly objectives?: Readonly<Record<string, { readonly accuracy: number; readonly pairs: number }>>;
}

/** How the members of an ensemble judge, and whether their disagreement tells where they are wrong. */
export interface EnsembleReport {
  /** Of each member alone. */
  readonly accuracy: readonly number[];
  /** Mean variance of the normalised scores over the members, of the responses in pairs judged rightly, and wrongly. */
  readonly disagreement: { readonly right: number; readonly wrong: number };
}

/** Scores of pairs, and what is known of them. */
export interface ScoredPair {
  /** Raw: as trained. */
  readonly chosen: number;
  readonly rejected: number;
  /** Tokens of the responses. */
  readonly lengths: { readonly chosen: number; readonly rejected: number };
  readonly levels?: { readonly chosen: string; readonly rejected: string };
}

const sides = ["chosen", "rejected"] as const;

/** Scores the pairs, ties left out, and reports; a model with several scores is an ensemble, combined as asked. */
export const evaluateRewardModel = (
  engine: Engine,
  model: ScoredModel,
  pairs: RowList<Pair>,
  options: RewardModelOptions = {},
): Promise<RewardModelReport> => evaluateRewardModels(engine, [model], pairs, options);

export interface RewardModelOptions extends ScorerOptions, CombineOptions {
  /** Names of the heads where each is an objective; the one called overall is what the rest of the report is of. */
  readonly objectives?: readonly string[];
}

/** The same of an ensemble of models. */
export async function evaluateRewardModels(
  engine: Engine,
  models: readonly ScoredModel[],
  pairs: RowList<Pair>,
  options: RewardModelOptions = {},
): Promise<RewardModelReport> {
  const { objectives } = options;
  const decided = [...pairs].filter(({ tie }) => !tie);
  const rows = decided.flatMap(({ prompt, ...pair }) =>
    sides.map((side) => ({ prompt, response: pair[side] })),
  );
  const all: { readonly scores: readonly number[]; readonly normalisation: Normalisation }[] = [];
  for (const model of models) {
    const scorer = await createHeadScorer(engine, model, options);
    const heads = await scorer.scores(rows).finally(() => scorer.dispose());
    for (const [i, scores] of heads.entries())
      all.push({ scores, normalisation: scorer.normalisations[i] as Normalisation });
  }
  const members = objectives ? all.filter((_, i) => objectives[i] === overall) : all;
  const { scores, disagreement } = combined(
    members.map((member) => member.scores),
    options,
  );
  // In the scale of training, in which margins are log-odds: of an ensemble the mean of the members' scales.
  const shift = members.length === 1 ? (members[0]?.normalisation.mean as number) : 0;
  const scale = mean(members.map(({ normalisation }) => normalisation.std));
  const report = rewardModelReport(
    decided.map((pair, i) =>
      scoredPair(pair, scores[2 * i] as number, scores[2 * i + 1] as number, { shift, scale }),
    ),
    { mean: shift, std: scale },
  );
  if (objectives) return { ...report, objectives: byObjective(decided, all, objectives) };
  if (members.length === 1) return report;
  return { ...report, ensemble: ensembleReport(members, scores, disagreement) };
}

function byObjective(
  pairs: readonly Pair[],
  heads: readonly { readonly scores: readonly number[] }[],
  objectives: readonly string[],
) {
  const labels = pairs.map((pair) => objectiveLabels(pair, objectives));
  return Object.fromEntries(
    objectives.map((name, k) => {
      const margins = marginsOf(heads[k]?.scores ?? []).flatMap((d, i) => {
        const sign = labels[i]?.[k] as number;
        return sign === 0 ? [] : [d * sign];
      });
      return [name, { accuracy: margins.length === 0 ? 0.5 : accuracyOf(margins), pairs: margins.length }];
    }),
  );
}

function scoredPair(
  { row, ...pair }: Pair,
  chosen: number,
  rejected: number,
  { shift, scale }: { readonly shift: number; readonly scale: number },
): ScoredPair {
  const levels = { chosen: row.level_chosen, rejected: row.level_rejected };
  return {
    chosen: chosen * scale + shift,
    rejected: rejected * scale + shift,
    lengths: { chosen: pair.chosen.length, rejected: pair.rejected.length },
    ...(levels.chosen !== undefined &&
      levels.rejected !== undefined && {
        levels: { chosen: String(levels.chosen), rejected: String(levels.rejected) },
      }),
  };
}

/** Margins of rows that are chosen and rejected in turn. */
const marginsOf = (scores: readonly number[]): number[] =>
  Array.from(
    { length: scores.length / 2 },
    (_, i) => (scores[2 * i] as number) - (scores[2 * i + 1] as number),
  );

function ensembleReport(
  members: readonly { readonly scores: readonly number[] }[],
  scores: readonly number[],
  disagreement: readonly number[],
): EnsembleReport {
  const margins = marginsOf(scores);
  const among = (isMeant: (margin: number) => boolean) =>
    disagreement.filter((_, i) => isMeant(margins[i >> 1] as number));
  const meanOr0 = (values: readonly number[]) => (values.length === 0 ? 0 : mean(values));
  return {
    accuracy: members.map((member) => accuracyOf(marginsOf(member.scores))),
    disagreement: { right: meanOr0(among((d) => d > 0)), wrong: meanOr0(among((d) => d <= 0)) },
  };
}

/** The report of scores. */
export function rewardModelReport(
  pairs: readonly ScoredPair[],
  { mean: shift, std: scale }: { readonly mean: number; readonly std: number } = { mean: 0, std: 1 },
): RewardModelReport {
  const margins = pairs.map(({ chosen, rejected }) => chosen - rejected);
  const responses = pairs.flatMap((pair) =>
    sides.map((side) => ({
      score: (pair[side] - shift) / scale,
      length: pair.lengths[side],
      level: pair.levels?.[side],
    })),
  );
  const scores = responses.map(({ score }) => score);
  const correlation = pearson(
    scores,
    responses.map(({ length }) => length),
  );
  const levels = byLevel(responses);
  return {
    accuracy: accuracyOf(margins),
    pairs: pairs.length,
    calibration: marginCalibration(margins),
    accuracy_by_margin: byMargin(margins),
    length_correlation: Number.isNaN(correlation) ? 0 : correlation,
    ...(levels && { score_by_level: levels }),
    mean: mean(scores),
    std: standardDeviation(scores),
  };
}

const accuracyOf = (margins: readonly number[]): number => mean(margins.map((d) => 0.5 + 0.5 * Math.sign(d)));

const parts = 5;

/** Accuracy of the fifths of the pairs by |margin|, the least decided first. */
function byMargin(margins: readonly number[]): MarginBin[] {
  const sizes = margins.map(Math.abs);
  const ascending = Float64Array.from(sizes).sort();
  const edges = Array.from({ length: parts + 1 }, (_, k) => quantile(ascending, k / parts));
  return edges.slice(1).flatMap((high, k): MarginBin[] => {
    const low = edges[k] as number;
    const isIn = (size: number) => size >= low && (size < high || (k === parts - 1 && size <= high));
    const members = margins.filter((_, i) => isIn(sizes[i] as number));
    return members.length === 0 ? [] : [{ low, high, accuracy: accuracyOf(members), count: members.length }];
  });
}

function byLevel(
  responses: readonly { readonly score: number; readonly level: string | undefined }[],
): Record<string, LevelScores> | undefined {
  const levels = [...new Set(responses.flatMap(({ level }) => level ?? []))].sort();
  if (levels.length === 0) return undefined;
  return Object.fromEntries(
    levels.map((name) => {
      const scores = responses.filter(({ level }) => level === name).map(({ score }) => score);
      return [name, { mean: mean(scores), std: standardDeviation(scores), count: scores.length }];
    }),
  );
}
