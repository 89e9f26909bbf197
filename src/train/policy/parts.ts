/**
 * Policy and critic of an on-policy trainer as parameter trees: what trains of them, what stays frozen beside it, and how a program
 * finds both.
 *
 * A program's weights are `{params: {policy, critic}, frozen: {policy, critic}}`. Under LoRA the frozen branches hold
 * the base, which policy, critic and reference share: an array that several of them have is in the engine once.
 */

import type { TokenFigure } from "../../evaluate/token-pass.ts";
import {
  type Engine,
  type HostArray,
  mapTree,
  type Resident,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { Parameters } from "../../models/load.ts";
import { hiddenStates } from "../../models/model.ts";
import { specsOf, type Trainable } from "../loop/trainable.ts";
import type { Critic } from "./critic.ts";

export interface PolicyParts {
  readonly config: ModelConfig;
  readonly policy: Trainable;
  /** Only of methods that learn values. */
  readonly critic?: Critic | undefined;
}

export type Weights<L> = Tree<L> & { readonly params: Tree<L>; readonly frozen: Tree<L> };

const branch = <L>(weights: Tree<L>, part: string, name: string): Tree<L> =>
  ((weights[part] as Tree<L> | undefined)?.[name] ?? {}) as Tree<L>;

/** The policy's whole tree. */
export const policyOf =
  ({ policy }: PolicyParts) =>
  (weights: Tree<Tensor>): Tree<Tensor> =>
    policy.whole(branch(weights, "params", "policy"), { frozen: branch(weights, "frozen", "policy") });

/** The critic's whole tree; of a shared backbone the head alone. */
export const criticOf =
  ({ critic }: PolicyParts) =>
  (weights: Tree<Tensor>): Tree<Tensor> =>
    (critic as Critic).trainable.whole(branch(weights, "params", "critic"), {
      frozen: branch(weights, "frozen", "critic"),
    });

/** What the policy was before it was adapted, which under LoRA is the reference. */
export const baseOf = (weights: Tree<Tensor>): Tree<Tensor> => branch(weights, "frozen", "policy");

/** V before each response token. */
export const valuesFigure =
  (parts: PolicyParts): TokenFigure =>
  (weights, { ragged }) =>
    (parts.critic as Critic).values(criticOf(parts)(weights), ragged, () =>
      hiddenStates(parts.config, policyOf(parts)(weights), ragged),
    );

/** Of the policy, and of the critic where there is one. */
export type ByPart<T> = { readonly policy: T; readonly critic?: T };

/** What trains, as it is at the start. */
export const trainedParameters = ({ policy, critic }: PolicyParts): ByPart<Parameters> => ({
  policy: policy.parameters,
  ...(critic && { critic: critic.trainable.parameters }),
});

export const trainedSpecs = (parts: PolicyParts): ByPart<Tree<TensorSpec>> & Tree<TensorSpec> => {
  const { policy, critic } = trainedParameters(parts);
  return { policy: specsOf(policy), ...(critic && { critic: specsOf(critic) }) } as ByPart<Tree<TensorSpec>> &
    Tree<TensorSpec>;
};

const frozenParts = ({ policy, critic }: PolicyParts): Record<string, Parameters> => ({
  ...(policy.frozen && { policy: policy.frozen }),
  ...(critic?.trainable.frozen && { critic: critic.trainable.frozen }),
});

export const frozenSpecs = (parts: PolicyParts): Tree<TensorSpec> =>
  Object.fromEntries(Object.entries(frozenParts(parts)).map(([name, arrays]) => [name, specsOf(arrays)]));

/** Copies what is frozen into the engine, each array once. */
export async function putFrozen(engine: Engine, parts: PolicyParts): Promise<Tree<Resident>> {
  const trees = Object.fromEntries(
    Object.entries(frozenParts(parts)).map(([name, arrays]) => [name, unflatten(arrays)]),
  ) as Tree<HostArray>;
  const names = new Map<HostArray, string>();
  mapTree(trees, (array) => names.set(array, names.get(array) ?? `${names.size}`));
  const once = Object.fromEntries([...names].map(([array, name]) => [name, array]));
  const residents = (await engine.put(once)) as Record<string, Resident>;
  return mapTree(trees, (array) => residents[names.get(array) as string] as Resident);
}
