import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel } from "../../models/load.ts";
import { runCli } from "../main.ts";

const golden = "test/parity/golden";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "attune-cli-export-"));
});
afterAll(() => rm(scratch, { recursive: true }));

async function run(...argv: string[]) {
  let [out, err] = ["", ""];
  const streams = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
  };
  return { code: await runCli(argv, { streams }), out: () => out, err: () => err };
}

describe("attune merge", () => {
  it("writes the model that an adapter makes of its base", async () => {
    const output = join(scratch, "merged");
    const adapter = `${golden}/lora/llama-rslora`;
    const { code, out } = await run("merge", "--adapter", adapter, "--output", output, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out())).toMatchObject({ output, lora: { r: 4, lora_alpha: 8, use_rslora: true } });
    const merged = await loadModel(output);
    expect(merged.adapter).toBeUndefined();
    expect(merged.parameters).toEqual((await loadModel(adapter)).parameters);
  });

  it("takes another base when one is named", async () => {
    const base = join(scratch, "base");
    await (await loadModel(`${golden}/models/llama`)).save(base);
    const output = join(scratch, "onto");
    const args = ["--adapter", `${golden}/lora/llama`, "--model", base, "--output", output];
    expect((await run("merge", ...args)).code).toBe(0);
    expect((await loadModel(output)).parameters).toEqual(
      (await loadModel(`${golden}/lora/llama`)).parameters,
    );
    const other = ["--adapter", `${golden}/lora/gpt2`, "--model", base, "--output", join(scratch, "no")];
    const { code, err } = await run("merge", ...other);
    expect([code, err()]).toEqual([1, expect.stringContaining("the adapter does not fit the model")]);
    expect(await readdir(scratch)).not.toContain("no");
  });

  it("leaves a model that is in --output alone, unless it is to be overwritten", async () => {
    const output = join(scratch, "taken");
    await (await loadModel(`${golden}/models/gpt2`)).save(output);
    const args = ["merge", "--adapter", `${golden}/lora/llama`, "--output", output];
    const { code, err } = await run(...args);
    expect([code, err()]).toEqual([1, expect.stringContaining("a model is there already")]);
    expect((await loadModel(output)).config.family).toBe("gpt2");
    expect((await run(...args, "--overwrite")).code).toBe(0);
    expect((await loadModel(output)).config.family).toBe("llama");
  });

  it("refuses a whole model where an adapter belongs", async () => {
    const args = ["--adapter", `${golden}/models/llama`, "--output", join(scratch, "no")];
    const { code, err } = await run("merge", ...args);
    expect([code, err()]).toEqual([2, expect.stringContaining("this is a whole model")]);
  });
});

describe("attune export", () => {
  it("writes ONNX, in 8 bits too when asked", async () => {
    const output = join(scratch, "onnx");
    const args = ["--model", `${golden}/models/gpt2`, "--quantize", "int8", "--output", output];
    const { code, out } = await run("export", ...args, "--json");
    expect(code).toBe(0);
    expect(Object.keys(JSON.parse(out()).files)).toEqual(["model.onnx", "model_quantized.onnx"]);
  });

  it("keeps an export that is there, with its model in 8 bits, unless it is to be overwritten", async () => {
    const output = join(scratch, "twice");
    const args = ["export", "--model", `${golden}/models/gpt2`, "--output", output];
    expect((await run(...args, "--quantize", "int8")).code).toBe(0);
    const { code, err } = await run(...args);
    expect([code, err()]).toEqual([1, expect.stringContaining("replace it with --overwrite")]);
    expect(await readdir(join(output, "onnx"))).toHaveLength(2);
    expect((await run(...args, "--overwrite")).code).toBe(0);
    expect(await readdir(join(output, "onnx"))).toEqual(["model.onnx"]);
  });

  it("warns of a model without a tokenizer", async () => {
    const { code, err } = await run(
      "export",
      "--model",
      `${golden}/models/gpt2`,
      "--output",
      join(scratch, "ids"),
    );
    expect([code, err()]).toEqual([0, expect.stringMatching(/^warning: .*has no tokenizer/)]);
  });

  it("writes an adapter's model as safetensors of half the size", async () => {
    const output = join(scratch, "half");
    const args = ["--format", "safetensors", "--dtype", "bfloat16", "--output", output];
    expect((await run("export", "--model", `${golden}/lora/gpt2`, ...args)).code).toBe(0);
    const [half, whole] = [await loadModel(output), await loadModel(`${golden}/lora/gpt2`)];
    for (const [name, { data }] of Object.entries(whole.parameters)) {
      const got = half.parameters[name]?.data as Float32Array;
      for (const [i, x] of (data as Float32Array).entries())
        expect(Math.abs((got[i] as number) - x)).toBeLessThanOrEqual(Math.abs(x) / 256);
    }
  });

  it("refuses options of the other format, and a model without a language head", async () => {
    const args = ["export", "--model", `${golden}/models/llama-score`, "--output", join(scratch, "no")];
    const usage = await run(...args, "--dtype", "float16");
    expect([usage.code, usage.err()]).toEqual([2, expect.stringContaining("--quantize int8")]);
    const failure = await run(...args);
    expect([failure.code, failure.err()]).toEqual([
      1,
      expect.stringContaining("a language model is required"),
    ]);
    expect(await readdir(scratch)).not.toContain("no");
  });
});
