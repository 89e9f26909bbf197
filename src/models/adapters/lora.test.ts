/** Adapters beside PEFT (test/parity/peft_lora.py): what they compute, what trains, what merging gives, what is stored. */
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import {
  compile,
  crossEntropy,
  flatten,
  type HostArray,
  type LocalEngine,
  mapTree,
  reshape,
  type Tensor,
  type Tree,
  unflatten,
  valueAndGrad,
} from "../../graph/index.ts";
import { readTensors } from "../checkpoint/checkpoint.ts";
import type { ModelConfig } from "../config/config.ts";
import {
  arrayOf,
  expectClose,
  type GoldenModel,
  goldenFolder,
  goldenModel,
  shifted,
} from "../families/parity.fixture.ts";
import { loadModel, withAdapter } from "../load.ts";
import { hiddenStates, logitsOf, parameterSpecs, tokenSpec } from "../model.ts";
import { readAdapter, writeAdapter } from "./folder.ts";
import { type Adapter, createAdapter, linearModules, mergeLora, withLora } from "./lora.ts";
import { adapterConfigJson, parseAdapterConfig } from "./peft.ts";

const cases = [
  ["llama", "llama"],
  ["llama-rslora", "llama"],
  ["gpt2", "gpt2"],
] as const;

let engine: LocalEngine;
let scratch: string;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
  scratch = await mkdtemp(join(tmpdir(), "attune-lora-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(scratch, { recursive: true });
});

const specsOf = (tree: Tree<HostArray>) => mapTree(tree, ({ dtype, shape }) => ({ dtype, shape }));
const logits = (config: ModelConfig, params: Tree<Tensor>, ids: Tensor) =>
  logitsOf(config, params, hiddenStates(config, params, { input_ids: ids }));

/** Logits, loss and the gradients of the adapter, with the base as an argument that does not train. */
async function adapted({ config, parameters, golden }: GoldenModel, adapter: Adapter) {
  const factors = unflatten(adapter.parameters);
  const program = compile(
    (params, base, batch) => {
      let found: Tensor | undefined;
      const [loss, gradients] = valueAndGrad((p: Tree<Tensor>) => {
        found = logits(config, withLora(adapter.config, base, p), batch.input_ids as Tensor);
        return crossEntropy(found, reshape(batch.labels as Tensor, [-1]));
      })(params);
      return { logits: found as Tensor, loss, gradients };
    },
    [specsOf(factors), parameterSpecs(config), { input_ids: tokenSpec(), labels: tokenSpec() }] as const,
  );
  const batch = { input_ids: arrayOf(golden, "input_ids"), labels: shifted(arrayOf(golden, "labels")) };
  const out = await engine.run(await engine.load(program), [factors, unflatten(parameters), batch]);
  return {
    logits: out.logits as HostArray,
    loss: out.loss as HostArray,
    gradients: flatten(out.gradients as Tree<HostArray>),
  };
}

async function forward(config: ModelConfig, parameters: Record<string, HostArray>, ids: HostArray) {
  const program = compile((params, batch) => ({ logits: logits(config, params, batch.ids as Tensor) }), [
    parameterSpecs(config),
    { ids: tokenSpec() },
  ] as const);
  const out = await engine.run(await engine.load(program), [unflatten(parameters), { ids }]);
  return out.logits as HostArray;
}

