/** The tiny GPT-2 of the parity goldens, from the disk. */
import { readFileSync } from "node:fs";
import type { ModelFiles } from "./train-step.fixture.ts";

const at = (file: string) => new URL(`../parity/golden/models/gpt2/${file}`, import.meta.url);

export const gpt2Files = (): ModelFiles => ({
  config: JSON.parse(readFileSync(at("config.json"), "utf8")),
  weights: new Uint8Array(readFileSync(at("model.safetensors"))),
});
