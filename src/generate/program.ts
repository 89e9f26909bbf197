/**
 * The graph of one step of generation: new tokens in, the drawn tokens and the new cache rows out.
 *
 * For a prompt T is its length and the cache is empty; afterwards T is 1, for which the graph can be a smaller one.
 * Logits are computed for the chosen tokens alone (`last`), and a prompt's last token may be chosen many times,
 * once for each of its samples.
 */
import {
  add,
  compile,
  type Dim,
  flatten,
  gather,
  type HostArray,
  matmul,
  mul,
  type Program,
  type Provider,
  reshape,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { families } from "../models/families/index.ts";
import { weightsOf } from "../models/families/layers.ts";
import { gridSequence } from "../models/families/sequence.ts";
import { cachedAttention, newRows } from "./attend.ts";
import { drawTokens, type SamplingShape, samplingSpecs } from "./sample.ts";
import { headOf, weightSpecs, weightTensors } from "./weights.ts";

/** What decides the graph of a step. */
export interface StepShape {
  readonly sampling: SamplingShape;
  /** Rows share their prompt's cache, N rows a prompt. */
  readonly shared: boolean;
  /** For one new token a row, instead of any number. */
  readonly single: boolean;
  /** The projections are in 8 bits. */
  readonly int8: boolean;
  /**
   * Draws from the geometric mixture of two models with the same layers, p^(1-a) q^a up to its norm: the weights are
   * `{own, other}`, and the caches of `other` stand behind those of `own`.
   */
  readonly mixture?: number | undefined;
}

/** Layers that have a cache. */
export const cachedLayers = (
  { numLayers }: Pick<ModelConfig, "numLayers">,
  mixture: number | undefined,
): number => (mixture === undefined ? numLayers : 2 * numLayers);

/** Dimensions: B rows, T new tokens a row, S cached tokens, M draws; P prompts of N rows with U tokens where shared. */
function stepSpecs(
  config: ModelConfig,
  { sampling, shared, single, mixture }: StepShape,
): Record<string, TensorSpec> {
  const { numKeyValueHeads: g, headDim: d } = config;
  const rows: Dim = shared ? "N*P" : "B";
  const int = (...shape: Dim[]): TensorSpec => ({ dtype: "int64", shape });
  const perLayer = (prefix: string, rows: Dim, tokens: Dim): Record<string, TensorSpec> =>
    Object.fromEntries(
      Array.from({ length: 2 * cachedLayers(config, mixture) }, (_, i) => [
        `${prefix}.${i}`,
        { dtype: "float32" as const, shape: [rows, g, tokens, d] },
      ]),
    );
  return {
    // Both P and N have to be read from an input.
    lengths: shared ? int("P", "N") : int("B"),
    ids: int(rows, single ? 1 : "T"),
    positions: int(rows, single ? 1 : "T"),
    last: int("M"),
    ...samplingSpecs(sampling),
    ...perLayer("cache", rows, "S"),
    ...(shared && perLayer("shared", "P", "U")),
  };
}

/**
 * Compiles a step. Arguments: the weights (none are left when `frozen` has them), then
 * `{ids [B, T], positions [B, T], lengths [B], last [M], cache.I, ...}` with settings of `samplingSpecs`;
 * `last` are places among the B T new tokens. Results: `rows` [2 L B, G, T, D], `tokens`, `logprobs` and
 * `sampled_logprobs` [M].
 */
export function compileStep(
  config: ModelConfig,
  shape: StepShape,
  { provider = "cpu", frozen }: { provider?: Provider; frozen?: Tree<HostArray> } = {},
): Program {
  const step = (weights: Tree<Tensor>, inputs: Tree<Tensor>): Tree<Tensor> => {
    const flat = flatten(inputs);
    const get = (name: string) => flat[name] as Tensor;
    const layers = (prefix: string, model: number, offset: number) =>
      Array.from({ length: config.numLayers }, (_, layer) =>
        get(`${prefix}.${2 * (model * config.numLayers + layer) + offset}`),
      );
    const [ids, positions] = [get("ids"), get("positions")];
    const added: { key: Tensor; value: Tensor }[] = [];
    /** Logits [M, V] of one of the models. */
    const logitsOf = (own: Tree<Tensor>, model: number): Tensor => {
      const rows: { key: Tensor; value: Tensor }[] = [];
      const attend = cachedAttention(
        config,
        positions,
        {
          keys: layers("cache", model, 0),
          values: layers("cache", model, 1),
          lengths: reshape(get("lengths"), [ids.shape[0] as Dim]),
          ...(shape.shared && {
            shared: { keys: layers("shared", model, 0), values: layers("shared", model, 1) },
          }),
        },
        rows,
      );
      const named = weightTensors(config, flatten(own));
      const sequence = gridSequence({ ids, positions, attend });
      const hidden = families[config.family].hidden(config, weightsOf(named), sequence);
      added.push(...rows);
      return matmul(gather(hidden, get("last")), headOf(config, named), { transposeB: true });
    };
    const { mixture } = shape;
    const logits =
      mixture === undefined
        ? logitsOf(weights, 0)
        : add(
            mul(logitsOf(weights.own as Tree<Tensor>, 0), 1 - mixture),
            mul(logitsOf(weights.other as Tree<Tensor>, 1), mixture),
          );
    const { tokens, logprobs, sampledLogprobs } = drawTokens(logits, shape.sampling, flat);
    return { rows: newRows(added), tokens, logprobs, sampled_logprobs: sampledLogprobs };
  };
  const one = unflatten(weightSpecs(config, shape.int8));
  const weightsSpec: Tree<TensorSpec> = shape.mixture === undefined ? one : { own: one, other: one };
  const specs = [weightsSpec, unflatten(stepSpecs(config, shape))] as const;
  return compile(step, specs, { provider, ...(frozen && { freeze: { 0: frozen } }) });
}
