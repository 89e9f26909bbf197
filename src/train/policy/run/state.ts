/** Where an on-policy run stands, and how it goes on from a checkpoint. */
import type { HostArray } from "../../../graph/index.ts";
import type { Model, Parameters } from "../../../models/load.ts";
import type { ByPart, PolicyParts } from "../parts.ts";
import type { RunState } from "./iterations.ts";

/** Where a run stands; JSON. */
export interface PolicyState extends RunState {
  /** Of the next iteration. */
  klCoef: number;
}

/** What a trainer goes on from. */
export interface PolicyFrom {
  readonly state: PolicyState;
  readonly arrays: Readonly<Record<string, HostArray>>;
  readonly model: () => Promise<Model>;
  readonly critic?: (() => Promise<Model>) | undefined;
}

/**
 * Adapters as arrays of a checkpoint: the critic is saved as a whole model, from which its adapter cannot be told.
 */
export const adapterArrays = ({ policy, critic }: ByPart<Parameters>) => ({
  ...under("adapters.policy", policy),
  ...(critic && under("adapters.critic", critic)),
});

const under = (prefix: string, arrays: Parameters): Record<string, HostArray> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${prefix}.${name}`, array]));

const below = (prefix: string, arrays: Parameters): Record<string, HostArray> =>
  Object.fromEntries(
    Object.entries(arrays)
      .filter(([name]) => name.startsWith(`${prefix}.`))
      .map(([name, array]) => [name.slice(prefix.length + 1), array]),
  );

/** Parameters and optimiser state of a checkpoint; `adapted`: under LoRA. */
export async function startFrom(
  { arrays, model, critic }: PolicyFrom,
  { policy, critic: own }: PolicyParts,
  adapted: boolean,
) {
  const isState = ([name]: [string, unknown]) => !name.startsWith("adapters.");
  return {
    state: Object.fromEntries(Object.entries(arrays).filter(isState)),
    parameters: adapted
      ? {
          policy: below("adapters.policy", arrays),
          ...(own && { critic: below("adapters.critic", arrays) }),
        }
      : {
          policy: policy.trainedOf(await model()),
          ...(own && critic && { critic: own.trainedOf(await critic()) }),
        },
  };
}
