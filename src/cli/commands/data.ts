/** `attune data ...`: makes, checks and shows data; each is a command below it. */
import { type Command, Option } from "commander";
import { pairTruncations } from "../../data/truncation.ts";
import { lazily } from "../command.ts";
import { fraction, positiveInteger, wholeNumber } from "../options.ts";

export function register(program: Command): void {
  const data = program.command("data").description("make data and look into it");
  registerWorld(data);
  registerSynth(data);
  registerInspect(data);
}

function registerWorld(data: Command): void {
  const rows = (flags: string, what: string, count: number): [string, string, typeof wholeNumber, number] => [
    flags,
    `rows of ${what}; 0 writes none`,
    wholeNumber,
    count,
  ];
  data
    .command("world")
    .description("write the data of the built-in world, of any size: the same for a seed on every machine")
    .requiredOption("--output <dir>", "folder for the .jsonl files")
    .option("--seed <n>", "another seed, other rows", wholeNumber, 42)
    .option(...rows("--pretrain <n>", "pretrain.jsonl, documents of mixed quality", 30_000))
    .option(...rows("--sft <n>", "sft.jsonl, prompts with answers that are mostly good", 6000))
    .option(...rows("--preferences <n>", "preferences.jsonl, pairs of answers compared by annotators", 6000))
    .option(...rows("--rankings <n>", "rankings.jsonl, several answers in order", 0))
    .option(...rows("--ratings <n>", "ratings.jsonl, single answers rated from 1 to 5", 0))
    .option(...rows("--prompts <n>", "prompts.jsonl, prompts alone", 6000))
    .option(...rows("--arithmetic <n>", "arithmetic.jsonl, sums with worked answers and their results", 0))
    .option(...rows("--sums <n>", "sums.jsonl, sums with their results alone, for verifiable rewards", 0))
    .option(...rows("--held-out <n>", "each held-out file: prompts, pairs (without noise) and answers", 700))
    .option("--noise <share>", "share of preference labels that are turned round", fraction, 0)
    .option("--ties", "keep pairs that the annotator cannot tell apart, with tie: true")
    .option("--axes", "say how helpful, harmless and honest both answers are, for reward --objectives")
    .option("--margins", "say in a column margin how much better the chosen answer is")
    .option("--overwrite", "replace files that are there")
    .action(lazily(async () => (await import("./data-world-run.ts")).runDataWorld));
}

function registerSynth(data: Command): void {
  data
    .command("synth")
    .description("make preference data of graded quality from your own templates")
    .requiredOption("--templates <file>", "YAML or JSON: prompts, values of their slots, responses by level")
    .option(
      "--levels <names>",
      "levels to use, the best first, such as high,medium,low (default: as in the file)",
    )
    .option("--n <count>", "rows", positiveInteger, 1000)
    .option("--seed <n>", "another seed, other rows", wholeNumber, 42)
    .addOption(
      new Option("--as <shape>", "what a row holds")
        .choices(["pairs", "rankings", "ratings"])
        .default("pairs"),
    )
    .requiredOption("--output <file>", "the .jsonl file")
    .option("--overwrite", "replace the file if it is there")
    .addHelpText(
      "after",
      `
A template file:
  values:
    city: [Oslo, Lima, Cairo]
  templates:
    - prompt: "What should I see in {city}?"
      responses:
        high: ["In {city}, begin with the old town: it is walkable and full of markets."]
        medium: "The old town of {city}."
        low: "No idea."`,
    )
    .action(lazily(async () => (await import("./data-synth-run.ts")).runDataSynth));
}

function registerInspect(data: Command): void {
  data
    .command("inspect")
    .description(
      "what rows are: their format, how many and how long, the bad ones, one row as it is trained on",
    )
    .argument("<file...>", "files, or data sets on the hub (org/name[@revision][:split])")
    .option("--format <name>", "format of the rows (default: recognised by the columns)")
    .option("--model <dir>", "model folder or hub id, whose tokenizer counts (default: bytes are counted)")
    .option("--max-length <n>", "tokens of a row (default: as long as they are)", positiveInteger)
    .addOption(
      new Option("--prompt-truncation <how>", "prompts that are longer (default: keep_end)").choices([
        ...pairTruncations,
      ]),
    )
    .option("--separator <text>", "what stands between the documents of a text file (default: a file is one)")
    .option("--chat-template <name>", "for conversations: chatml, human-assistant, plain, or a file")
    .action(lazily(async () => (await import("./data-inspect-run.ts")).runDataInspect));
}
