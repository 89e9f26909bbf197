/**
 * The study that a command line means, and whose fault it is when there is none: what stands in a file ends with exit
 * code 1, what came from the command line with 2, and the message names the option.
 */
import { join } from "node:path";
import { type Grid, gridOf, parseValues } from "../../lab/study/grid.ts";
import { checkStudy, readStudyFile, type Study } from "../../lab/study/settings.ts";
import { fieldsOf } from "../../recipe/base.ts";
import { OverrideError, parseOverrides, RecipeError } from "../../recipe/index.ts";
import { type Override, withOverrides } from "../../recipe/overrides.ts";
import { UsageError } from "../failure.ts";
import { isFile, recipeFile, recipeNames, studyNames } from "../recipe-box.ts";

export interface StudyOptions {
  readonly seeds?: string;
  readonly proxy?: string;
  readonly gold?: string;
  readonly numPrompts?: number;
  readonly samples?: number;
  readonly snapshots?: number;
  readonly bestOfN?: number;
  readonly strength?: readonly string[];
  readonly vary?: readonly string[];
  readonly stage?: string;
  readonly model?: string;
  readonly prompts?: readonly string[];
  readonly trainer?: string;
  readonly data?: readonly string[];
  readonly resume?: string;
  readonly overwrite?: boolean;
  readonly check?: boolean;
}

/** A command that runs studies. */
export interface StudyCommand {
  readonly name: "overopt" | "frontier" | "sweep";
  /** What it studies where nothing is said. */
  readonly complete: (study: Study) => Study;
  /** Throws for what it cannot do without. */
  readonly require?: (study: Study, grid: Grid) => void;
}

/** Reads the study with some of what was given. */
type Read = (given: readonly Override[]) => Promise<Study>;

/**
 * The study of the command line: of a folder, of a file with options and fields, or of given models alone.
 *
 * @throws UsageError or RecipeError, by whose fault it is
 */
export async function studyFrom(
  options: StudyOptions,
  operands: readonly string[],
  command: StudyCommand,
): Promise<Study> {
  const [name, ...rest] = operands;
  const isNamed = options.resume === undefined && name !== undefined && !name.startsWith("--");
  const given = [...givenBy(options), ...fieldsGiven(isNamed ? rest : operands)];
  const sound = (study: Study): Study => {
    const complete = command.complete(study);
    const grid = gridOf(complete, complete.recipe.output_dir); // checks every cell
    command.require?.(complete, grid);
    return complete;
  };
  if (options.resume !== undefined) {
    const [dir, file] = [options.resume, join(options.resume, "study.yaml")];
    if (!(await isFile(file)))
      throw new RecipeError(`${dir}: the folder of a study is required (with study.yaml)`);
    return orBlame(
      async (parts) => {
        const { recipe, settings } = await readStudyFile(file, { overrides: overridesOf(parts) });
        return sound({ settings, recipe: { ...recipe, output_dir: dir } });
      },
      given,
      { command, file },
    );
  }
  if (!isNamed) {
    const base = withoutRecipe(options, command);
    return orBlame(
      async (parts) => sound(checkStudy(withOverrides(base, overridesOf(parts)), command.name)),
      given,
      { command },
    );
  }
  const file = await recipeFile(name, [...(await studyNames()), ...(await recipeNames())], ["studies/"]);
  return orBlame(
    async (parts) => {
      const { recipe, settings } = await readStudyFile(file, { overrides: overridesOf(parts) });
      // The folder of a recipe without a section `study` is that of its attune run.
      const isOwn =
        "study" in (await fieldsOf(file)).fields || parts.some(({ path: [key] }) => key === "output_dir");
      const output_dir = isOwn ? recipe.output_dir : `${recipe.output_dir}-${command.name}`;
      return sound({ settings, recipe: { ...recipe, output_dir } });
    },
    given,
    { command, file },
  );
}

const isFault = (error: unknown): error is RecipeError => error instanceof RecipeError;

