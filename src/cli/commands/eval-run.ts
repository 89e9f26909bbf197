/** The work of `attune eval`. */
import { readTexts } from "../../data/node-texts.ts";
import { perplexity } from "../../evaluate/perplexity.ts";
import { loadModel } from "../../models/load.ts";
import type { Implementation } from "../command.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";

interface Options {
  readonly model: string;
  readonly data: string;
  readonly contextLength?: number;
  readonly perToken?: boolean;
}

export const runPerplexity: Implementation<Options> = async (context, options) => {
  const { signal } = context;
  const texts = await readTexts(options.data);
  const model = await loadModel(options.model, { signal });
  const engine = await openEngine(context);
  let progress: ReturnType<typeof context.progress> | undefined;
  try {
    const { contextLength } = options;
    const found = await perplexity(model, texts, {
      engine,
      signal,
      ...(contextLength !== undefined && { contextLength }),
      onProgress: (done, total) => {
        progress ??= context.progress({ label: "perplexity", total });
        progress.update(done, { units: done });
      },
    });
    progress?.done();
    const { rows, ...summary } = found;
    const text = `perplexity ${found.perplexity.toFixed(4)} over ${counted(found.tokens, "token")}`;
    context.result(options.perToken ? { ...summary, rows } : summary, text);
  } finally {
    await engine.dispose();
  }
};
