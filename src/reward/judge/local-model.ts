/**
 * A language model in this process as a judge: what it says comes next, A or B.
 *
 *     P(A | A or B) = p_A / (p_A + p_B)        p_A of the tokens that write "A" and " A"
 */

import { encodePrompt } from "../../data/exchange.ts";
import {
  add,
  arange,
  compile,
  type Dim,
  dimValue,
  type Engine,
  gather,
  type HostArray,
  logSoftmax,
  mul,
  sub,
  type Tensor,
  unflatten,
} from "../../graph/index.ts";
import { configuredTemplate } from "../../models/chat/chat-template.ts";
import type { Model } from "../../models/load.ts";
import { hiddenStates, logitsOf, parameterSpecs, requireLanguageModel } from "../../models/model.ts";
import { RewardError } from "../reward.ts";
import { rowBatchSpec } from "../reward-model.ts";
import { paddedRows } from "../rows.ts";
import type { Asked } from "./language-judge.ts";

/**
 * Opens a model for such questions; a model with a chat template is asked in it.
 *
 * @throws RewardError when the model has no tokenizer, or writes A and B with the same first token
 */
export async function localModel(
  engine: Engine,
  { config, parameters, tokenizer, chatTemplate, name }: Model,
  { batchSize = 8 }: { readonly batchSize?: number } = {},
): Promise<Asked & { dispose(): Promise<void> }> {
  requireLanguageModel(config);
  if (!tokenizer) throw new RewardError(`judge ${name}: a tokenizer is required, the model has none`);
  const template = chatTemplate ?? configuredTemplate(tokenizer.config, false);
  const letters = ["A", "B"].map((letter) => [
    ...new Set(
      [letter, ` ${letter}`].map((text) => tokenizer.encode(text, { addSpecialTokens: false })[0] as number),
    ),
  ]) as [number[], number[]];
  const [a, b] = [0, 1].map((at) =>
    (letters[at] as number[]).filter((id) => !(letters[1 - at] as number[]).includes(id)),
  ) as [number[], number[]];
  if (a.length === 0 || b.length === 0)
    throw new RewardError(`judge ${name}: its tokenizer writes A and B with the same first token`);
  const program = await engine.load(
    compile(
      (params, batch) => {
        const { input_ids, lengths } = batch as Record<"input_ids" | "lengths", Tensor>;
        const [rows, length] = input_ids.shape as [Dim, Dim];
        const hidden = hiddenStates(config, params, { input_ids }); // [R T, C]
        const last = sub(add(mul(arange(rows), dimValue(length, "int64")), lengths), 1);
        return { logProbs: logSoftmax(logitsOf(config, params, gather(hidden, last))) }; // [R, V]
      },
      [parameterSpecs(config), rowBatchSpec()] as const,
      { provider: engine.provider, freeze: { 0: unflatten(parameters) } },
    ),
  );
  const idsOf = (question: string): number[] => {
    const { ids } = template
      ? encodePrompt([{ role: "user", content: question }], tokenizer, { chatTemplate: template })
      : encodePrompt(question, tokenizer);
    if (ids.length > config.maxPositions)
      throw new RewardError(
        `judge ${name}: a question of at most ${config.maxPositions} tokens, its context, is required, got ${ids.length}; shorten the template`,
      );
    return ids;
  };
  return {
    async probabilities(questions, signal) {
      const out: number[] = [];
      for (let from = 0; from < questions.length; from += batchSize) {
        signal?.throwIfAborted();
        const rows = questions.slice(from, from + batchSize).map(idsOf);
        const { data } = (await engine.run(program, [{}, paddedRows(rows)])).logProbs as HostArray<"float32">;
        const vocabulary = data.length / rows.length;
        for (const r of rows.keys()) {
          const mass = (ids: readonly number[]) =>
            ids.reduce((sum, id) => sum + Math.exp(data[r * vocabulary + id] as number), 0);
          const [forA, forB] = [mass(a), mass(b)];
          out.push(forA + forB === 0 ? 0.5 : forA / (forA + forB));
        }
      }
      return out;
    },
    dispose: () => engine.unload(program),
  };
}
