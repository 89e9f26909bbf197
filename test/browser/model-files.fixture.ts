/** The tiny models of the parity goldens, from the disk. */
import { readFileSync } from "node:fs";
import type { ModelFiles } from "./train-step.fixture.ts";

/** A family without and one with rotary positions, RMS norms and gates: providers have kernels of their own for those. */
export const browserModels = ["gpt2", "llama"] as const;
export type BrowserModel = (typeof browserModels)[number];

export const modelFiles = (name: BrowserModel): ModelFiles => {
  const at = (file: string) => new URL(`../parity/golden/models/${name}/${file}`, import.meta.url);
  return {
    config: JSON.parse(readFileSync(at("config.json"), "utf8")),
    weights: new Uint8Array(readFileSync(at("model.safetensors"))),
  };
};
