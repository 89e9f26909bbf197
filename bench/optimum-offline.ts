/**
 * The offline methods on a problem whose optimum is known: what each is given, and whether pi* is what its loss asks for.
 *
 * Preferences are drawn from the problem's own rewards: pairs by Bradley-Terry, rankings by Plackett-Luce, labels by
 * sigmoid(r). With enough of them the minimum of a loss with `exact` is pi_ref e^(r / beta) / Z. The others aim
 * elsewhere; their J is told all the same, at the strengths that are given here.
 */
import type { Engine } from "../src/graph/index.ts";
import { uniform } from "../src/graph/random.ts";
import { drawLabels, drawPreferences, drawRankings, type LettersProblem } from "../src/lab/index.ts";
import type { Model } from "../src/models/index.ts";
import { bco } from "../src/train/bco.ts";
import { cpo } from "../src/train/cpo.ts";
import { dpo } from "../src/train/dpo.ts";
import type { DpoOptions } from "../src/train/dpo-options.ts";
import { kto } from "../src/train/kto.ts";
import { listwise } from "../src/train/listwise.ts";
import { orpo } from "../src/train/orpo.ts";
import { simpo } from "../src/train/simpo.ts";

export interface OfflineMethod {
  /** Whether the minimum of the loss is the closed form. */
  readonly exact: boolean;
  train(engine: Engine, problem: LettersProblem, seed: number, count: number): Promise<Model>;
}

const beta = 1;
const batchSize = 256;
const course = { learningRate: 3e-3, lrSchedulerType: "cosine", numEpochs: 2 } as const;

const of = ({ text }: LettersProblem, rows: readonly (readonly number[])[], i: number) =>
  text(rows[i] as readonly number[]);
/** Responses without an end are as long as this lets them be; the end-of-text that rows get is cut off again. */
const settings = (engine: Engine, { model, prompts, maxLength }: LettersProblem, seed: number) => ({
  ...{ model, engine, seed, batchSize, ...course },
  maxLength: (prompts[0] as readonly number[]).length + maxLength,
});

/** Pairs, of which a share is turned around. */
function pairsOf(problem: LettersProblem, seed: number, n: number, turned = 0) {
  const { prompts, responses, reference } = problem;
  return drawPreferences(problem, reference, { n, seed }).map(({ prompt, chosen, rejected }, i) => {
    const isTurned = uniform(seed, i, -2) < turned;
    const [a, b] = isTurned ? [rejected, chosen] : [chosen, rejected];
    return {
      prompt: of(problem, prompts, prompt),
      chosen: of(problem, responses, a),
      rejected: of(problem, responses, b),
    };
  });
}

type Loss = Pick<DpoOptions, "lossType" | "lossWeights" | "beta" | "labelSmoothing" | "fDivergenceType">;

const dpoWith = (options: Loss, exact = false, turned = 0): OfflineMethod => ({
  exact,
  async train(engine, problem, seed, n) {
    const data = pairsOf(problem, seed, n, turned);
    return (await dpo({ ...settings(engine, problem, seed), data, beta, ...options })).model;
  },
});

const onPairs = (
  train: (
    options: ReturnType<typeof settings> & { data: ReturnType<typeof pairsOf> },
  ) => Promise<{ model: Model }>,
): OfflineMethod => ({
  exact: false,
  train: async (engine, problem, seed, n) =>
    (await train({ ...settings(engine, problem, seed), data: pairsOf(problem, seed, n) })).model,
});

const onLabels = (
  train: (
    options: ReturnType<typeof settings> & { data: Record<string, unknown>[] },
  ) => Promise<{ model: Model }>,
  exact = false,
): OfflineMethod => ({
  exact,
  async train(engine, problem, seed, n) {
    const { prompts, responses, reference } = problem;
    const data = drawLabels(problem, reference, { n: 2 * n, seed }).map(({ prompt, response, label }) => ({
      prompt: of(problem, prompts, prompt),
      completion: of(problem, responses, response),
      label,
    }));
    return (await train({ ...settings(engine, problem, seed), batchSize: 2 * batchSize, data })).model;
  },
});

/** By the names of the bench's cases. */
export const offlineMethods: Readonly<Record<string, OfflineMethod>> = {
  dpo: dpoWith({}, true),
  robust: dpoWith({ lossType: "robust", labelSmoothing: 0.1 }, true, 0.1),
  listwise: {
    exact: true,
    async train(engine, problem, seed, n) {
      const { prompts, responses, reference } = problem;
      const size = 4;
      const data = drawRankings(problem, reference, { n: n / 2, size, seed }).map((row) => ({
        prompt: of(problem, prompts, row.prompt),
        completions: row.responses.map((y) => of(problem, responses, y)),
        ranks: row.responses.map((_, i) => i + 1),
      }));
      return (await listwise({ ...settings(engine, problem, seed), batchSize: 128, data, beta })).model;
    },
  },
  bco: onLabels((o) => bco({ ...o, beta }), true),
  kto: onLabels((o) => kto({ ...o, beta })),
  hinge: dpoWith({ lossType: "hinge" }),
  ipo: dpoWith({ lossType: "ipo" }),
  sigmoid_norm: dpoWith({ lossType: "sigmoid_norm" }),
  exo_pair: dpoWith({ lossType: "exo_pair", labelSmoothing: 0.1 }),
  nca_pair: dpoWith({ lossType: "nca_pair" }),
  bco_pair: dpoWith({ lossType: "bco_pair" }),
  sppo_hard: dpoWith({ lossType: "sppo_hard" }),
  aot: dpoWith({ lossType: "aot" }),
  aot_unpaired: dpoWith({ lossType: "aot_unpaired" }),
  apo_zero: dpoWith({ lossType: "apo_zero" }),
  apo_down: dpoWith({ lossType: "apo_down" }),
  discopop: dpoWith({ lossType: "discopop" }),
  sft: dpoWith({ lossType: "sft" }),
  forward_kl: dpoWith({ fDivergenceType: "forward_kl" }),
  js_divergence: dpoWith({ fDivergenceType: "js_divergence" }),
  alpha_divergence: dpoWith({ fDivergenceType: "alpha_divergence" }),
  cpo: onPairs((o) => cpo({ ...o, beta })),
  simpo: onPairs((o) => simpo({ ...o })),
  orpo: onPairs((o) => orpo({ ...o, beta })),
};