describe.each(cases)("the adapter %s", (name, base) => {
  const folder = join(goldenFolder, "lora", name);
  const wanted = () => readTensors(join(folder, "golden.safetensors"));

  it("has the logits, the loss and the gradients of PEFT", async () => {
    const model = await goldenModel(base);
    const { adapter } = await readAdapter(folder);
    const golden = await wanted();
    const found = await adapted(model, adapter);
    const mask = arrayOf(model.golden, "attention_mask").data;
    const counts = (i: number) => Number(mask[Math.floor(i / model.config.vocabSize)]) === 1;
    expectClose("logits", found.logits, arrayOf(golden, "logits"), { counts });
    expectClose("loss", found.loss, arrayOf(golden, "loss"));
    for (const [path, gradient] of Object.entries(found.gradients))
      expectClose(path, gradient, arrayOf(golden, `grad.base_model.model.${path}`), { tolerance: 2e-4 });
    const count = Object.keys(golden).filter((key) => key.startsWith("grad.")).length;
    expect(Object.keys(found.gradients)).toHaveLength(count);
  });

  it("merges to the weights and logits of PEFT, also when it is loaded as a model", async () => {
    const golden = await wanted();
    const { config, parameters } = await loadModel(folder);
    for (const [key, array] of Object.entries(golden)) {
      if (!/^merged\..*weight$/.test(key)) continue;
      expectClose(key, arrayOf(parameters, key.slice("merged.".length)), array, { tolerance: 1e-6 });
    }
    const { golden: batch } = await goldenModel(base);
    const mask = arrayOf(batch, "attention_mask").data;
    const found = await forward(config, parameters, arrayOf(batch, "input_ids"));
    const counts = (i: number) => Number(mask[Math.floor(i / config.vocabSize)]) === 1;
    expectClose("logits", found, arrayOf(golden, "merged.logits"), { counts });
  });

  it("survives being written and read", async () => {
    const { config } = await goldenModel(base);
    const { adapter } = await readAdapter(folder);
    const dir = join(scratch, name);
    await writeAdapter(dir, { adapter, config, base: join(goldenFolder, "models", base) });
    const again = await readAdapter(dir);
    expect(again.adapter).toEqual(adapter);
    expect((await loadModel(dir)).parameters).toEqual((await loadModel(folder)).parameters);
    const json = JSON.parse(await readFile(join(dir, "adapter_config.json"), "utf8"));
    const original = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    for (const key of ["r", "lora_alpha", "target_modules", "use_rslora", "fan_in_fan_out", "task_type"])
      expect(json[key], key).toEqual(original[key]);
  });
});

describe("a new adapter", () => {
  it("changes nothing at first, since B is 0", async () => {
    const model = await goldenModel("gpt2");
    const adapter = createAdapter(model.config, model.parameters, { r: 4 });
    expect(Object.keys(adapter.parameters)).toHaveLength(2 * linearModules(model.config).length);
    const { logits: found } = await adapted(model, adapter);
    const mask = arrayOf(model.golden, "attention_mask").data;
    const counts = (i: number) => Number(mask[Math.floor(i / model.config.vocabSize)]) === 1;
    expectClose("logits", found, arrayOf(model.golden, "logits"), { counts });
    expect(mergeLora(model.config, model.parameters, adapter)).toEqual(model.parameters);
  });

  it("is the same for the same seed, and within the bound of Kaiming's initialisation", async () => {
    const { config, parameters } = await goldenModel("llama");
    const make = (seed: number) => createAdapter(config, parameters, { targetModules: ["q_proj"] }, seed);
    expect(make(1)).toEqual(make(1));
    expect(make(1)).not.toEqual(make(2));
    const a = make(1).parameters["model.layers.0.self_attn.q_proj.lora_A.weight"] as HostArray<"float32">;
    const bound = 1 / Math.sqrt(config.hiddenSize);
    expect(a.shape).toEqual([16, config.hiddenSize]);
    expect(Math.max(...a.data)).toBeLessThan(bound);
    expect(Math.max(...a.data)).toBeGreaterThan(0.9 * bound);
    expect(Math.min(...a.data)).toBeLessThan(-0.9 * bound);
  });

  it("targets every projection but the heads with all-linear", async () => {
    const { config, parameters } = await goldenModel("llama-score");
    const { config: lora, parameters: factors } = createAdapter(config, parameters, { r: 2 });
    expect(lora.targetModules.toSorted()).toEqual(
      ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"].toSorted(),
    );
    expect(lora.modulesToSave).toEqual(["score"]);
    expect(factors["score.weight"]).toEqual(parameters["score.weight"]);
  });

  it("refuses dropout, unknown modules and a rank below 1 by name", async () => {
    const { config, parameters } = await goldenModel("llama");
    const make = (options: object) => () => createAdapter(config, parameters, options);
    expect(make({ loraDropout: 0.1 })).toThrow("lora_dropout 0.1 is not supported in training");
    expect(make({ targetModules: ["c_attn"] })).toThrow(/got c_attn.*among q_proj, k_proj/);
    expect(make({ r: 0 })).toThrow("a rank of at least 1 is required, got 0");
    expect(make({ modulesToSave: ["embed_tokens"] })).toThrow("tied to the output projection");
  });
});

