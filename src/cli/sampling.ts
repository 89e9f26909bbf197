/** How tokens are drawn: the options that `generate` and `chat` share. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { GenerateOptions } from "../generate/index.ts";
import {
  fraction,
  positiveFraction,
  positiveInteger,
  positiveNumber,
  repeated,
  wholeNumber,
} from "./options.ts";

export interface SamplingOptions
  extends Pick<
    GenerateOptions,
    | "maxNewTokens"
    | "greedy"
    | "temperature"
    | "topK"
    | "topP"
    | "minP"
    | "repetitionPenalty"
    | "seed"
    | "stop"
  > {
  readonly int8?: boolean;
}

function repeatedText(text: string, before?: readonly string[]): string[] {
  if (text === "") throw new InvalidArgumentError("A text that is not empty is required.");
  return repeated(text, before);
}

export const addSamplingOptions = (command: Command, { maxNewTokens }: { maxNewTokens: number }): Command =>
  command
    .option("--max-new-tokens <n>", "tokens to generate, at most", positiveInteger, maxNewTokens)
    .addOption(
      new Option(
        "--greedy",
        "always the most likely token; excludes --temperature, --top-k, --top-p, --min-p",
      ).conflicts(["temperature", "topK", "topP", "minP"]),
    )
    .option("--temperature <t>", "scores are divided by it", positiveNumber, 1)
    .option("--top-k <k>", "draw from the k most likely tokens; 0: all", wholeNumber, 0)
    .option(
      "--top-p <p>",
      "draw from the smallest set of likely tokens that has this probability",
      positiveFraction,
      1,
    )
    .option(
      "--min-p <p>",
      "draw from tokens at least this many times as likely as the likeliest",
      fraction,
      0,
    )
    .option("--repetition-penalty <x>", "makes tokens that occurred less likely; 1: off", positiveNumber, 1)
    .option("--seed <n>", "seed of the draws", wholeNumber, 0)
    .option("--stop <text>", "ends a completion; may be repeated", repeatedText)
    .option("--int8", "projections in 8 bits: faster, other tokens");

/** What of the options the generator takes. */
export const samplingOf = (o: SamplingOptions): GenerateOptions =>
  Object.fromEntries(
    (
      [
        "maxNewTokens",
        "greedy",
        "temperature",
        "topK",
        "topP",
        "minP",
        "repetitionPenalty",
        "seed",
        "stop",
      ] as const
    ).flatMap((name) => (o[name] === undefined ? [] : [[name, o[name]]])),
  );
