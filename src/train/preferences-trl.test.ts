/** CPO, ORPO and KTO beside TRL 1.16, BCO beside TRL 1.12: what they log in AdamW steps (test/parity/preferences.py, bco.py). */
import { describe, it } from "vitest";
import type { Labelled } from "../data/labels.ts";
import type { Pair } from "../data/pair.ts";
import type { Model } from "../models/load.ts";
import { bcoBatches, bcoDials, bcoLoss, bcoRun } from "./bco.ts";
import { type CpoLossOptions, cpoDefaults, cpoLoss } from "./cpo.ts";
import { type KtoLossOptions, type KtoRow, ktoDefaults, ktoLoss, ktoRun } from "./kto.ts";
import type { Fit } from "./loop/fit.ts";
import { orpoBatches, orpoLoss } from "./orpo.ts";
import { labelArrays, labelSummary } from "./preference/label-data.ts";
import {
  type BatchOptions,
  dpoSpec,
  pairRun,
  type Run,
  type RunRow,
  runRows,
  runSpec,
} from "./preference/preference-batch.ts";
import { openReference, type Reference } from "./preference/reference.ts";
import { expectAlike, golden, logged, modelOf, optionsOf, pairOf, scaledBy, source } from "./trl.fixture.ts";

const shared = ["loss", "grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins"] as const;
const logps = ["logps/chosen", "logps/rejected"] as const;

/** A task on runs beside a reference of its own. */
function besideReference<Row extends RunRow & Pick<Labelled, "label" | "prompt" | "completion">>(
  rows: Row[],
  base: Model,
  runOf: (row: Row) => Run,
  batches: BatchOptions = {},
): Pick<Fit<Row>, "batchSpec" | "rows" | "prepare" | "summary"> {
  let reference: Reference<Row> | undefined;
  return {
    batchSpec: { ...dpoSpec(batches), ...labelArrays.specs },
    rows: runRows(rows, {
      ...{ runOf, ...batches },
      sequences: ({ prompt, completion }) => [prompt, completion],
      more: async (part, indices) => ({
        ...labelArrays.arrays(part),
        reference: await (reference as Reference<Row>).of(rows, indices),
      }),
    }),
    prepare: async ({ engine }) => {
      reference = openReference(engine, base, { runOf, ...batches, batchSize: 2 });
    },
    summary: labelSummary,
  };
}

const labelledOf = (row: { prompt: number[]; completion: number[]; label: boolean }): Labelled => ({
  prompt: Int32Array.from(row.prompt),
  completion: Int32Array.from(row.completion),
  label: row.label,
  texts: { prompt: "", completion: "" },
  row: {},
  source,
});

const { model: name, scale, learning_rate, pairs: pairIds, labels, cases } = golden("preferences");
const named = (kind: string) => Object.keys(cases).filter((key) => key.startsWith(kind));

describe("CPO and ORPO", () => {
  const pairs: Pair[] = pairIds.map(pairOf);

  it.each([...named("cpo"), ...named("orpo")])(
    "have the losses, metrics and norms of TRL (%s)",
    async (key) => {
      const { options, steps: theirs } = cases[key];
      const model = scaledBy(scale, await modelOf(name));
      const isOrpo = key.startsWith("orpo");
      const alpha = options.loss_type === "alphapo" && { lossType: "simpo", cpoAlpha: 0 };
      const o = { ...cpoDefaults, ...optionsOf(options), ...alpha } as CpoLossOptions;
      const batches = isOrpo ? orpoBatches : {};
      const steps = await logged(
        {
          model,
          loss: isOrpo ? orpoLoss(model.config, o) : cpoLoss(model.config, o),
          batchSpec: runSpec(batches),
          rows: runRows(pairs, { runOf: pairRun, ...batches }),
        },
        learning_rate,
        pairs.length,
        theirs.length,
      );
      const more = isOrpo ? ["log_odds_ratio", "log_odds_chosen"] : [];
      const nll = isOrpo || o.cpoAlpha > 0 ? ["nll_loss"] : [];
      expectAlike(steps, theirs, [...shared, "rewards/accuracies", ...logps, ...nll, ...more]);
    },
  );
});

describe("KTO", () => {
  const rows: Labelled[] = labels.map(labelledOf);
  // TRL turns the completions of a batch on by one
  const turned = rows.map((row, i): KtoRow => ({ ...row, other: (rows.at(i - 1) as Labelled).completion }));

  it.each(named("kto"))("has the losses, metrics and norms of TRL (%s)", async (key) => {
    const { options, steps: theirs } = cases[key];
    const base = await modelOf(name);
    const model = scaledBy(scale, base);
    const o = { ...ktoDefaults, ...optionsOf(options) } as KtoLossOptions;
    const steps = await logged(
      { model, loss: ktoLoss(model.config, o), ...besideReference(turned, base, ktoRun) },
      learning_rate,
      rows.length,
      theirs.length,
    );
    expectAlike(steps, theirs, [...shared, ...logps, "num_tokens", ...(o.lossType === "kto" ? ["kl"] : [])]);
  });
});

describe("BCO", () => {
  const { scale, labels, cases } = golden("bco");
  const rows: Labelled[] = labels.map(labelledOf);

  it.each(Object.keys(cases))("has the losses, metrics, norms and moving mean of TRL (%s)", async (key) => {
    const { options, steps: theirs } = cases[key];
    const base = await modelOf(name);
    const model = scaledBy(scale, base);
    const o = { ...options, desirableWeight: 1, undesirableWeight: 1 };
    const steps = await logged(
      {
        model,
        loss: bcoLoss(model.config, o),
        dials: bcoDials,
        ...besideReference(rows, base, bcoRun, bcoBatches),
      },
      learning_rate,
      rows.length,
      theirs.length,
    );
    expectAlike(steps, theirs, [...shared, ...logps, "delta"]);
  });
});
