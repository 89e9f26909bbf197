/** Held-out loss and accuracy, each the mean over all labels. */
import { collate } from "../data/collate.ts";
import type { Dataset } from "../data/dataset.ts";
import {
  compile,
  type Engine,
  type HostArray,
  type Resident,
  type Tensor,
  type Tree,
} from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import type { Packing } from "../optim/index.ts";
import { labelSums } from "./language-model.ts";
import { batchSpec, chunks } from "./sft-plan.ts";
import type { FrozenPart, Trainable } from "./trainable.ts";

/** {loss, mean_token_accuracy} of what trains (packed) and what does not, both in the engine. */
export async function labelEvaluator(
  engine: Engine,
  { config }: Model,
  { examples, packed }: Dataset,
  batchSize: number,
  { whole }: Trainable,
  { specs, unpack }: Packing,
  frozen: FrozenPart,
) {
  const program = await engine.load(
    compile(
      (params, batch) => ({ ...labelSums(config, whole(unpack(params), batch), batch) }) as Tree<Tensor>,
      [specs, frozen.spec(batchSpec(packed))] as const,
      {
        provider: engine.provider,
      },
    ),
  );
  const byLength = [...examples].sort((a, b) => b.ids.length - a.ids.length);
  return async (parameters: Tree<Resident>) => {
    const total = { nll: 0, correct: 0, count: 0 };
    for (const part of chunks(byLength, batchSize)) {
      const batch = { ...collate(part, { maxLength: config.maxPositions, packed }) } as Tree<HostArray>;
      const sums = (await engine.run(program, [parameters, frozen.batch(batch)])) as Record<
        keyof typeof total,
        HostArray
      >;
      for (const name of ["nll", "correct", "count"] as const) total[name] += Number(sums[name].data[0]);
    }
    return { loss: total.nll / total.count, mean_token_accuracy: total.correct / total.count };
  };
}