/** What the file has wrong by itself is its own fault; without a file everything came from the command line. */
async function orBlame(
  read: Read,
  given: readonly Override[],
  { command, file }: { readonly command: StudyCommand; readonly file?: string },
): Promise<Study> {
  const faultOf = (parts: readonly Override[]): Promise<string | undefined> =>
    read(parts).then(
      () => undefined,
      (error: unknown) => {
        if (isFault(error)) return error.message;
        throw error;
      },
    );
  try {
    return await read(given);
  } catch (error) {
    if (!isFault(error)) throw error;
    const { message } = error;
    if (file !== undefined && (await faultOf([])) === message) throw error;
    const said = [`${file}: `, `${command.name}: `, "study: "].reduce(
      (text, source) => (text.startsWith(source) ? text.slice(source.length) : text),
      message,
    );
    // To blame is what is wrong by itself, or without which nothing is.
    for (const part of given)
      if (
        (await faultOf([part])) === message ||
        (await faultOf(given.filter((other) => other !== part))) === undefined
      )
        throw new UsageError(`${part.flag}: ${said}`);
    throw new UsageError(`${command.name}: ${said}`);
  }
}

/** Options as fields of the study. */
function givenBy(options: StudyOptions): Override[] {
  const { trainer } = options;
  const part = (name: string, key: string, value: unknown, text: unknown = value): Override[] =>
    value === undefined ? [] : [{ path: ["study", key], value, flag: `--${name} ${text}` }];
  // A strength without a stage's name is the trainer's.
  const whole = (text: string) => (trainer && !/^[^=]*\./.test(text) ? `${trainer}.${text}` : text);
  const lists = (name: string, key: string, texts: readonly string[] = []): Override[] =>
    texts.flatMap((text) => {
      try {
        const [field, values] = parseValues(whole(text));
        return part(name, key, { [field]: values }, text);
      } catch (error) {
        if (isFault(error) || error instanceof OverrideError)
          throw new UsageError(`--${name} ${error.message}`);
        throw error;
      }
    });
  return [
    ...part("seeds", "seeds", options.seeds?.split(",").map(numeral), options.seeds),
    ...part("proxy", "proxy", options.proxy),
    ...part("gold", "gold", options.gold),
    ...part("num-prompts", "num_prompts", options.numPrompts),
    ...part("samples", "samples", options.samples),
    ...part("snapshots", "snapshots", options.snapshots),
    ...part("best-of-n", "best_of_n", options.bestOfN),
    ...part("stage", "stage", options.stage),
    ...part("model", "model", options.model),
    ...part("prompts", "prompts", options.prompts, options.prompts?.join(" --prompts ")),
    ...lists("strength", "strengths", options.strength),
    ...lists("vary", "vary", options.vary),
  ];
}

/** A number, or the text that is none, for the message. */
const numeral = (text: string): number | string =>
  text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);

function fieldsGiven(fields: readonly string[]): Override[] {
  try {
    return parseOverrides(fields);
  } catch (error) {
    if (error instanceof OverrideError) throw new UsageError(error.message);
    throw error;
  }
}

/** Each --strength and each --vary is a part of its own; together they stand in place of those of the file. */
function overridesOf(given: readonly Override[]): Override[] {
  const lists = ["--strength ", "--vary "].flatMap((option): Override[] => {
    const parts = given.filter(({ flag }) => flag.startsWith(option));
    const [first] = parts;
    return first ? [{ ...first, value: Object.assign({}, ...parts.map(({ value }) => value)) }] : [];
  });
  return [...given.filter(({ flag }) => !/^--(strength|vary) /.test(flag)), ...lists];
}

/** The fields of a study of given models: best-of-n, and with a trainer the stage that is trained. */
function withoutRecipe(
  { model, proxy, prompts, trainer, data }: StudyOptions,
  { name }: StudyCommand,
): Record<string, unknown> {
  if (name !== "overopt")
    throw new UsageError(`${name}: a recipe is required: a YAML file, or the name of one in the box`);
  const missing = Object.entries({ model, proxy, prompts, ...(trainer && { data }) })
    .filter(([, value]) => value === undefined)
    .map(([key]) => `--${key}`);
  if (missing.length > 0)
    throw new UsageError(
      `overopt: a recipe is required, or ${missing.join(" and ")}; with --trainer ppo --data FILE a policy is trained too`,
    );
  const stages = trainer ? { [trainer]: { trainer, model, reward: proxy, data } } : {};
  return { name, stages };
}
