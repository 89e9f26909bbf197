/** Trains on prompts with their responses, and asks a reference about them where the method has one. */
import type { RowList } from "../../data/list.ts";
import type { HostArray, TensorSpec } from "../../graph/index.ts";
import type { Model } from "../../models/load.ts";
import type { Fingerprint } from "../../runs/run-folder.ts";
import { type Fit, type FitResult, fitRows } from "../loop/fit.ts";
import { checkVocabulary } from "../loop/same-vocabulary.ts";
import type { Loss } from "../loop/step.ts";
import type { Course, TrainerHooks, TrainerOptions } from "../loop/trainer-options.ts";
import { type BatchOptions, dpoSpec, type Run, type RunRow, runRows, runSpec } from "./preference-batch.ts";
import { openReference, type Reference } from "./reference.ts";

export interface AskHooks {
  /** While the reference is asked, before the first step: rows that it has answered. */
  readonly onReference?: (done: number, total: number) => void;
}

/** How the reference is asked. */
export interface AskOptions {
  /** Ask the reference about all rows before the first step, and keep its answers; else at every step. */
  readonly precomputeRefLogProbs?: boolean;
  /** Rows of a batch of the reference; by default `batchSize`. */
  readonly precomputeRefBatchSize?: number;
  /** Hold the reference with 8-bit projections, a quarter of their size; its log-probabilities differ a little. */
  readonly int8Reference?: boolean;
}

/** A method on runs; the batch of its loss is that of `runSpec`, with `reference` and `more` where there are such. */
export interface RunMethod<Row> extends Pick<Fit<Row>, "dials" | "summary" | "watch"> {
  readonly model: Model;
  readonly loss: Loss;
  /** The model to compare with; without one there is no `reference`. */
  readonly refModel?: Model | undefined;
  readonly runOf: (row: Row) => Run;
  readonly batches?: BatchOptions;
  /** Arrays beside the run's. */
  readonly more?: {
    readonly specs: Readonly<Record<string, TensorSpec>>;
    readonly arrays: (rows: readonly Row[]) => Readonly<Record<string, HostArray>>;
  };
  readonly sequences?: (row: Row) => readonly Int32Array[];
  readonly fingerprint: Fingerprint;
}

export interface RunData<Row> {
  readonly train: RowList<Row>;
  readonly held?: RowList<Row> | undefined;
}

/** @throws TrainError with what is required, what came and what to do */
export async function trainOnRuns<Row extends RunRow>(
  { train, held }: RunData<Row>,
  method: RunMethod<Row>,
  o: TrainerOptions & AskOptions & { readonly batchSize: number },
  hooks: TrainerHooks<Course> & AskHooks,
): Promise<FitResult> {
  const { model, loss, refModel, runOf, batches = {}, more, sequences, fingerprint } = method;
  if (refModel) checkVocabulary(model, refModel, "ref_model");
  let reference: Reference<Row> | undefined;
  const rowsOf = (list: RowList<Row>) =>
    runRows(list, {
      ...batches,
      runOf,
      ...(sequences && { sequences }),
      more: async (rows, indices) => ({
        ...more?.arrays(rows),
        ...(refModel && { reference: await (reference as Reference<Row>).of(list, indices) }),
      }),
    });
  try {
    return await fitRows(
      {
        model,
        loss,
        batchSpec: { ...(refModel ? dpoSpec(batches) : runSpec(batches)), ...more?.specs },
        rows: rowsOf(train),
        held: held && rowsOf(held),
        fingerprint: { ...fingerprint, ...(o.int8Reference && { int8Reference: true }) },
        async prepare({ engine, run }) {
          if (!refModel) return;
          const batchSize = o.precomputeRefBatchSize ?? o.batchSize;
          const { int8Reference: int8 } = o;
          const asking = { runOf, ...batches, batchSize, dir: run?.dir, int8 };
          reference = openReference(engine, refModel, { ...asking, onWarning: hooks.onWarning });
          if (o.precomputeRefLogProbs === false) return;
          const asked = { signal: hooks.signal, onProgress: hooks.onReference };
          for (const list of [train, held]) if (list) await reference.all(list, asked);
          await reference.close();
        },
        dials: method.dials,
        summary: method.summary,
        ...(method.watch && { watch: method.watch }),
      },
      o,
      hooks,
    );
  } finally {
    await reference?.close();
  }
}
