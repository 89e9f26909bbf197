/**
 * A command for every trainer: `attune sft`, `attune reward`, `attune ppo`, ... Options and help are made of the same
 * keys as recipes; they are read when the command is chosen, so that `attune --help` stays fast.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { z } from "zod";
import type { StageKind } from "../../recipe/stage.ts";
import { lazily, prepareWith } from "../command.ts";
import { repeated } from "../options.ts";

/** The commands in the order of the help text; the test holds them against the kinds of stages. */
export const trainers: Readonly<Record<string, string>> = {
  pretrain: "train a new model, or go on training one, on documents",
  sft: "fine-tune a model on text, on prompts and completions, or on conversations",
  reward: "train a reward model on pairs of a preferred and another answer",
  prm: "train a process reward model on solutions whose steps are labelled",
  pairs: "collect preference pairs from a model's own samples, by a reward",
  "best-of-n": "answer each prompt with the best of n samples, by a reward",
  ppo: "improve a model by proximal policy optimisation against a reward",
  reinforce: "improve a model by the plain policy gradient (REINFORCE) against a reward",
  rloo: "improve a model by REINFORCE with the other answers to a prompt as baseline (RLOO)",
  grpo: "improve a model by group relative policy optimisation against a reward",
  trpo: "improve a model by trust region policy optimisation against a reward",
  "expert-iteration": "improve a model by the best of its own answers (RAFT, STaR, rejection sampling)",
  "online-dpo": "improve a model by DPO on pairs of its own answers, judged as they come",
  "nash-md": "improve a model by play against a mixture of itself and the reference (Nash-MD)",
  "multi-turn": "improve a model by conversations in an environment",
  dpo: "improve a model by direct preference optimisation on pairs",
  cpo: "improve a model by contrastive preference optimisation on pairs, without a reference",
  simpo: "improve a model by simple preference optimisation on pairs: rewards a token, no reference",
  orpo: "fine-tune a model on the chosen answers of pairs, with odds against the rejected ones",
  kto: "improve a model by completions that are desirable or not, each on its own (KTO)",
  bco: "improve a model by classifying completions as desirable or not (BCO)",
  listwise: "improve a model by direct preference optimisation on ranked lists (Plackett-Luce)",
};

export function register(program: Command): void {
  for (const [name, description] of Object.entries(trainers)) {
    const command = program.command(name).description(description);
    prepareWith(command, async () => {
      const { stageKinds } = await import("../../recipe/index.ts");
      addKeys(command, stageKinds[name] as StageKind);
    });
    command.action(
      lazily(async () => {
        const { runTrainer } = await import("./trainer-run.ts");
        return (context, options) => runTrainer(context, name, options as Record<string, unknown>);
      }),
    );
  }
}

function addKeys(command: Command, kind: StageKind): void {
  for (const [key, schema] of Object.entries(kind.keys.shape)) command.addOption(optionOf(key, schema, kind));
  command
    .addOption(
      new Option(
        "--output-dir, --output <dir>",
        "folder of the run: model, checkpoints, metrics.jsonl",
      ).makeOptionMandatory(),
    )
    .option("--resume", "go on from the newest checkpoint in the run's folder")
    .option("--overwrite", "replace the run in the folder")
    .option("--push-to-hub <repo>", "upload the final model to owner/name on the hub, with HF_TOKEN");
}

type Described = z.ZodType & { readonly description?: string };

/** One key as an option: `learning_rate` becomes `--learning-rate <x>`, a flag that is on by default `--no-...`. */
export function optionOf(key: string, schema: Described, { required }: Pick<StageKind, "required">): Option {
  const inner = unwrapped(schema);
  const {
    description: sentence = "",
    default: value,
    aliases = [],
    commas,
    word,
  } = (schema.meta() ?? {}) as {
    description?: string;
    default?: unknown;
    aliases?: readonly string[];
    commas?: boolean;
    word?: string;
  };
  const name = key.replaceAll("_", "-");
  const description = alone(sentence);
  const told = value === undefined || value === "" ? description : `${description} (default: ${value})`;
  const long = [...aliases.map((alias) => `--${alias.replaceAll("_", "-")}`), `--${name}`]
    .slice(-2)
    .join(", ");
  const type = inner.def.type;
  if (type === "boolean")
    return new Option(value === true ? `--no-${name}` : `--${name}`, flagText(description, value));
  const option = new Option(`${long} <${placeholder(inner)}>`, told);
  if (commas) option.argParser(listOf);
  else if (word !== undefined) option.argParser((text) => numberOr(word, schema, text));
  else if (type === "enum") option.choices(Object.values((inner as z.ZodEnum).enum) as string[]);
  else if (type === "number")
    option.argParser((text) => checked(schema, text === "" ? Number.NaN : Number(text)));
  else if (type === "union") option.argParser(repeated);
  else if (type === "object") option.argParser(fieldsOf);
  return required.includes(key) ? option.makeOptionMandatory() : option;
}

/** A number as the key's schema has it, or the word. */
function numberOr(word: string, schema: z.ZodType, text: string): number | string {
  const value = text === word ? word : Number(text);
  if (schema.safeParse(value).success) return value;
  throw new InvalidArgumentError(`A whole number of at least 1, or ${word}, is required.`);
}

/** Values between commas, numbers as numbers. */
const listOf = (text: string): (string | number)[] =>
  text
    .split(",")
    .map((part) => (part.trim() === "" || Number.isNaN(Number(part)) ? part.trim() : Number(part)));

/** A key's sentence without what only recipes have. */
const alone = (sentence: string): string =>
  sentence
    .replace(/,? or (an earlier stage|world:NAME)/, "")
    .replace(", a stage", "")
    .replace(" (default: the recipe's)", "");

const flagText = (description: string, value: unknown): string =>
  value === true ? `not: ${description}` : description;

const unwrapped = (schema: z.ZodType): z.ZodType =>
  "unwrap" in schema ? unwrapped((schema as z.ZodOptional<z.ZodType>).unwrap()) : schema;

function placeholder(schema: z.ZodType): string {
  if (schema.def.type === "number") return (schema as z.ZodNumber).format === "safeint" ? "n" : "x";
  if (schema.def.type === "object") return "fields";
  return schema.def.type === "enum" ? "name" : "value";
}

/** `gold=world:gold,early_stopping=true`: the fields of a key that has some. */
function fieldsOf(text: string): Record<string, unknown> {
  return Object.fromEntries(
    text.split(",").map((part) => {
      const at = part.indexOf("=");
      if (at < 1) throw new InvalidArgumentError("Fields are required, as in name=value,name=value.");
      const value = part.slice(at + 1);
      const isBoolean = value === "true" || value === "false";
      const plain = isBoolean
        ? value === "true"
        : value !== "" && !Number.isNaN(Number(value))
          ? Number(value)
          : value;
      return [part.slice(0, at).trim(), plain];
    }),
  );
}

/** A number as the key's schema has it; what it refuses is wrong usage. */
function checked(schema: z.ZodType, value: number): number {
  const result = schema.safeParse(value);
  if (result.success) return value;
  const [issue] = result.error.issues;
  const least =
    issue?.code === "too_small"
      ? issue.inclusive
        ? ` of at least ${issue.minimum}`
        : ` above ${issue.minimum}`
      : "";
  const most = issue?.code === "too_big" ? ` of at most ${issue.maximum}` : "";
  const whole = placeholder(unwrapped(schema)) === "n" ? "whole " : "";
  throw new InvalidArgumentError(`A ${whole}number${least}${most} is required.`);
}
