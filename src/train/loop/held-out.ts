/**
 * What a model does on held-out rows: loss and metrics of its training, over all rows at once.
 *
 * A loss is divided by the items of all its micro-batches, so an evaluation is the same loss over micro-batches, with
 * the items of the whole set.
 */
import {
  compile,
  type Engine,
  type HostArray,
  hostArray,
  type Resident,
  type Tensor,
  type TensorSpec,
  type Tree,
} from "../../graph/index.ts";
import type { Packing } from "../../optim/index.ts";
import { addMetrics, numbersOf } from "./metrics.ts";
import { chunks, type Rows, survey, total } from "./plan.ts";
import type { Loss } from "./step.ts";
import type { FrozenPart } from "./trainable.ts";

export interface HeldOutOptions<Row> {
  readonly engine: Engine;
  /** Over what trains and a batch, frozen parts included. */
  readonly loss: Loss;
  readonly batchSpec: Tree<TensorSpec>;
  readonly rows: Rows<Row>;
  readonly batchSize: number;
  /** How what trains lies in the engine. */
  readonly packing: Packing;
  readonly frozen: FrozenPart;
}

/** {loss, ...metrics} of the parameters that are in the engine; `more` is what every batch brings besides its rows. */
export async function heldOutEvaluator<Row>(options: HeldOutOptions<Row>) {
  const { engine, loss, rows, batchSize, packing, frozen } = options;
  const items = total([...rows.list], rows.items);
  const batchSpec = frozen.spec({ ...options.batchSpec, num_items: { dtype: "float32", shape: [] } });
  const program = await engine.load(
    compile(
      (params, batch): Tree<Tensor> => {
        const { loss: value, metrics } = loss(packing.unpack(params), batch);
        return { loss: value, ...metrics };
      },
      [packing.specs, batchSpec] as const,
      { provider: engine.provider },
    ),
  );
  const { lengths } = survey(rows);
  const byLength = lengths
    .map((_, i) => i)
    .sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  return async (parameters: Tree<Resident>, more: Tree<HostArray> = {}): Promise<Record<string, number>> => {
    const sums: Record<string, number> = {};
    for (const part of chunks(byLength, batchSize)) {
      const arrays = await rows.collate(
        part.map((i) => rows.list.at(i) as Row),
        part,
      );
      const batch = frozen.batch({ ...arrays, ...more, num_items: hostArray("float32", [], [items]) });
      const found = await engine.run(program, [parameters, batch]);
      addMetrics(sums, numbersOf(found));
    }
    return sums;
  };
}
