/**
 * Greedy tokens by Transformers.js: `node transformers-js.fixture.mjs ENTRY FOLDER` with ENTRY the package's module and,
 * on standard input, {prompt, ids, steps}; prints {tokens, fp32, q8}.
 */
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";

const [entry = "", folder = ""] = process.argv.slice(2);
const { AutoModelForCausalLM, AutoTokenizer, env, Tensor } = await import(pathToFileURL(entry).href);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const name = basename(folder);
const { prompt, ids, steps } = JSON.parse(readFileSync(0, "utf8"));

const tokenizer = await AutoTokenizer.from_pretrained(name);
/** @type {Record<string, number[]>} */
const result = { tokens: Array.from((await tokenizer(prompt)).input_ids.data, Number) };
for (const dtype of ["fp32", "q8"]) {
  const model = await AutoModelForCausalLM.from_pretrained(name, { dtype, device: "cpu" });
  const int64 = (/** @type {number[]} */ values) =>
    new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const out = await model.generate({
    input_ids: int64(ids),
    attention_mask: int64(ids.map((/** @type {number} */ _) => 1)),
    max_new_tokens: steps,
    do_sample: false,
    eos_token_id: null,
    pad_token_id: 0,
  });
  result[dtype] = Array.from(out.data, Number).slice(ids.length);
  await model.dispose();
}
process.stdout.write(JSON.stringify(result));
