/**
 * The built-in world: a small language of questions and answers about a fictional town, at graded quality, and all the
 * data of a pipeline in it. Row n of a stream is a function of seed and n, so longer files begin with shorter ones.
 */

import { permutation } from "../../graph/random.ts";
import { annotators, compare, opinion, tieBelow } from "./annotators.ts";
import { answer, drawLevel, type LevelMix, respond, twoAnswers, type WorldResponse } from "./answers.ts";
import { createDraw, type Draw } from "./draw.ts";
import { type GoldScore, goldScore } from "./gold.ts";
import { type Axis, axes, type KindName, type Level, levels } from "./kind.ts";
import { kinds } from "./kinds/index.ts";
import { type Asked, drawPrompt, type Split } from "./prompt.ts";
import { townStories } from "./stories.ts";

export interface WorldOptions {
  readonly seed?: number;
}

export interface PromptRow {
  readonly id: string;
  readonly prompt: string;
  readonly kind: KindName;
}

export interface DemonstrationRow extends PromptRow, WorldResponse {}

/** A sum with its result. */
export interface SumRow extends PromptRow {
  /** Digits apart: "7 5". */
  readonly answer: string;
}

/** A sum with its result, and with an answer that works it out. */
export interface ArithmeticRow extends SumRow, DemonstrationRow {}

export interface PreferenceRow extends PromptRow {
  readonly chosen: string;
  readonly rejected: string;
  /** How much better the chosen one seems to the annotator; where it was asked for. */
  readonly margin?: number;
  /** What the gold scorer gives them by axis; where it was asked for. */
  readonly scores_chosen?: Readonly<Record<Axis, number>>;
  readonly scores_rejected?: Readonly<Record<Axis, number>>;
  readonly tie: boolean;
  readonly level_chosen: Level;
  readonly level_rejected: Level;
  readonly annotator: string;
  /** The label was turned round. */
  readonly noise: boolean;
}

export interface RankingRow extends PromptRow {
  readonly completions: readonly string[];
  /** 1 is best; what the annotator cannot tell apart shares a rank. */
  readonly ranks: readonly number[];
  readonly levels: readonly Level[];
  readonly annotator: string;
}

export interface RatingRow extends PromptRow {
  readonly completion: string;
  /** From 1 to 5. */
  readonly rating: number;
  readonly level: Level;
  readonly annotator: string;
}

export interface PreferenceOptions {
  /** Share of labels that are turned round. Default 0. */
  readonly noise?: number;
  /** Keep pairs that an annotator cannot tell apart, marked as ties. Default false. */
  readonly ties?: boolean;
  /** Say by how much the chosen one is better; trainers of reward models read that column. Default false. */
  readonly margins?: boolean;
  /** Say how helpful, harmless and honest both are; a reward model of several objectives learns from that. Default false. */
  readonly axes?: boolean;
  readonly split?: Split;
}

export interface World {
  readonly seed: number;
  /** Documents of mixed quality: prompts with answers of every level, and stories. */
  corpus(count: number, mix?: LevelMix): { text: string; kind: KindName | "story" }[];
  /** Prompts with answers of mixed quality, better than the corpus. */
  demonstrations(count: number, options?: { mix?: LevelMix; split?: Split }): DemonstrationRow[];
  /** Sums alone, with good answers and the right result. */
  arithmetic(count: number, options?: { split?: Split }): ArithmeticRow[];
  /** More sums, with results alone: what verifiable rewards learn from. */
  sums(count: number): SumRow[];
  preferences(count: number, options?: PreferenceOptions): PreferenceRow[];
  rankings(count: number, options?: { split?: Split }): RankingRow[];
  ratings(count: number, options?: { split?: Split }): RatingRow[];
  /** Prompts of all kinds in turn; those held out occur in no other data, whatever the seed. */
  prompts(count: number, options?: { split?: Split }): PromptRow[];
  /** Answers of one level to a prompt of the world. */
  respond(prompt: string, level: Level, index?: number): WorldResponse;
  goldScore(prompt: string, completion: string): GoldScore;
}

export const corpusMix: LevelMix = { high: 0.25, medium: 0.3, low: 0.45 };
export const demonstrationMix: LevelMix = { high: 0.25, medium: 0.4, low: 0.35 };
const storyShare = 0.25;
/** How often a kind comes up in the corpus; sums take the most practice. */
const corpusKinds = kinds.map((kind) => ({ kind, weight: kind.name === "arithmetic" ? 3 : 1 }));

const arithmetic = kinds.find(({ name }) => name === "arithmetic") as (typeof kinds)[number];
const resultOf = (asked: Asked): string => arithmetic.solution?.(asked.task as never) as string;

/** Each kind of data draws from a stream of its own. */
const streams = {
  corpus: 1,
  demonstrations: 2,
  preferences: 3,
  rankings: 4,
  ratings: 5,
  prompts: 6,
  respond: 7,
  arithmetic: 8,
  sums: 9,
};

const axisScores = (score: GoldScore): Record<Axis, number> =>
  Object.fromEntries(axes.map((axis) => [axis, Math.round(score[axis] * 1e4) / 1e4])) as Record<Axis, number>;

