/**
 * Odds ratio preference optimisation (Hong et al. 2024): supervised fine-tuning on the chosen responses, and beside it
 * a term that makes their odds greater than those of the rejected ones. It needs neither a reference nor an SFT stage.
 *
 *     L = NLL(x, chosen) - beta 1/n sum log sigmoid(log odds(chosen) - log odds(rejected))              eq. 6, 7
 *     odds(y) = p(y) / (1 - p(y))          log p(y) = log pi(y|x) / |y|
 *
 * NLL is the mean over all tokens of prompts and chosen responses of the micro-batch, as in TRL and the authors' code;
 * beta is the paper's lambda.
 */
import {
  add,
  div,
  expand,
  log,
  logSigmoid,
  maximum,
  mul,
  neg,
  sub,
  sum,
  type Tensor,
  type Tree,
  tanh,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { TrainError } from "./errors.ts";
import type { FitResult } from "./loop/fit.ts";
import type { Loss } from "./loop/step.ts";
import { withDefaults } from "./loop/trainer-options.ts";
import { openPairs, type PairHooks, type PairTrainerOptions, pairDefaults } from "./preference/pair-data.ts";
import { columnsOf, pairRun, responseLogProbs } from "./preference/preference-batch.ts";
import { rewardMetrics } from "./preference/reward-metrics.ts";
import { trainOnRuns } from "./preference/run-trainer.ts";

export interface OrpoLossOptions {
  /** Weight of the odds ratio; the paper's lambda. */
  readonly beta: number;
}

export interface OrpoOptions extends PairTrainerOptions, Partial<OrpoLossOptions> {}

/** Defaults, as the help texts print them. */
export const orpoDefaults = { ...pairDefaults, beta: 0.1 } as const satisfies Partial<OrpoOptions>;

/** The prompt's tokens count too. */
export const orpoBatches = { prompts: true } as const;

const smallest = 1e-30;

/**
 * log(1 - e^x) for x <= 0. With t = tanh(x / 2), 1 - e^x is -2 t / (1 - t), which is exact near 0, where 1 - e^x is not,
 * and far below.
 */
export function log1mexp(x: Tensor): Tensor {
  const t = tanh(mul(x, 0.5));
  return sub(log(maximum(mul(t, -2), smallest)), log(sub(1, t)));
}

/** Loss over a batch of `runSpec(orpoBatches)` and `num_items`, the pairs of the whole step. */
export const orpoLoss =
  (config: ModelConfig, { beta }: OrpoLossOptions): Loss =>
  (params: Tree<Tensor>, batch: Tree<Tensor>) => {
    type Three = [Tensor, Tensor, Tensor]; // of the chosen response, the rejected one, and the prompt
    const sums = columnsOf(responseLogProbs(config, params, batch), 3) as Three;
    const lengths = columnsOf(batch.lengths as Tensor, 3) as Three;
    const mean = (x: Tensor) => div(sum(x), batch.num_items as Tensor);
    const [chosen, rejected] = [0, 1].map((i) =>
      div(sums[i] as Tensor, maximum(lengths[i] as Tensor, 1)),
    ) as [Tensor, Tensor];

    const logOdds = sub(sub(chosen, log1mexp(chosen)), sub(rejected, log1mexp(rejected)));
    const ratio = logSigmoid(logOdds);
    const tokens = sum(add(lengths[0], lengths[2]));
    const nll = mean(expand(neg(div(sum(add(sums[0], sums[2])), maximum(tokens, 1))), chosen.shape));
    const logps = { chosen, rejected };
    return {
      loss: sub(nll, mul(mean(ratio), beta)),
      metrics: {
        ...rewardMetrics({ chosen: mul(chosen, beta), rejected: mul(rejected, beta) }, logps, mean),
        nll_loss: nll,
        log_odds_ratio: mean(ratio),
        log_odds_chosen: mean(logOdds),
      },
    };
  };

/**
 * Trains a policy on preferences without a reference, demonstrations and comparisons at once.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await orpo({ model: await loadModel("my-model"), data: "pairs.jsonl", beta: 0.1 });
 */
export async function orpo(options: OrpoOptions, listeners: PairHooks = {}): Promise<FitResult> {
  const o = withDefaults(orpoDefaults, options);
  if (!(o.beta >= 0)) throw new TrainError(`beta: a number of at least 0 is required, got ${o.beta}`);
  const { model, maxLength, train, held, hooks } = await openPairs("orpo", o, options, listeners);
  return trainOnRuns(
    { train: train.pairs, held: held?.pairs },
    {
      model,
      loss: orpoLoss(model.config, o),
      runOf: pairRun,
      batches: orpoBatches,
      fingerprint: { maxLength, beta: o.beta },
    },
    o,
    hooks,
  );
}
