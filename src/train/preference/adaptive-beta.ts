/**
 * DPO at a KL that is asked for: after every few steps the policy answers some prompts, its KL to the reference is
 * measured along these answers, and beta is turned.
 *
 *     e = clip(log(KL / target), -1, 1)          beta <- clip(beta exp(gain e), beta_min, beta_max)
 *
 * The KL that DPO reaches falls as beta grows, so beta rises when the KL is above the target and falls when it is
 * below. KL is KL(pi || ref) in nats a response, exact at every token of the answers.
 */
import type { RowList } from "../../data/list.ts";
import { klBetween, sampleResponses } from "../../evaluate/kl-between.ts";
import { permutation } from "../../graph/random.ts";
import { type Model, merged } from "../../models/load.ts";
import { TrainError } from "../errors.ts";
import type { FitDials } from "../loop/dials.ts";
import type { Run } from "./preference-batch.ts";

export interface AdaptiveBetaOptions {
  /** The KL to hold, in nats a response; without it beta stays as it is. */
  readonly targetKl?: number;
  /** Bounds of beta. */
  readonly betaMin?: number;
  readonly betaMax?: number;
  /** Steps between two measurements. */
  readonly klSteps?: number;
  /** Prompts that are answered for one. */
  readonly klPrompts?: number;
}

export const adaptiveDefaults = {
  betaMin: 0.01,
  betaMax: 10,
  klSteps: 10,
  klPrompts: 64,
} as const satisfies AdaptiveBetaOptions;

/** Change of log beta for KL = e target. */
const gain = 0.25;

/** The next beta. */
export const nextBeta = (
  beta: number,
  kl: number,
  { targetKl, betaMin, betaMax }: Required<Pick<AdaptiveBetaOptions, "targetKl" | "betaMin" | "betaMax">>,
): number => {
  const error = Math.max(-1, Math.min(1, Math.log(Math.max(kl, 1e-9) / targetKl)));
  return Math.max(betaMin, Math.min(betaMax, beta * Math.exp(gain * error)));
};

/** @throws TrainError for figures that cannot be meant */
export function checkAdaptive(
  o: Required<AdaptiveBetaOptions> & { readonly beta: number; readonly referenceFree?: boolean },
): void {
  const fail = (text: string): never => {
    throw new TrainError(text);
  };
  if (!(o.targetKl > 0)) fail(`target_kl: nats a response above 0 are required, got ${o.targetKl}`);
  if (!(o.betaMin > 0 && o.betaMin < o.betaMax))
    fail(`beta_min: a number above 0 and below beta_max is required, got ${o.betaMin} and ${o.betaMax}`);
  if (!(o.beta >= o.betaMin && o.beta <= o.betaMax))
    fail(`beta: a number from beta_min ${o.betaMin} to beta_max ${o.betaMax} is required, got ${o.beta}`);
  if (o.referenceFree) fail("target_kl: a reference is required, reference_free leaves it out");
}

export interface AdaptivePlace {
  readonly refModel: Model;
  readonly runs: RowList<Run>;
  readonly seed: number;
  readonly onWarning?: ((text: string) => void) | undefined;
}

/** The dials `beta` and `kl` of a batch; the latter is what was measured last, 0 before. */
export function adaptiveBeta(
  o: Required<AdaptiveBetaOptions> & { readonly beta: number },
  { refModel, runs, seed, onWarning }: AdaptivePlace,
): FitDials {
  const { prompts, longest } = askedOf(runs, o.klPrompts, seed);
  let warned = false;
  return {
    start: { beta: o.beta, kl: 0 },
    async next({ beta = o.beta, kl: before = 0 }, { step, engine, model }) {
      if (step % o.klSteps !== 0) return { beta, kl: before };
      const policy = merged(await model());
      const room = policy.config.maxPositions - Math.max(...prompts.map((ids) => ids.length));
      const maxNewTokens = Math.max(1, Math.min(longest, room));
      const answers = await sampleResponses(engine, policy, prompts, { seed: seed + step, maxNewTokens });
      const found = await klBetween(engine, policy, refModel, answers, { n: 2 });
      const kl = found.forward.exact.perResponse.mean;
      const next = nextBeta(beta, kl, o);
      const isAtBound = next === o.betaMin || next === o.betaMax;
      if (isAtBound && next === beta && !warned) {
        warned = true;
        const bound = next === o.betaMax ? "beta_max" : "beta_min";
        onWarning?.(
          `step ${step}: beta is at its bound ${bound} ${next}, and the KL ${kl.toFixed(3)} is still ` +
            `${kl > o.targetKl ? "above" : "below"} target_kl ${o.targetKl}; move the bound, or the target`,
        );
      }
      return { beta: next, kl };
    },
  };
}

/** Different prompts, drawn by the seed, and the tokens of the longest response. */
function askedOf(runs: RowList<Run>, count: number, seed: number) {
  const prompts = new Map<string, Int32Array>();
  let longest = 1;
  for (const { prompt, responses } of runs) {
    for (const ids of responses) longest = Math.max(longest, ids.length);
    prompts.set(prompt.join(), prompt);
  }
  const all = [...prompts.values()].filter((ids) => ids.length > 0);
  const order = [...permutation(all.length, seed, 7)];
  const chosen = Array.from(
    { length: count },
    (_, i) => all[order[i % order.length] as number] as Int32Array,
  );
  return { prompts: chosen, longest };
}
