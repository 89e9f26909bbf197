/** The work of `attune sft`: model, preflight, progress, summary. */
import { preflight } from "../data/preflight.ts";
import { loadModel } from "../models/load.ts";
import { sft } from "../train/sft.ts";
import type { SftOptions } from "../train/sft-options.ts";
import { chatTemplateFrom } from "./chat-template.ts";
import type { Implementation } from "./command.ts";
import { type LoraFlags, loraFrom } from "./lora-options.ts";
import { showPreflight } from "./preflight.ts";

interface Options extends Omit<SftOptions, "model" | "data" | "evalData" | "outputDir" | "lora">, LoraFlags {
  readonly model: string;
  readonly data: readonly string[];
  readonly evalData?: readonly string[];
  readonly output: string;
}

export const runSft: Implementation<Options> = async (context, { model: name, output, ...options }) => {
  const { signal, threads } = context;
  const chatTemplate = options.chatTemplate && (await chatTemplateFrom(options.chatTemplate));
  const model = await loadModel(name, { signal });
  const lora = loraFrom(options);
  let progress: ReturnType<typeof context.progress> | undefined;
  const started = performance.now();
  const result = await sft(
    {
      ...options,
      ...(chatTemplate && { chatTemplate }),
      ...(lora && { lora }),
      model,
      outputDir: output,
      provider: context.provider,
      ...(threads !== undefined && { threads }),
    },
    {
      signal,
      onStart: ({ train, eval: held, tokenizer, totalSteps, step }) => {
        const colour = process.stderr.isTTY === true && !process.env.NO_COLOR;
        for (const line of showPreflight(preflight(train, tokenizer), colour)) context.note(line);
        if (held) context.note(`held out: ${held.rows} rows`);
        if (step > 0) context.note(`going on after step ${step}`);
        progress = context.progress({ label: "sft", total: totalSteps });
      },
      onStep: ({ step, metrics: { loss, grad_norm, num_tokens, eval_loss } }) => {
        const shown = { loss, ...(eval_loss !== undefined && { eval_loss }), grad_norm } as Record<
          string,
          number
        >;
        progress?.update(step, { units: num_tokens ?? 0, metrics: shown });
        if (eval_loss !== undefined) progress?.log(`step ${step}: eval_loss ${eval_loss.toFixed(4)}`);
      },
    },
  );
  progress?.done();
  const seconds = (performance.now() - started) / 1000;
  if (result.reason === "stopped") {
    context.note(`stopped after step ${result.steps}; the checkpoint is in ${output}, --resume goes on`);
    return;
  }
  const { metrics, best, steps, reason } = result;
  const summary = { output, steps, reason, seconds, ...(best && { best }), metrics };
  const lines = [
    metrics.loss === undefined
      ? `the run had been finished after ${steps} steps`
      : `${steps} steps in ${seconds.toFixed(0)} s${reason === "no improvement" ? ", stopped early" : ""}: loss ${metrics.loss.toFixed(4)}`,
    ...(best
      ? [`best ${options.metricForBest ?? "eval_loss"} ${best.value.toFixed(4)} at step ${best.step}`]
      : []),
    `the model is in ${output}/model; try: attune generate --model ${output} --prompt "..."`,
  ];
  context.result(summary, lines.join("\n"));
};
