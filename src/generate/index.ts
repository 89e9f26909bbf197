/**
 * Batched generation: sampling in the graph, a key-value cache on the host, prompts that take the place of rows
 * that finish.
 */
export { GenerateError } from "./errors.ts";
export { createGenerator, type Generator, type GeneratorOptions } from "./generator.ts";
export type { Completion, GenerateOptions, Prompt, PromptRow, TokenEvent } from "./options.ts";
export type { FinishReason } from "./stops.ts";
