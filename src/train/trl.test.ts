/** SFT, DPO and reward models beside TRL 1.16: what its trainers log in four AdamW steps (test/parity/sft.py, ...). */
import { describe, it } from "vitest";
import type { Example } from "../data/example.ts";
import type { Pair } from "../data/pair.ts";
import { labelSpec, textRows } from "./loop/label-rows.ts";
import { languageModelLoss } from "./loop/language-model.ts";
import { dpoLoss } from "./preference/dpo-loss.ts";
import { type LossChoice, lossDefaults, lossOf } from "./preference/loss-choice.ts";
import { dpoSpec, pairRun, runRows } from "./preference/preference-batch.ts";
import { openReference, type Reference } from "./preference/reference.ts";
import { layoutOf, rewardRows, rewardSpec } from "./reward/reward-batch.ts";
import { rewardLoss } from "./reward/reward-loss.ts";
import { expectAlike, golden, logged, modelOf, optionsOf, pairOf, scaledBy, source } from "./trl.fixture.ts";

describe("SFT", () => {
  const { rows, learning_rate, cases } = golden("sft");
  it.each(Object.keys(cases))("has the losses, accuracies and norms of TRL (%s)", async (key) => {
    const [name, what] = key.split("/") as [string, string];
    const examples = (rows as { prompt: number[]; completion: number[] }[]).map(
      ({ prompt, completion }): Example => {
        const ids = Int32Array.from([...prompt, ...completion]);
        const counts = new Uint8Array(ids.length).fill(1, what === "completion" ? prompt.length : 1);
        return { ids, counts, segments: [ids.length], sources: [source] };
      },
    );
    const model = await modelOf(name);
    const steps = await logged(
      {
        model,
        loss: languageModelLoss(model.config, { accuracy: true }),
        batchSpec: labelSpec(false),
        rows: textRows({ examples }, { packed: false, maxLength: 64 }),
      },
      learning_rate,
      examples.length,
    );
    expectAlike(steps, cases[key], [
      "loss",
      "grad_norm",
      "mean_token_accuracy",
      "num_tokens",
      "learning_rate",
      "epoch",
    ]);
  });
});

describe("DPO", () => {
  const { scale, pairs: ids, learning_rate, cases } = golden("dpo");
  const pairs: Pair[] = ids.map(pairOf);

  it.each(Object.keys(cases))(
    "has the losses, rewards, log-probabilities and norms of TRL (%s)",
    async (key) => {
      const base = await modelOf(key.split("/")[0] as string);
      const { options, steps: theirs } = cases[key];
      const o = { ...lossDefaults, ...(optionsOf(options) as LossChoice) };
      const model = scaledBy(scale, base);
      let reference: Reference<Pair> | undefined;
      const steps = await logged(
        {
          model,
          loss: dpoLoss(model.config, { ...o, loss: lossOf(o) }),
          batchSpec: dpoSpec(o),
          rows: runRows(pairs, {
            ...{ runOf: pairRun, ldAlpha: o.ldAlpha },
            more: async (_, indices) => ({
              reference: await (reference as Reference<Pair>).of(pairs, indices),
            }),
          }),
          prepare: async ({ engine }) => {
            reference = openReference(engine, base, { runOf: pairRun, batchSize: 2, ldAlpha: o.ldAlpha });
          },
        },
        learning_rate,
        pairs.length,
        theirs.length,
      );
      expectAlike(steps, theirs, [
        "loss",
        "grad_norm",
        "rewards/chosen",
        "rewards/rejected",
        "rewards/margins",
        "rewards/accuracies",
        "logps/chosen",
        "logps/rejected",
        "num_tokens",
      ]);
    },
  );
});

describe("reward", () => {
  const { rows, margins, learning_rate, cases } = golden("reward");

  it.each(Object.keys(cases))("has the losses, metrics and norms of TRL (%s)", async (key) => {
    const [name, what] = key.split("/") as [string, string];
    const model = scaledBy(0.5, await modelOf(`${name}-score`));
    const layout = layoutOf(model.config, { margin: what === "margin" });
    const pairs = (rows as Parameters<typeof pairOf>[0][]).map((row, i) => ({
      ...pairOf(row),
      margin: margins[i] as number,
    }));
    const steps = await logged(
      {
        model,
        loss: rewardLoss(model.config, { centerRewardsCoefficient: what === "centred" ? 0.1 : 0 }),
        batchSpec: rewardSpec(layout),
        rows: rewardRows(pairs, layout),
      },
      learning_rate,
      pairs.length,
    );
    expectAlike(steps, cases[key], [
      "loss",
      "grad_norm",
      "accuracy",
      "margin",
      "min_reward",
      "mean_reward",
      "max_reward",
      "num_tokens",
      "epoch",
    ]);
  });
});
