/**
 * Pairs as batches of a reward model, with little padding.
 *
 * For a decoder a pair is one run of tokens: the prompt once, and behind it both responses as branches that do not see
 * each other. An encoder's tokens see what follows them, so there each response is a run with its own prompt. Runs fill
 * rows that are as long as the longest one, first fit with the longest first; segments keep them apart.
 *
 *     row        p0 p1 c0 c1 r0 r1 r2 | q0 c0 r0 r1 | padding        two pairs of a decoder
 *     segment     1  1  1  1  1  1  1    2  2  2  2    0
 *     branch      0  0  1  1  2  2  2    0  1  2  2    0
 *     position    0  1  2  3  2  3  4    0  1  1  2    0
 *
 * For a model that reads prompt and response apart (reward/towers.ts) the prompts are a batch of their own, whose names
 * begin with `prompt_`, and in the other one responses follow nothing.
 */
import type { RowList } from "../../data/list.ts";
import type { Pair } from "../../data/pair.ts";
import { type Dim, type HostArray, hostArray, type TensorSpec } from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { families } from "../../models/families/index.ts";
import { tokenSpec } from "../../models/model.ts";
import { readsApart } from "../../models/towers.ts";
import { type Pooling, poolingOf } from "../../reward/pooling.ts";
import type { Rows } from "../loop/plan.ts";
import { collateChosen, languageSpec } from "./language-term.ts";
import { collateObjectives } from "./reward-objectives.ts";

/** What of a model a batch depends on, and what pairs bring besides their tokens. */
export interface PairLayout {
  readonly encoder: boolean;
  readonly pooling: Pooling;
  /** Prompts and responses are read apart. */
  readonly apart: boolean;
  readonly margin: boolean;
  readonly tie: boolean;
  /** Objectives that have labels of their own. */
  readonly objectives?: readonly string[];
  /** The chosen responses' tokens are predicted too (language-term.ts). */
  readonly language?: boolean;
}

export const layoutOf = (
  config: ModelConfig,
  facts: Partial<Pick<PairLayout, "margin" | "tie">> = {},
): PairLayout => ({
  encoder: families[config.family].encoder ?? false,
  pooling: poolingOf(config),
  apart: readsApart(config),
  margin: facts.margin ?? false,
  tie: facts.tie ?? false,
});

const perPair: TensorSpec = { dtype: "float32", shape: ["B"] };

/** What of the layout the tokens depend on. */
export type TokenLayout = Pick<PairLayout, "encoder" | "pooling" | "apart">;

/**
 * B pairs in R rows of T tokens. `places` are those of the hidden states [R T] that are scored, [0, b] that of the
 * chosen response of pair b and [1, b] that of the rejected one; a mean has `weights` instead.
 */
export const rewardSpec = ({
  margin,
  tie,
  objectives,
  language,
  ...layout
}: PairLayout): Record<string, TensorSpec> => ({
  ...groupSpec(2, layout),
  ...(language && languageSpec),
  ...(objectives && { objectives: { dtype: "float32", shape: [objectives.length, "B"] } as const }),
  ...(margin && { margin: perPair }),
  ...(tie && { tie: perPair }),
});

/** The same for B groups of any number of responses; see `collateGroups`. */
export const groupSpec = (slots: Dim, layout: TokenLayout): Record<string, TensorSpec> => ({
  ...runSpec(slots, ["R", "T"], layout),
  ...(layout.apart && prefixed(runSpec(1, ["RP", "TP"], layout))),
});

function runSpec(slots: Dim, size: readonly [Dim, Dim], { encoder, pooling }: TokenLayout) {
  const tokens = tokenSpec(size);
  return {
    input_ids: tokens,
    position_ids: tokens,
    segment_ids: tokens,
    ...(!encoder && { branch_ids: tokens }),
    ...(pooling === "mean"
      ? { weights: { dtype: "float32", shape: [slots, "B", ...size] } satisfies TensorSpec }
      : { places: tokenSpec([slots, "B"]) }),
  };
}

const prefix = "prompt_";
const prefixed = <T>(entries: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(entries).map(([name, value]) => [prefix + name, value]));

