/**
 * Pairs as batches of a reward model, with little padding.
 *
 * A decoder that is scored at the last token reads ragged rows (src/data/packed-rows.ts): the real tokens alone, a prompt
 * once for both responses where that saves work, and of the last layer the hidden states that are scored.
 *
 * All other models read a grid. For a decoder a pair is one run of tokens there, the prompt once, and behind it both
 * responses as branches that do not see each other. An encoder's tokens see what follows them, so each response is a run
 * with its own prompt. Runs fill rows that are as long as the longest one, first fit; segments keep them apart.
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
import { packGroups, packRuns, raggedArrays, raggedRows, raggedSpecs } from "../../data/packed-rows.ts";
import type { Pair } from "../../data/pair.ts";
import { type Dim, type HostArray, hostArray, type TensorSpec, type Tree } from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { families } from "../../models/families/index.ts";
import { tokenSpec } from "../../models/model.ts";
import { readsApart } from "../../models/towers.ts";
import { type Pooling, poolingOf } from "../../reward/pooling.ts";
import type { Rows } from "../loop/plan.ts";
import { languageSpec } from "./language-term.ts";
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
  /** Both responses follow one prompt, whatever it costs: a gradient by its tokens is then that of the pair. */
  readonly onePrompt?: boolean;
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

const readsRagged = ({ encoder, pooling, apart }: TokenLayout): boolean =>
  !encoder && !apart && pooling === "last";

/**
 * B pairs as ragged rows, or in R rows of T tokens. `places` are those of the hidden states that are scored, among those
 * that are read or among [R T]: [0, b] that of the chosen response of pair b and [1, b] that of the rejected one; a mean
 * has `weights` instead.
 */
export const rewardSpec = ({
  margin,
  tie,
  objectives,
  language,
  ...layout
}: PairLayout): Tree<TensorSpec> => ({
  ...groupSpec(2, layout),
  ...(language && languageSpec),
  ...(objectives && { objectives: { dtype: "float32", shape: [objectives.length, "B"] } as const }),
  ...(margin && { margin: perPair }),
  ...(tie && { tie: perPair }),
});

/** The same for B groups of any number of responses; see `collateGroups`. */
export const groupSpec = (slots: Dim, layout: TokenLayout): Tree<TensorSpec> =>
  readsRagged(layout)
    ? { ragged: raggedSpecs, places: tokenSpec([slots, "B"]) }
    : {
        ...runSpec(slots, ["R", "T"], layout),
        ...(layout.apart && prefixed(runSpec(1, ["RP", "TP"], layout))),
      };

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
export function collateRewards(pairs: readonly Pair[], layout: PairLayout): Tree<HostArray> {
  const { margin, tie, objectives, language = false, onePrompt = false } = layout;
  const perPair = (of: (pair: Pair) => number) => hostArray("float32", [pairs.length], pairs.map(of));
  return {
    ...collateGroups(pairs.map(groupOf), 2, layout, { language, onePrompt }),
    ...(objectives && { objectives: collateObjectives(pairs, objectives) }),
    ...(margin && { margin: perPair((pair) => pair.margin ?? 0) }),
    ...(tie && { tie: perPair((pair) => (pair.tie ? 1 : 0)) }),
  };
}

/** The arrays of `groupSpec`; with `language` also those of `languageSpec`, of ragged rows. */
export function collateGroups(
  groups: readonly ResponseGroup[],
  slots: number,
  layout: TokenLayout,
  { language = false, onePrompt = false } = {},
): Tree<HostArray> {
  if (readsRagged(layout)) return collateRagged(groups, slots, { language, onePrompt });
  if (!layout.apart) return collateGrid(groups, slots, layout);
  const apart = groups.map(apartOf);
  return {
    ...collateGrid(
      apart.map(({ responses }) => responses),
      slots,
      layout,
    ),
    ...prefixed(
      collateGrid(
        apart.map(({ prompt }) => prompt),
        1,
        layout,
      ),
    ),
  };
}

const int64List = (values: readonly number[], shape = [values.length]) => hostArray("int64", shape, values);

