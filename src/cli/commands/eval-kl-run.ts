/** The work of `attune eval kl`. */

import type { TokenSequence } from "../../data/response-rows.ts";
import type { Interval } from "../../evaluate/bootstrap.ts";
import { type KlBetween, type KlFigure, klBetween, sampleResponses } from "../../evaluate/kl-between.ts";
import { loadSequences } from "../../evaluate/node-sequences.ts";
import { loadModel } from "../../models/load.ts";
import type { Implementation } from "../command.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";

interface Options {
  readonly model: string;
  readonly reference: string;
  readonly data: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly maxRows?: number;
}

export const runKl: Implementation<Options> = async (context, options) => {
  const { signal } = context;
  const { data, maxNewTokens, temperature, seed } = options;
  const model = await loadModel(options.model, { signal });
  const reference = await loadModel(options.reference, { signal });
  const maxLength = Math.min(model.config.maxPositions, reference.config.maxPositions);
  const read = await loadSequences(data, model, { maxLength, maxNewTokens, signal });
  const rows = Array.from(read.sequences).slice(0, options.maxRows);
  const engine = await openEngine(context);
  const kl = { temperature, seed };
  try {
    let forward: KlBetween;
    let reverse: KlFigure & { readonly k1?: KlFigure; readonly k3?: KlFigure };
    if (read.haveResponses) {
      forward = await klBetween(engine, model, reference, rows, kl);
      reverse = forward.reverse.exact;
    } else {
      // Each direction along the samples of the model whose expectation it is.
      const along = async (a: typeof model, b: typeof model): Promise<KlBetween> => {
        const prompts = rows.map(({ promptIds }) => promptIds);
        const samples: TokenSequence[] = await sampleResponses(engine, a, prompts, {
          ...kl,
          maxNewTokens,
          signal,
        });
        return klBetween(engine, a, b, samples, kl);
      };
      forward = await along(model, reference);
      const back = await along(reference, model);
      reverse = { ...back.forward.exact, k1: back.forward.k1, k3: back.forward.k3 };
    }
    const result = {
      model: options.model,
      reference: options.reference,
      unit: "nats",
      responses_from: read.haveResponses ? "data" : "samples",
      responses: forward.responses,
      tokens: forward.tokens,
      temperature,
      kl_model_reference: jsonOf({
        exact: forward.forward.exact,
        k1: forward.forward.k1,
        k3: forward.forward.k3,
      }),
      kl_reference_model: jsonOf({ exact: reverse, k1: reverse.k1, k3: reverse.k3 }),
    };
    context.result(result, textOf(result));
  } finally {
    await engine.dispose();
  }
};

type Figures = Readonly<Record<string, { readonly per_token: Interval; readonly per_response: Interval }>>;

const jsonOf = (figures: Readonly<Record<string, KlFigure | undefined>>): Figures =>
  Object.fromEntries(
    Object.entries(figures).flatMap(([name, figure]) =>
      figure ? [[name, { per_token: figure.perToken, per_response: figure.perResponse }]] : [],
    ),
  );

interface Shown {
  readonly responses_from: string;
  readonly responses: number;
  readonly tokens: number;
  readonly kl_model_reference: Figures;
  readonly kl_reference_model: Figures;
}

function textOf({ responses_from, responses, tokens, ...directions }: Shown): string {
  const from =
    responses_from === "data" ? "along the responses of the file" : "along each model's own samples";
  const interval = ({ mean, low, high }: Interval) =>
    `${mean.toFixed(4).padStart(9)} [${low.toFixed(4)}, ${high.toFixed(4)}]`.padEnd(30);
  const block = (title: string, figures: Figures) => [
    title,
    ...Object.entries(figures).map(([name, { per_token, per_response }]) =>
      `  ${name.padEnd(5)} ${interval(per_token)} ${interval(per_response)}`.trimEnd(),
    ),
  ];
  return [
    `KL in nats ${from}: ${counted(responses, "response")}, ${counted(tokens, "token")}, 95 % intervals`,
    `        ${"per token".padEnd(30)} per response`,
    ...block("KL(model || reference)", directions.kl_model_reference),
    ...block("KL(reference || model)", directions.kl_reference_model),
    ...(responses_from === "data"
      ? ["k1 and k3 estimate the exact value when the model itself wrote the responses"]
      : []),
  ].join("\n");
}