/** The batch of the prompts, under the names that the other one has. */
export const promptBatch = <T>(batch: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(
    Object.entries(batch).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );

/** A group as what is read apart: its prompt alone, and its responses to nothing. */
const apartOf = ({ prompt, responses }: ResponseGroup) => ({
  prompt: { prompt: nothing, responses: [prompt] },
  responses: { prompt: nothing, responses },
});
const nothing = new Int32Array(0);

const sides = ["chosen", "rejected"] as const;
/** A prompt, and the responses to it that are scored. */
export interface ResponseGroup {
  readonly prompt: Int32Array;
  readonly responses: readonly Int32Array[];
}

const groupOf = (pair: Pair): ResponseGroup => ({
  prompt: pair.prompt,
  responses: sides.map((side) => pair[side]),
});

/** A run: a prompt, and the responses of its group that follow it. */
interface Run {
  readonly group: number;
  readonly prompt: Int32Array;
  readonly responses: readonly { readonly side: number; readonly ids: Int32Array }[];
}

const runsOf = ({ prompt, responses: list }: ResponseGroup, group: number, encoder: boolean): Run[] => {
  const responses = list.map((ids, side) => ({ side, ids }));
  const run = (those: Run["responses"]): Run => ({ group, prompt, responses: those });
  return encoder ? responses.map((response) => run([response])) : [run(responses)];
};

const sizeOf = ({ prompt, responses }: Run): number =>
  responses.reduce((size, { ids }) => size + ids.length, prompt.length);

const multipleOf = 8; // fewer lengths, fewer shapes

/** Runs by rows. */
function packed(runs: readonly Run[]): { rows: Run[][]; length: number } {
  const bySize = [...runs].sort((a, b) => sizeOf(b) - sizeOf(a));
  const length = Math.ceil(sizeOf(bySize[0] as Run) / multipleOf) * multipleOf;
  const rows: { runs: Run[]; room: number }[] = [];
  for (const run of bySize) {
    const size = sizeOf(run);
    const row = rows.find(({ room }) => room >= size);
    if (row) {
      row.runs.push(run);
      row.room -= size;
    } else rows.push({ runs: [run], room: length - size });
  }
  return { rows: rows.map((row) => row.runs), length };
}

/** Pairs as the rows of a plan. */
export const rewardRows = (pairs: RowList<Pair>, layout: PairLayout): Rows<Pair> => ({
  list: pairs,
  sequences: ({ prompt, chosen, rejected }) => [prompt, chosen, prompt, rejected],
  shape: (pair) => shapeOf(groupOf(pair), layout),
  items: () => 1,
  sources: ({ source }) => [source],
  collate: (rows) => collateRewards(rows, layout),
});

/** Token rows that a group brings to a batch, and their length. */
export function shapeOf(group: ResponseGroup, { encoder, apart }: TokenLayout) {
  const { prompt, responses } = apart ? apartOf(group) : { prompt: undefined, responses: group };
  const runs = [...(prompt ? runsOf(prompt, 0, encoder) : []), ...runsOf(responses, 0, encoder)];
  const sizes = runs.map(sizeOf);
  return { rows: sizes.length, length: Math.max(...sizes) };
}

/** The arrays of `rewardSpec`. */
export function collateRewards(pairs: readonly Pair[], layout: PairLayout): Record<string, HostArray> {
  const { margin, tie, objectives, language } = layout;
  const perPair = (of: (pair: Pair) => number) => hostArray("float32", [pairs.length], pairs.map(of));
  const tokens = collateGroups(pairs.map(groupOf), 2, layout);
  return {
    ...tokens,
    ...(language && collateChosen(pairs, tokens.places as HostArray)),
    ...(objectives && { objectives: collateObjectives(pairs, objectives) }),
    ...(margin && { margin: perPair((pair) => pair.margin ?? 0) }),
    ...(tie && { tie: perPair((pair) => (pair.tie ? 1 : 0)) }),
  };
}

/** The arrays of `groupSpec`. */
export function collateGroups(
  groups: readonly ResponseGroup[],
  slots: number,
  layout: TokenLayout,
): Record<string, HostArray> {
  if (!layout.apart) return collateRuns(groups, slots, layout);
  const apart = groups.map(apartOf);
  return {
    ...collateRuns(
      apart.map(({ responses }) => responses),
      slots,
      layout,
    ),
    ...prefixed(
      collateRuns(
        apart.map(({ prompt }) => prompt),
        1,
        layout,
      ),
    ),
  };
}

/**
 * Groups as token rows, with `places` [slots, groups], or `weights` [slots, groups, R, T] of a mean, for the responses
 * of each; a slot that a group does not fill reads the first token of the batch.
 */
function collateRuns(
  groups: readonly ResponseGroup[],
  slots: number,
  { encoder, pooling }: TokenLayout,
): Record<string, HostArray> {
  const count = groups.length;
  const { rows, length } = packed(groups.flatMap((group, i) => runsOf(group, i, encoder)));
  const size = rows.length * length;
  const names = ["input_ids", "position_ids", "segment_ids", "branch_ids"] as const;
  const [ids, positions, segments, branches] = names.map(() => new BigInt64Array(size)) as [
    BigInt64Array,
    BigInt64Array,
    BigInt64Array,
    BigInt64Array,
  ];
  const places = new BigInt64Array(slots * count);
  const weights = new Float32Array(pooling === "mean" ? slots * count * size : 0);
  for (const [r, runs] of rows.entries()) {
    let at = r * length;
    for (const [segment, { group, prompt, responses }] of runs.entries()) {
      const put = (list: Int32Array, from: number, branch: number) => {
        for (const [i, id] of list.entries()) {
          ids[at] = BigInt(id);
          positions[at] = BigInt(from + i);
          segments[at] = BigInt(segment + 1);
          branches[at++] = BigInt(branch);
        }
      };
      const start = at;
      put(prompt, 0, 0);
      for (const { side, ids: response } of responses) {
        const begin = at;
        put(response, prompt.length, encoder ? 0 : side + 1);
        const row = side * count + group;
        places[row] = BigInt(pooling === "cls" ? start : at - 1);
        if (pooling !== "mean") continue;
        const share = 1 / (prompt.length + response.length);
        weights.fill(share, row * size + start, row * size + start + prompt.length);
        weights.fill(share, row * size + begin, row * size + at);
      }
    }
  }
  const shape = [rows.length, length];
  return {
    input_ids: hostArray("int64", shape, ids),
    position_ids: hostArray("int64", shape, positions),
    segment_ids: hostArray("int64", shape, segments),
    ...(!encoder && { branch_ids: hostArray("int64", shape, branches) }),
    ...(pooling === "mean"
      ? { weights: hostArray("float32", [slots, count, ...shape], weights) }
      : { places: hostArray("int64", [slots, count], places) }),
  };
}