export function createWorld({ seed = 42 }: WorldOptions = {}): World {
  const streamOf = (stream: keyof typeof streams, split: Split, i: number): Draw =>
    createDraw(seed, streams[stream], split === "train" ? 0 : 1, i);
  /** Rows about prompts of all kinds in turn. */
  const rows = <T>(
    count: number,
    stream: keyof typeof streams,
    split: Split,
    row: (asked: Asked, draw: Draw, i: number) => T,
  ): (PromptRow & T)[] =>
    Array.from({ length: count }, (_, i) => {
      const draw = streamOf(stream, split, i);
      const asked = drawPrompt(kinds[i % kinds.length] as (typeof kinds)[number], split, draw);
      const id = `${stream}-${split}-${i}`;
      return { id, prompt: asked.prompt, kind: asked.kind.name, ...row(asked, draw, i) };
    });
  return {
    seed,
    goldScore,
    corpus: (count, mix = corpusMix) =>
      Array.from({ length: count }, (_, i) => {
        const draw = streamOf("corpus", "train", i);
        if (draw.chance(storyShare)) return { text: townStories(1, seed, i)[0] as string, kind: "story" };
        const asked = drawPrompt(draw.weighted(corpusKinds).kind, "train", draw);
        const { completion } = answer(asked, drawLevel(draw, mix), draw);
        return { text: asked.prompt + completion, kind: asked.kind.name };
      }),
    demonstrations: (count, { mix = demonstrationMix, split = "train" } = {}) =>
      rows(count, "demonstrations", split, (asked, draw) => answer(asked, drawLevel(draw, mix), draw)),
    arithmetic: (count, { split = "train" } = {}) =>
      Array.from({ length: count }, (_, i) => {
        const draw = streamOf("arithmetic", split, i);
        const asked = drawPrompt(arithmetic, split, draw);
        const id = `arithmetic-${split}-${i}`;
        return {
          ...{ id, prompt: asked.prompt, kind: arithmetic.name },
          ...answer(asked, "high", draw),
          answer: resultOf(asked),
        };
      }),
    sums: (count) =>
      Array.from({ length: count }, (_, i) => {
        const asked = drawPrompt(arithmetic, "train", streamOf("sums", "train", i));
        return { id: `sums-${i}`, prompt: asked.prompt, kind: arithmetic.name, answer: resultOf(asked) };
      }),
    preferences: (
      count,
      { noise = 0, ties = false, margins = false, axes: withAxes = false, split = "train" } = {},
    ) =>
      rows(count, "preferences", split, (asked, draw) => {
        for (;;) {
          const [a, b] = twoAnswers(asked, draw);
          const annotator = draw.pick(annotators);
          const [goldA, goldB] = [a, b].map((each) => goldScore(asked.prompt, each.completion)) as [
            GoldScore,
            GoldScore,
          ];
          const verdict = compare(annotator, goldA, goldB, noise, draw);
          if (a.completion === b.completion || (verdict.tie && !ties)) continue;
          const [chosen, rejected] = verdict.first ? [a, b] : [b, a];
          return {
            chosen: chosen.completion,
            rejected: rejected.completion,
            ...(withAxes && {
              scores_chosen: axisScores(verdict.first ? goldA : goldB),
              scores_rejected: axisScores(verdict.first ? goldB : goldA),
            }),
            ...(margins && { margin: Math.round(verdict.margin * 1e4) / 1e4 }),
            tie: verdict.tie,
            level_chosen: chosen.level,
            level_rejected: rejected.level,
            annotator: annotator.name,
            noise: verdict.noise,
          };
        }
      }),
    rankings: (count, { split = "train" } = {}) =>
      rows(count, "rankings", split, (asked, draw, i) => {
        const annotator = draw.pick(annotators);
        const wanted = [...levels, draw.pick(levels), draw.pick(levels)];
        const found = wanted.map((level) => answer(asked, level, draw));
        const distinct = [...new Map(found.map((each) => [each.completion, each])).values()];
        const order = permutation(distinct.length, seed, i);
        const shown = Array.from(order, (at) => distinct[at] as WorldResponse);
        const worth = shown.map(({ completion }) => opinion(annotator, goldScore(asked.prompt, completion)));
        return {
          completions: shown.map(({ completion }) => completion),
          ranks: worth.map((own) => 1 + worth.filter((other) => other - own >= tieBelow).length),
          levels: shown.map(({ level }) => level),
          annotator: annotator.name,
        };
      }),
    ratings: (count, { split = "train" } = {}) =>
      rows(count, "ratings", split, (asked, draw) => {
        const annotator = draw.pick(annotators);
        const { completion, level } = answer(asked, draw.pick(levels), draw);
        const value = opinion(annotator, goldScore(asked.prompt, completion));
        const rating = Math.max(1, Math.min(5, Math.round(3 + 2.2 * value)));
        return { completion, rating, level, annotator: annotator.name };
      }),
    prompts: (count, { split = "train" } = {}) => rows(count, "prompts", split, () => ({})),
    respond: (prompt, level, index = 0) => respond(prompt, level, createDraw(seed, streams.respond, index)),
  };
}