/** Groups as ragged rows; a slot that a group does not fill reads what is read first. */
function collateRagged(
  groups: readonly ResponseGroup[],
  slots: number,
  { language, onePrompt }: Required<Pick<PairLayout, "language" | "onePrompt">>,
): Tree<HostArray> {
  const count = groups.length;
  const { packed, parts } = packGroups(
    groups.map(({ prompt, responses }) => ({ prompt, branches: responses })),
    { always: onePrompt },
  );
  const reads = new Map<number, number>();
  const read = (token: number): number => {
    const place = reads.get(token) ?? reads.size;
    reads.set(token, place);
    return place;
  };
  const places = new Array<number>(slots * count).fill(0);
  const chosen: Record<"places" | "tokens" | "weights", number[]> = { places: [], tokens: [], weights: [] };
  for (const [k, { row, columns }] of parts.entries()) {
    const { prompt, responses } = groups[row] as ResponseGroup;
    const starts = packed.starts[k] as (typeof packed.starts)[number];
    const before = starts.prompt + prompt.length - 1; // the prompt's last token
    for (const [b, column] of columns.entries()) {
      const ids = responses[column] as Int32Array;
      /** Response token t, and the one before it. */
      const at = (t: number) => (t < 0 ? before : (starts.branches[b] as number) + t);
      places[column * count + row] = read(at(ids.length - 1));
      if (!language || column > 0) continue;
      for (const [t, id] of ids.entries()) {
        if (t === 0 && prompt.length === 0) continue; // what follows nothing is chosen by nothing
        chosen.places.push(read(at(t - 1)));
        chosen.tokens.push(id);
        chosen.weights.push(1 / ids.length);
      }
    }
  }
  return {
    ragged: raggedArrays(raggedRows(packed, [...reads.keys()])),
    places: int64List(places, [slots, count]),
    ...(language && {
      chosen_places: int64List(chosen.places),
      chosen_tokens: int64List(chosen.tokens),
      chosen_weights: hostArray("float32", [chosen.weights.length], chosen.weights),
    }),
  };
}

/**
 * Groups in rows of a grid, with `places` [slots, groups], or `weights` [slots, groups, R, T] of a mean, for the responses
 * of each; a slot that a group does not fill reads the first token of the batch.
 */
function collateGrid(
  groups: readonly ResponseGroup[],
  slots: number,
  { encoder, pooling }: TokenLayout,
): Record<string, HostArray> {
  const count = groups.length;
  const runs = groups.flatMap((group, i) => runsOf(group, i, encoder));
  const packed = packRuns(
    runs.map(({ prompt, responses }) => ({ prompt, branches: responses.map(({ ids }) => ids) })),
    { multipleOf },
  );
  const shape = [packed.rows, packed.length];
  const size = packed.rows * packed.length;
  const grid = (list: Int32Array) => {
    const data = new BigInt64Array(size);
    for (const [token, value] of list.entries()) data[packed.places[token] as number] = BigInt(value);
    return hostArray("int64", shape, data);
  };
  const places = new Array<number>(slots * count).fill(0);
  const weights = new Float32Array(pooling === "mean" ? slots * count * size : 0);
  for (const [k, { group, prompt, responses }] of runs.entries()) {
    const starts = packed.starts[k] as (typeof packed.starts)[number];
    const start = packed.places[starts.prompt] as number; // a run's places follow each other
    for (const [b, { side, ids }] of responses.entries()) {
      const begin = start + (starts.branches[b] as number) - starts.prompt;
      const row = side * count + group;
      places[row] = pooling === "cls" ? start : begin + ids.length - 1;
      if (pooling !== "mean") continue;
      const share = 1 / (prompt.length + ids.length);
      weights.fill(share, row * size + start, row * size + start + prompt.length);
      weights.fill(share, row * size + begin, row * size + begin + ids.length);
    }
  }
  return {
    input_ids: grid(packed.ids),
    position_ids: grid(packed.positions),
    segment_ids: grid(packed.segments),
    ...(!encoder && { branch_ids: grid(packed.branches) }),
    ...(pooling === "mean"
      ? { weights: hostArray("float32", [slots, count, ...shape], weights) }
      : { places: int64List(places, [slots, count]) }),
  };
}