describe("a foreign adapter", () => {
  const json = { peft_type: "LORA", r: 4, lora_alpha: 8, target_modules: ["q_proj"] };

  it("names its base with the revision, in two keys", async () => {
    const { config } = await goldenModel("llama");
    const { adapter } = await readAdapter(join(goldenFolder, "lora", "llama"));
    const written = adapterConfigJson(adapter, config, "org/name@v1.2");
    expect(written).toMatchObject({ base_model_name_or_path: "org/name", revision: "v1.2" });
    expect(parseAdapterConfig(written, "x").base).toBe("org/name@v1.2");
    expect(parseAdapterConfig(adapterConfigJson(adapter, config, "../base@2"), "x").base).toBe("../base@2");
  });

  it("may bring embeddings that have grown, under both names of a tied matrix, and its own end-of-text", async () => {
    const base = join(goldenFolder, "models", "llama");
    const { config, parameters } = await goldenModel("llama");
    const { adapter } = await readAdapter(join(goldenFolder, "lora", "llama"));
    const [rows, width] = [config.vocabSize + 2, config.hiddenSize];
    const data = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i));
    const grown = { dtype: "float32" as const, shape: [rows, width], data };
    const all = { ...adapter.parameters, "model.embed_tokens.weight": grown, "lm_head.weight": grown };
    const dir = join(scratch, "grown");
    const generationConfig = { eos_token_id: [rows - 1, 2] };
    await writeAdapter(dir, { adapter: { ...adapter, parameters: all }, config, base, generationConfig });
    const model = await loadModel(dir);
    expect(model.config).toMatchObject({ vocabSize: rows, eosTokenIds: [rows - 1, 2] });
    expect(model.parameters["model.embed_tokens.weight"]).toEqual(grown);
    expect(Object.keys(model.parameters).sort()).toEqual(Object.keys(parameters).sort());
  });

  it("may have been trained with dropout, which does nothing outside training", () => {
    expect(parseAdapterConfig({ ...json, lora_dropout: 0.1 }, "x").config.r).toBe(4);
  });

  it("is refused with the option that is not supported", () => {
    expect(() => parseAdapterConfig({ ...json, use_dora: true }, "x")).toThrow("x: use_dora = true");
    expect(() => parseAdapterConfig({ ...json, peft_type: "IA3" }, "x")).toThrow('peft_type = "IA3"');
    expect(() => parseAdapterConfig({ ...json, r: "4" }, "x")).toThrow("x: r:");
  });

  it("names its base by an absolute path to the model's own folder, found from anywhere and after a move", async () => {
    const [run, dir] = [join(scratch, "run"), join(scratch, "of-a-run")];
    await (await loadModel(join(goldenFolder, "models", "llama"))).save(join(run, "model"));
    const { adapter } = await readAdapter(join(goldenFolder, "lora", "llama"));
    await withAdapter(await loadModel(run), adapter).save(dir);
    const json = JSON.parse(await readFile(join(dir, "adapter_config.json"), "utf8"));
    expect(json.base_model_name_or_path).toBe(resolve(run, "model"));
    await mkdir(join(scratch, "elsewhere"));
    await rename(dir, join(scratch, "elsewhere", "moved"));
    expect((await loadModel(join(scratch, "elsewhere", "moved"))).adapter).toEqual(adapter);
  });

  it("says when it is the base that is missing, and how to give another", async () => {
    const dir = join(scratch, "orphan");
    const { config } = await goldenModel("llama");
    const { adapter } = await readAdapter(join(goldenFolder, "lora", "llama"));
    await writeAdapter(dir, { adapter, config, base: "/gone/base" });
    await expect(loadModel(dir)).rejects.toThrow(
      /orphan: the base of this adapter cannot be loaded: \/gone\/base: no such folder.*--model BASE/,
    );
  });

  it("is refused with the first few differences and how many more there are", async () => {
    const { config, parameters } = await goldenModel("llama");
    const { adapter } = await readAdapter(join(goldenFolder, "lora", "gpt2"));
    expect(() => mergeLora(config, parameters, adapter)).toThrow(
      /does not fit the model \(llama, 2 layers of \d+\): .*no projection transformer.h.0.attn.c_attn.*; and \d+ more/,
    );
  });
});
