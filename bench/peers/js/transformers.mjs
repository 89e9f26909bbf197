/**
 * Transformers.js (ONNX Runtime in Node) as a peer: generation with a model folder that `attune export` wrote.
 *
 * It needs config.json and onnx/model.onnx; prompts are token ids, so it needs no tokenizer.
 */
import { availableParallelism } from "node:os";
import { basename, dirname, resolve } from "node:path";
import { AutoModelForCausalLM, env, Tensor } from "@huggingface/transformers";

const threads = Number(process.env.ATTUNE_BENCH_THREADS) || availableParallelism();

export const ready = `transformers.js ${env.version}`;

let kept;

async function load(folder, dtype) {
  const key = `${folder} ${dtype}`;
  if (kept?.key === key) return kept.model;
  await kept?.model.dispose();
  env.allowRemoteModels = false;
  env.localModelPath = dirname(resolve(folder));
  const session_options = { intraOpNumThreads: threads };
  const model = await AutoModelForCausalLM.from_pretrained(basename(folder), {
    dtype,
    device: "cpu",
    session_options,
  });
  kept = { key, model };
  return model;
}

export const commands = {
  /** Generated tokens per second of one whole call, prompt included. */
  async generate({ model: { folder, vocab }, mode, batch, prompt, new_tokens, samples, sample }) {
    if (samples > 1) throw new Error("one sample a prompt only");
    const model = await load(folder, mode === "int8" ? "q8" : "fp32");
    const ids = BigInt64Array.from({ length: batch * prompt }, (_, i) =>
      BigInt(1 + ((i * 7919) % (vocab - 1))),
    );
    const inputs = {
      input_ids: new Tensor("int64", ids, [batch, prompt]),
      attention_mask: new Tensor("int64", new BigInt64Array(batch * prompt).fill(1n), [batch, prompt]),
    };
    const start = performance.now();
    const out = await model.generate({
      ...inputs,
      min_new_tokens: new_tokens,
      max_new_tokens: new_tokens,
      do_sample: sample,
      temperature: 1,
      top_k: 0,
      pad_token_id: 0,
      eos_token_id: null,
    });
    const seconds = (performance.now() - start) / 1000;
    const made = (out.dims[1] - prompt) * batch;
    if (made !== new_tokens * batch) throw new Error(`made ${made} tokens of ${new_tokens * batch}`);
    return { tokens_per_second: made / seconds, seconds };
  },
};
