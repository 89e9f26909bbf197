/**
 * Batched generation: sampling in the graph, a key-value cache on the host, prompts that take the place of rows
 * that finish.
 *
 * @example
 * import { createGenerator } from "attune/generate";
 * import { createEngine } from "attune/graph/node";
 * import { unflatten } from "attune/graph";
 * import { configOf, createModel } from "attune/models";
 *
 * const sizes = { vocabSize: 50, hiddenSize: 16, numLayers: 1, numHeads: 2, maxPositions: 64 };
 * const { config, parameters } = createModel(configOf("gpt2", sizes), 0);
 * const engine = await createEngine();
 * const generator = createGenerator(engine, config, unflatten(parameters));
 * const [row] = await generator.generate([[1, 2, 3]], { maxNewTokens: 8, temperature: 0.8, seed: 1 });
 * console.log(row?.ids, row?.logprobs);
 * await engine.dispose();
 */
export { GenerateError } from "./errors.ts";
export { createGenerator, type Generator, type GeneratorOptions } from "./generator.ts";
export type { Completion, GenerateOptions, Prompt, PromptRow, TokenEvent } from "./options.ts";
export type { FinishReason } from "./stops.ts";
