/** Tiny models, and the slow and plain computation that generation is compared with. */
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import {
  compile,
  type HostArray,
  hostArray,
  type LocalEngine,
  logSoftmax,
  type Tensor,
  unflatten,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { goldenModel } from "../models/families/parity.fixture.ts";
import { hiddenStates, logitsOf, parameterSpecs } from "../models/model.ts";

export const openEngine = (): Promise<LocalEngine> => openLocalEngine({ threads: 1 });

export interface TinyModel {
  readonly config: ModelConfig;
  readonly weights: Record<string, HostArray>;
}

export async function tinyModel(name: string): Promise<TinyModel & { golden: Record<string, HostArray> }> {
  const { config, parameters, golden } = await goldenModel(name);
  return { config, weights: parameters, golden };
}

/** log softmax(logits) [T, V] of one row of tokens, without a cache. */
export async function plainForward(engine: LocalEngine, { config, weights }: TinyModel) {
  const program = compile(
    (params, batch) => {
      const input_ids = batch.ids as Tensor;
      return { y: logSoftmax(logitsOf(config, params, hiddenStates(config, params, { input_ids }))) };
    },
    [parameterSpecs(config), { ids: { dtype: "int64", shape: ["B", "T"] } }],
  );
  const executable = await engine.load(program);
  const params = unflatten(weights);
  return async (ids: readonly number[]): Promise<Float32Array[]> => {
    const out = await engine.run(executable, [params, { ids: hostArray("int64", [1, ids.length], ids) }]);
    const { data } = out.y as HostArray<"float32">;
    return ids.map((_, t) => data.subarray(t * config.vocabSize, (t + 1) * config.vocabSize));
  };
}

export function bestOf(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if ((scores[i] as number) > (scores[best] as number)) best = i;
  return best;
}

/** Rows of a padded [B, T] array of ids, where the mask is 1. */
export function ragged(ids: HostArray, mask: HostArray): number[][] {
  const [rows, length] = ids.shape as [number, number];
  return Array.from({ length: rows }, (_, r) =>
    [...Array(length).keys()]
      .filter((t) => Number(mask.data[r * length + t]) === 1)
      .map((t) => Number(ids.data[r * length + t])),
  );
}
