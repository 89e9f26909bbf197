/**
 * How a reward model reads a prompt and the response to it: `reward_encoder` of config.json.
 *
 *     joint       one row, in which the response's tokens see the prompt's (a cross-encoder); nothing is written
 *     separate    apart, each by a backbone of its own
 *     siamese     apart, both by the same backbone (Bromley et al. 1993)
 *
 * The second backbone of `separate`, which reads prompts, has its parameters under `prompt_encoder.`.
 */
import type { Tensor, Tree } from "../graph/index.ts";
import type { ModelConfig } from "./config/config.ts";
import { CheckpointError } from "./errors.ts";

export const rewardEncoders = ["joint", "separate", "siamese"] as const;
export type RewardEncoder = (typeof rewardEncoders)[number];

/**
 * How the model reads.
 *
 * @throws CheckpointError for a name that is none
 */
export function rewardEncoderOf({ raw }: Pick<ModelConfig, "raw">): RewardEncoder {
  const name = (raw.reward_encoder ?? "joint") as RewardEncoder;
  if (!rewardEncoders.includes(name))
    throw new CheckpointError(
      `config.json: reward_encoder: one of ${rewardEncoders.join(", ")} is required, got ${JSON.stringify(name)}`,
    );
  return name;
}

/** Whether prompt and response are read apart. */
export const readsApart = (config: Pick<ModelConfig, "raw">): boolean => rewardEncoderOf(config) !== "joint";

/** Numbers that a score is read from: a hidden state, or what two of them are together (u, v, |u - v|, u v). */
export const featureWidth = (config: Pick<ModelConfig, "raw" | "hiddenSize">): number =>
  (readsApart(config) ? 4 : 1) * config.hiddenSize;

const branch = "prompt_encoder";

/** Shapes of the second backbone, under its own names. */
export const promptEncoderShapes = (
  config: Pick<ModelConfig, "raw">,
  backbone: Readonly<Record<string, number[]>>,
): Record<string, number[]> =>
  rewardEncoderOf(config) === "separate"
    ? Object.fromEntries(Object.entries(backbone).map(([name, shape]) => [`${branch}.${name}`, shape]))
    : {};

/** The parameter of the first backbone that one of the second begins as; undefined for any other name. */
export const promptEncoderSource = (name: string): string | undefined =>
  name.startsWith(`${branch}.`) ? name.slice(branch.length + 1) : undefined;

/** The parameters that read prompts. */
export const promptParameters = (config: Pick<ModelConfig, "raw">, params: Tree<Tensor>): Tree<Tensor> =>
  rewardEncoderOf(config) === "separate"
    ? ((params as Record<string, Tree<Tensor>>)[branch] as Tree<Tensor>)
    : params;
