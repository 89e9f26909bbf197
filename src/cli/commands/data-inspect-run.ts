/** The work of `attune data inspect`. */

import { inspectData } from "../../data/inspect.ts";
import type { PairTruncation } from "../../data/truncation.ts";
import { withDefaultTemplate } from "../../models/chat/default-templates.ts";
import { chatTemplateFrom } from "../../models/chat/node-template.ts";
import { loadModel } from "../../models/load.ts";
import { trainBpe } from "../../models/tokenizer/bpe-trainer.ts";
import { createTokenizer, type Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import type { Implementation } from "../command.ts";
import { showPreflight } from "../preflight.ts";

interface Options {
  readonly format?: string;
  readonly model?: string;
  readonly maxLength?: number;
  readonly promptTruncation?: PairTruncation;
  readonly separator?: string;
  readonly chatTemplate?: string;
}

export const runDataInspect: Implementation<Options> = async (context, options, ...files) => {
  const { model, chatTemplate, ...reading } = options;
  const { signal } = context;
  const tokenizer = model === undefined ? byteTokenizer() : (await loadModel(model, { signal })).tokenizer;
  const template = chatTemplate ?? (model === undefined ? "chatml" : undefined);
  const { kind, columns, preflight } = await inspectData(files, tokenizer as Tokenizer, {
    ...reading,
    ...(template !== undefined && { chatTemplate: await chatTemplateFrom(template) }),
    signal,
  });
  const colour = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const formats = Object.entries(preflight.formats ?? {}).map(([name, n]) => `${name} (${n})`);
  const lines = [
    `format: ${formats.join(", ")}`,
    `columns: ${Object.entries(columns)
      .map(([name, share]) => (share === 1 ? name : `${name} (${Math.round(100 * share)} %)`))
      .join(", ")}`,
    ...showPreflight(preflight, colour),
    ...(model === undefined ? ["tokens are bytes here; --model counts a model's own"] : []),
  ];
  context.result(
    { files, kind, columns, unit: model === undefined ? "bytes" : "tokens", ...preflight },
    lines.join("\n"),
  );
};

/** One token for each byte, and ChatML's for turns: nothing is to be loaded. */
function byteTokenizer(): Tokenizer {
  const { tokenizer, config } = trainBpe([], { vocabSize: 257 });
  return withDefaultTemplate(createTokenizer({ tokenizer, config }), "chatml").tokenizer;
}
