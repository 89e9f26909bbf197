/**
 * Direct preference optimisation (Rafailov et al. 2023): a policy learns from pairs without a reward model.
 *
 *     L = - 1/n sum log sigmoid(beta (log pi/ref (chosen) - log pi/ref (rejected)))            eq. 7
 *
 * The reference is asked once, before training; other losses on pairs are rows of preference-losses.ts.
 */
import { selected } from "../data/list.ts";
import type { Pair } from "../data/pair.ts";
import { loadPreferences, type PreferenceDataset } from "../data/preferences.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { type DpoOptions, dpoDefaults } from "./dpo-options.ts";
import { TrainError } from "./errors.ts";
import { type FitResult, fitRows } from "./loop/fit.ts";
import { total } from "./loop/plan.ts";
import { checkVocabulary } from "./loop/same-vocabulary.ts";
import { textModelOf } from "./loop/text-model.ts";
import { type Course, type TrainerHooks, withDefaults } from "./loop/trainer-options.ts";
import { dpoLoss } from "./preference/dpo-loss.ts";
import { lossFingerprint, lossOf } from "./preference/loss-choice.ts";
import { dpoSpec, pairRows } from "./preference/preference-batch.ts";
import { openReference, type Reference } from "./preference/reference.ts";

export interface DpoStart extends Course {
  readonly train: PreferenceDataset;
  readonly eval?: PreferenceDataset;
  readonly tokenizer: Tokenizer;
}

export interface DpoHooks extends TrainerHooks<DpoStart> {
  /** While the reference is asked, before the first step: pairs that it has answered. */
  readonly onReference?: (done: number, total: number) => void;
}
export type DpoResult = FitResult;

/**
 * Trains a policy on preferences.
 *
 * @throws DataError, CheckpointError or TrainError with what is required, what came and what to do
 * @example
 * const { model } = await dpo({ model: await loadModel("my-model"), data: "pairs.jsonl", beta: 0.1 });
 */
export async function dpo(options: DpoOptions, hooks: DpoHooks = {}): Promise<DpoResult> {
  const o = withDefaults(dpoDefaults, options);
  const loss = lossOf(o, hooks.onWarning);
  const { model, tokenizer, maxLength, reading } = textModelOf(o.model, options, {
    trainer: "dpo",
    defaultLength: o.maxLength,
  });
  const refModel = o.refModel ?? model;
  checkVocabulary(model, refModel, "ref_model");
  const load = async (data: DpoOptions["data"]) =>
    withoutTies(await loadPreferences(data, tokenizer, { ...o, ...reading }), hooks.onWarning);
  const train = await load(o.data);
  const held = o.evalData === undefined ? undefined : await load(o.evalData);

  let reference: Reference | undefined;
  const rowsOf = ({ pairs }: PreferenceDataset) =>
    pairRows(pairs, (indices) => (reference as Reference).of(pairs, indices), o);
  try {
    return await fitRows(
      {
        model,
        loss: dpoLoss(model.config, { ...o, loss }),
        batchSpec: dpoSpec(o),
        rows: rowsOf(train),
        held: held && rowsOf(held),
        fingerprint: {
          maxLength,
          ...lossFingerprint(o),
          rpoAlpha: o.rpoAlpha ?? 0,
        },
        async prepare({ engine, run }) {
          const batchSize = o.precomputeRefBatchSize ?? o.batchSize;
          reference = openReference(engine, refModel, { batchSize, dir: run?.dir, ldAlpha: o.ldAlpha });
          if (!o.precomputeRefLogProbs) return;
          const asked = { signal: hooks.signal, onProgress: hooks.onReference };
          for (const set of [train, held]) if (set) await reference.all(set.pairs, asked);
          await reference.close();
        },
        watch: watchCollapse(o.beta),
      },
      o,
      { ...hooks, onStart: (course) => hooks.onStart?.({ ...course, train, eval: held, tokenizer }) },
    );
  } finally {
    await reference?.close();
  }
}

/** The pairs of which one response is better: a tie says nothing about the order that the loss asks for. */
function withoutTies(dataset: PreferenceDataset, onWarning: DpoHooks["onWarning"]): PreferenceDataset {
  const { pairs } = dataset;
  const kept: number[] = [];
  let at = 0;
  for (const { tie } of pairs) {
    if (!tie) kept.push(at);
    at++;
  }
  if (kept.length === pairs.length) return dataset;
  if (kept.length === 0)
    throw new TrainError("dpo needs pairs of which one response is better, all are ties");
  onWarning?.(`${pairs.length - kept.length} of ${pairs.length} pairs are ties and are left out`);
  return { ...dataset, pairs: selected(kept, (i) => pairs.at(i) as Pair) };
}

const collapse = 0.5;
const watched = 8; // steps

/**
 * Tells when the chosen responses have lost much of their log-probability while the margin has grown: the loss only
 * asks that the rejected ones lose more.
 */
function watchCollapse(beta: number): (metrics: Readonly<Record<string, number>>) => string | undefined {
  const last: { logps: number; drop: number; margin: number }[] = [];
  return (metrics) => {
    const drop = -(metrics["rewards/chosen"] as number) / beta;
    const [logps, margin] = [metrics["logps/chosen"] as number, metrics["rewards/margins"] as number];
    last.push({ logps, drop, margin });
    if (last.length > watched) last.shift();
    const mean = (of: (one: (typeof last)[number]) => number) => total(last, of) / last.length;
    const before = mean((one) => one.logps + one.drop);
    const fallen = mean((one) => one.drop);
    return last.length === watched && fallen > collapse * Math.abs(before) && mean((one) => one.margin) > 0
      ? `the log-probability of the chosen responses has fallen from ${before.toFixed(1)} to ${(before - fallen).toFixed(1)} nats ` +
          "while the margin grows; lower the learning rate, raise beta, or add their likelihood with rpo_alpha"
      : undefined;
  };
}
