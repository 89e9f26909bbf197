/** The options of on-policy methods without a critic: names and defaults of TRL's GRPOConfig and RLOOConfig in camelCase. */
import { type PpoOptions, ppoDefaults, settingsOf } from "./ppo-options.ts";

/** What only a method with a critic, or with PPO's own loss, has. */
type PpoOnly =
  | "critic"
  | "sharedBackbone"
  | "criticLearningRate"
  | "cliprange"
  | "cliprangeValue"
  | "vfCoef"
  | "gamma"
  | "lam"
  | "whitenRewards"
  | "numPpoEpochs"
  | "klIn"
  | "klCoef"
  | "responseLength"
  | "policyLoss";

/** An iteration learns from `batchSize * gradientAccumulation` responses, several of them to each prompt. */
export interface GroupOptions extends Omit<PpoOptions, PpoOnly> {
  /** Passes over the responses of an iteration. */
  readonly numIterations?: number | undefined;
  /** Weight of the KL to the reference; with 0 there is none, and no reference is computed. */
  readonly beta?: number | undefined;
  /** The ratio is clipped to 1 - epsilon. */
  readonly epsilon?: number | undefined;
  /** And to 1 + epsilonHigh; by default the same. */
  readonly epsilonHigh?: number | undefined;
  /** Tokens of a response, at most. */
  readonly maxCompletionLength?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const groupDefaults = {
  ...ppoDefaults,
  learningRate: 1e-6,
  batchSize: 32,
  optimizer: "adamw",
  adamEpsilon: 1e-8,
  epsilonPlacement: "pytorch",
  numGenerations: 8,
  numIterations: 1,
  beta: 0,
  epsilon: 0.2,
  maxCompletionLength: 256,
} as const;

/** A method's options over its defaults, under the names of the settings that all on-policy methods share. */
export function groupSettings<O extends GroupOptions, D extends object>(options: O, defaults: D) {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const own = { ...groupDefaults, ...defaults, ...given } as unknown as Omit<O, keyof D> & Filled<O, D>;
  const { numIterations, beta, epsilon, maxCompletionLength } = own as unknown as Required<GroupOptions>;
  const o = settingsOf<PpoOptions>({
    ...(own as unknown as PpoOptions),
    numPpoEpochs: numIterations,
    klCoef: beta,
    cliprange: epsilon,
    responseLength: maxCompletionLength,
  });
  return { own, o };
}

/** Options that have a default are there. */
type Filled<O, D> = { readonly [K in keyof D & keyof O]: NonNullable<O[K]> };
