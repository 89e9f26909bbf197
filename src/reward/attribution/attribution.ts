/**
 * Which tokens a score comes from.
 *
 *     gradient times input     a_t = e_t . dr/de_t           (Simonyan et al. 2013; Shrikumar et al. 2016)
 *     leave one out            a_t = r(x) - r(x without t)    (Zeiler and Fergus 2014; Li et al. 2016)
 *
 * e_t is the embedding of token t, r the normalised score. The first is one pass forward and back: how the score begins
 * to change when a token's embedding is scaled. The second is one pass for each token, and says what really happens when
 * a token is not there, though such a text may be like none in training; a row of one token has 0.
 *
 * Neither divides the score among the tokens: the values add up to it only where it is linear in the embeddings and
 * nothing but them (no constant), which no transformer's is.
 */
import {
  addAll,
  compile,
  type Dim,
  type Engine,
  gradientOf,
  type HostArray,
  mul,
  reshape,
  slice,
  sum,
  unflatten,
} from "../../graph/index.ts";
import { embeddedTokens } from "../../models/embedded-tokens.ts";
import { parameterSpecs, scoresOf } from "../../models/model.ts";
import { readsApart, rewardEncoderOf } from "../../models/towers.ts";
import { normalisationsOf } from "../normalisation.ts";
import { RewardError } from "../reward.ts";
import { pooledStates, type RowBatch, rowBatchSpec } from "../reward-model.ts";
import { paddedRows } from "../rows.ts";
import { createHeadScorer, headNames, type ScoredModel } from "../scorer.ts";

export const attributions = ["gradient", "leave_one_out"] as const;
export type Attribution = (typeof attributions)[number];

export interface AttributionOptions {
  /** Which score of a model with several; default: the overall one, or the mean of all. */
  readonly head?: string;
  readonly batchSize?: number;
}

/** A value for each token of a row, in its order, in units of the normalised score; they do not add up to the score. */
export interface Attributor {
  attribute(rows: readonly (readonly number[])[], method: Attribution): Promise<number[][]>;
  dispose(): Promise<void>;
}

/**
 * Opens a reward model for attribution.
 *
 * @throws RewardError when the model has no score, or no such head, or reads prompt and response apart
 */
export async function createAttributor(
  engine: Engine,
  model: ScoredModel,
  { head, batchSize = 8 }: AttributionOptions = {},
): Promise<Attributor> {
  const { config, parameters, name } = model;
  if (readsApart(config))
    throw new RewardError(
      `${name}: attribution needs a model that reads prompt and response as one row (joint), this is ${rewardEncoderOf(config)}`,
    );
  const scorer = await createHeadScorer(engine, model, { batchSize });
  const weights = headWeights(model, head);
  const program = await engine.load(
    compile(
      (params, batch) => {
        const { input_ids, lengths } = batch as unknown as RowBatch;
        const [rows, length] = input_ids.shape as [Dim, Dim];
        const tokens = embeddedTokens(config, params, input_ids);
        const states = pooledStates(config, tokens.params, { input_ids: tokens.input_ids, lengths });
        const scores = scoresOf(config, tokens.params, states); // [R, K]
        const all = addAll(weights.map((weight, k) => mul(sum(slice(scores, 1, k, k + 1)), weight)));
        const [slope] = gradientOf(all, [tokens.embeddings]);
        return { parts: reshape(sum(mul(tokens.embeddings, slope as never), -1), [rows, length]) };
      },
      [parameterSpecs(config), rowBatchSpec()] as const,
      { provider: engine.provider, freeze: { 0: unflatten(parameters) } },
    ),
  );
  const methods: Record<Attribution, (rows: readonly (readonly number[])[]) => Promise<number[][]>> = {
    async gradient(rows) {
      const out: number[][] = [];
      for (let from = 0; from < rows.length; from += batchSize) {
        const chosen = rows.slice(from, from + batchSize);
        const { data, shape } = (await engine.run(program, [{}, paddedRows(chosen)]))
          .parts as HostArray<"float32">;
        const length = shape[1] as number;
        for (const [r, row] of chosen.entries())
          out.push([...data.slice(r * length, r * length + row.length)]);
      }
      return out;
    },
    async leave_one_out(rows) {
      const out: number[][] = [];
      for (const row of rows) {
        if (row.length < 2) {
          out.push(row.map(() => 0));
          continue;
        }
        const without = row.map((_, t) => [...row.slice(0, t), ...row.slice(t + 1)]);
        const heads = await scorer.scores([row, ...without], { raw: true });
        const score = (i: number) =>
          heads.reduce((total, of, k) => total + (weights[k] as number) * (of[i] as number), 0);
        out.push(row.map((_, t) => score(0) - score(t + 1)));
      }
      return out;
    },
  };
  return {
    attribute: (rows, method) => methods[method](rows),
    async dispose() {
      await engine.unload(program);
      await scorer.dispose();
    },
  };
}

/** What each raw score of a model counts in the one that is looked at. */
function headWeights({ config, name }: ScoredModel, head: string | undefined): number[] {
  const names = headNames(config);
  const stds = normalisationsOf(config).map(({ std }) => std);
  const wanted = head ?? (config.raw.objectives === undefined ? undefined : "overall");
  if (wanted !== undefined && !names.includes(wanted))
    throw new RewardError(`${name}: there is no score ${wanted}; there are ${names.join(", ")}`, {
      wrongUsage: true,
    });
  return names.map((own, k) =>
    wanted === undefined
      ? 1 / (names.length * (stds[k] as number))
      : own === wanted
        ? 1 / (stds[k] as number)
        : 0,
  );
}
