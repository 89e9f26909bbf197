/** `attune overopt`, `attune frontier` and `attune sweep`: their options and help; the work is in studies-run.ts. */
import type { Command } from "commander";
import { lazily } from "../command.ts";
import { positiveInteger, repeated } from "../options.ts";

const fields =
  "\nFields of the recipe may be given as for attune run: --ppo.max_steps 60 --seed 7 --output_dir runs/x; those of the study as --study.KEY.";

function common(command: Command): Command {
  return command
    .argument(
      "[recipe]",
      "a recipe, with or without a section study: a YAML file, or the name of one in the box",
    )
    .argument("[fields...]", "fields of the recipe: --ppo.max_steps 60 --seed 7")
    .option("--seeds <list>", "seeds with commas between them; a cell for each (default: 1,2,3)")
    .option("--proxy <reward>", "the reward that is optimised (default: the stage's own)")
    .option(
      "--gold <reward>",
      "the reward that tells the truth, or a held-out one (default: evaluate.reward)",
    )
    .option("--num-prompts <n>", "held-out prompts that are answered (default: 128)", positiveInteger)
    .option("--samples <n>", "answers to each prompt (default: 2)", positiveInteger)
    .option("--snapshots <n>", "models along each run that are measured (default: the last)", positiveInteger)
    .option("--resume <dir>", "go on with the study in this folder")
    .option("--overwrite", "replace the study in the folder")
    .option("--check", "say what would run, and run nothing")
    .allowUnknownOption()
    .allowExcessArguments();
}

export function register(program: Command): void {
  common(program.command("overopt"))
    .description(
      "see reward hacking: optimise a proxy by best-of-n and RL, score with the gold reward, find the peak",
    )
    .option("--strength <field=values>", "KL strengths, as ppo.kl_coef=0,0.05; may be given again", repeated)
    .option("--best-of-n <n>", "samples to each prompt, for best-of-n (default: 64)", positiveInteger)
    .option("--model <model>", "what is sampled and the KL is measured from; needed without a recipe")
    .option(
      "--prompts <data>",
      "held-out prompts (default: evaluate.prompts); needed without a recipe",
      repeated,
    )
    .option("--trainer <name>", "without a recipe: train too, with this trainer", "")
    .option("--data <data>", "without a recipe: prompts to train on", repeated)
    .addHelpText(
      "after",
      `${fields}\n\nWithout a recipe, best-of-n of a model: attune overopt --model runs/sft --proxy runs/rm --gold world:gold --prompts held-out.jsonl --output_dir runs/x`,
    )
    .action(lazily(async () => (await import("./studies-run.ts")).runOveropt));
  common(program.command("frontier"))
    .description("compare algorithms: reward against KL over strengths and seeds, with time and memory")
    .option(
      "--strength <field=values>",
      "strengths of an algorithm, as dpo.beta=0.1,0.5; may be given again",
      repeated,
    )
    .addHelpText("after", fields)
    .action(lazily(async () => (await import("./studies-run.ts")).runFrontier));
  common(program.command("sweep"))
    .description("vary any field of a recipe, and compare what comes out")
    .option(
      "--vary <field=values>",
      "a field and its values, as ppo.cliprange=0.1,0.2; given again: combined",
      repeated,
    )
    .option("--stage <name>", "the stage whose model is measured (default: the last that is varied)")
    .addHelpText("after", fields)
    .action(lazily(async () => (await import("./studies-run.ts")).runSweep));
}
