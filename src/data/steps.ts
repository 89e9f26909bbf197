/** Solutions step by step as token ids, with a label at the end of each step: what a process reward model learns from. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import { encodePrompt } from "./exchange.ts";
import type { Purpose } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { type LoadOptions, loadRows } from "./node-load.ts";
import type { Source } from "./rows.ts";

/** A solution, whose steps each end with the separator. */
export interface StepwiseExample {
  readonly ids: Int32Array;
  /** Where each step ends: the place of its last token. */
  readonly places: readonly number[];
  /** Of each step that is learned from: is it right? */
  readonly labels: readonly boolean[];
  readonly source: Source;
}

export interface StepwiseOptions extends LoadOptions {
  /** Tokens of a row; what is longer loses its last steps. */
  readonly maxLength: number;
  /** What ends a step. */
  readonly stepSeparator: string;
  /** Learn from the last step alone. */
  readonly lastStepOnly?: boolean | undefined;
}

export interface StepwiseDataset {
  readonly examples: RowList<StepwiseExample>;
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

const purpose: Purpose<"steps"> = { name: "steps", kinds: ["steps"] };

/**
 * Reads, checks and tokenises solutions.
 *
 * @throws DataError with file, line and reason of bad rows (unless they are skipped), and when none is left
 */
export async function loadSteps(
  data: DataInput,
  tokenizer: Tokenizer,
  options: StepwiseOptions,
): Promise<StepwiseDataset> {
  const { items, ...counts } = await loadRows<"steps", StepwiseExample>(
    data,
    purpose,
    () => ({
      each: ({ prompt, completions, labels, source }) => {
        const text = typeof prompt === "string" ? prompt : prompt.map(({ content }) => content).join("\n");
        const { ids, ends } = encodeSteps(text, completions, tokenizer, options.stepSeparator);
        const first = options.lastStepOnly ? completions.length - 1 : 0;
        const kept = ends.flatMap((place, i) => (i >= first && place < options.maxLength ? [i] : []));
        if (kept.length === 0)
          throw new DataError(
            `no step ends within max_length ${options.maxLength}: no label is left; raise it`,
          );
        return [
          {
            ids: Int32Array.from(ids.slice(0, options.maxLength)),
            places: kept.map((i) => ends[i] as number),
            labels: kept.map((i) => labels[i] as boolean),
            source,
          },
        ];
      },
    }),
    { ...options, chat: false },
  );
  return { examples: items, ...counts };
}

/** A prompt and its steps, each with the separator behind it, as ids; and where each step ends. */
export function encodeSteps(
  prompt: string,
  steps: readonly string[],
  tokenizer: Tokenizer,
  separator: string,
): { ids: number[]; ends: number[] } {
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const behind = encode(separator);
  const ids = [...(prompt === "" ? [] : encodePrompt(prompt, tokenizer).ids)];
  const ends = steps.map((step) => ids.push(...encode(step), ...behind) - 1);
  return { ids, ends };
}
