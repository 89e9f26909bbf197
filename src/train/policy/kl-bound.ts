/**
 * A hard KL constraint: the policy stays within so many nats a token of the reference,
 *
 *     KL(pi || ref) = 1/n sum_t sum_v pi(v | s_t) (log pi(v | s_t) - log ref(v | s_t)) <= bound
 *
 * over the tokens of an iteration's responses, exact over the vocabulary; the states are those that the policy before the
 * updates has visited, as in TRPO (Schulman et al. 2015, eq. 12), which bounds the KL to the old policy instead.
 *
 * After the updates of an iteration, which know nothing of the bound, the policy is projected: it goes back along the line
 * to the reference in the space of weights (interpolation towards the start: Wortsman et al. 2022, WiSE-FT; Ramé et al. 2024,
 * WARP, section 3.3),
 *
 *     theta <- theta_ref + s (theta - theta_ref)
 *
 * as far as it must. Near the reference the KL grows with s^2, so every try multiplies s by sqrt(bound / KL). With s = 0 the
 * policy is the reference, so there always is an answer; a line search back to the old policy, which may lie outside of the
 * bound on new prompts, has none. The optimiser's state stays as it is.
 */
import {
  add,
  compile,
  type Engine,
  type Executable,
  hostArray,
  mul,
  type Resident,
  sub,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
  zipTree,
} from "../../graph/index.ts";
import type { Model, Parameters } from "../../models/load.ts";
import { TrainError } from "../errors.ts";
import { specsOf, type Trainable } from "../loop/trainable.ts";

export interface KlBoundOptions {
  /** Nats a token, above 0. */
  readonly bound: number;
  /** What trains of the policy, in the engine; it is moved where it is. */
  readonly weights: Tree<Resident>;
  /** The same at the reference. */
  readonly start: Parameters;
}

export interface Held {
  /** Nats a token, of the policy as it is now. */
  readonly kl: number;
  /** s: 1 where the bound held by itself. */
  readonly scale: number;
}

export interface KlBound {
  /** Draws the policy back until the KL that `measure` finds is within the bound. */
  hold(measure: () => Promise<number>): Promise<Held>;
  dispose(): Promise<void>;
}

/** Tries, before the policy is set to the reference. */
const tries = 12;

/**
 * What trains of a policy, as it is where the policy is the reference.
 *
 * @throws TrainError when no weights of the policy are those of the reference
 */
export function startOfBound(policy: Trainable, refModel: Model | undefined, adapted: boolean): Parameters {
  // A fresh adapter changes nothing, and all of a model is itself.
  if (!refModel) return policy.parameters;
  if (adapted)
    throw new TrainError(
      "kl_bound: the policy is drawn back to the base of its adapter, so no ref_model can be given; leave it out",
    );
  const shapeOf = (parameters: Parameters) =>
    Object.entries(parameters)
      .map(([name, { shape }]) => `${name} ${shape}`)
      .sort()
      .join();
  if (shapeOf(refModel.parameters) !== shapeOf(policy.parameters))
    throw new TrainError(
      "kl_bound: a ref_model of the policy's shape is required, to which it is drawn back",
    );
  return Object.fromEntries(
    Object.keys(policy.parameters).map((name) => [name, refModel.parameters[name]]),
  ) as Parameters;
}

/** Prepares the projection in an engine. */
export function createKlBound(engine: Engine, { bound, weights, start }: KlBoundOptions): KlBound {
  const specs = specsOf(start);
  const scalarSpec: TensorSpec = { dtype: "float32", shape: [] };
  let loaded: Executable | undefined;
  const program = async () => {
    loaded ??= await engine.load(
      compile(
        (params, reference, { scale }) => ({
          params: zipTree(params, reference, (p, q) => add(q, mul(sub(p, q), scale as Tensor))),
        }),
        [specs, specs, { scale: scalarSpec }] as const,
        { provider: engine.provider, donate: { params: 0 } },
      ),
    );
    return loaded;
  };
  return {
    async hold(measure) {
      let kl = await measure();
      let scale = 1;
      if (kl <= bound) return { kl, scale };
      const draw = await program();
      const reference = await engine.put(unflatten(start)); // a copy for as long as it is needed
      try {
        for (let i = 1; !(kl <= bound); i++) {
          if (i > tries + 1)
            throw new TrainError(
              `kl_bound: the reference itself is ${kl} nats a token from the reference; raise kl_bound above rounding`,
            );
          const by = i > tries || !Number.isFinite(kl) ? 0 : Math.min(0.99, Math.sqrt(bound / kl));
          await engine.run(draw, [weights, reference, { scale: hostArray("float32", [], [by]) }]);
          scale *= by;
          kl = await measure();
        }
      } finally {
        await engine.free(reference);
      }
      return { kl, scale };
    },
    dispose: async () => (loaded ? engine.unload(loaded) : undefined),
  };
}
