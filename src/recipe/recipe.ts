/**
 * A recipe: stages in order, each with the model it starts from, written in YAML with TRL's names.
 *
 *     name: mine
 *     stages:
 *       sft:    { trainer: sft, model: HuggingFaceTB/SmolLM-135M, data: rows.jsonl }
 *       reward: { trainer: reward, model: sft, data: pairs.jsonl }
 *       ppo:    { trainer: ppo, model: sft, reward: reward, data: prompts.jsonl, kl_coef: 0.05 }
 *     evaluate: { prompts: held-out.jsonl, reward: reward }
 *
 * Everything is checked before anything runs: keys, values, names of stages.
 */
import { parseDocument } from "yaml";
import { z } from "zod";
import { AttuneError } from "../graph/errors.ts";
import { didYouMean } from "../graph/nearest.ts";
import { checkEarlyStopping } from "../train/loop/trainer-options.ts";
import { RecipeError } from "./errors.ts";
import { checkJudge } from "./judges.ts";
import { count, flag, fromZero, object, positive, share, text, texts, whole } from "./keys.ts";
import { optionsOf } from "./options.ts";
import { type Override, withOverrides } from "./overrides.ts";
import { promptReadingKeys } from "./prompts.ts";
import { referencesOf } from "./references.ts";
import { checkReward } from "./reward-check.ts";
import { repeatKey, unrolled } from "./rounds.ts";
import type { StageKeys, StageKind } from "./stage.ts";
import { stageKinds } from "./stages/index.ts";
import { validated } from "./validate.ts";

/** The built-in world's data, written into the run's folder before the first stage; rows are named `world:NAME`. */
export const worldKeys = {
  seed: whole("of the world (default: the recipe's)"),
  pretrain: count("documents of mixed quality to pre-train on"),
  sft: count("demonstrations, of mixed quality"),
  preferences: count("pairs of answers that annotators compared"),
  rankings: count("answers to one prompt, ordered"),
  ratings: count("answers with a rating from 1 to 5"),
  prompts: count("prompts to train on"),
  arithmetic: count("sums, each with its result in the column answer and an answer that works it out"),
  sums: count("more sums, each with its result in the column answer alone, for verifiable rewards"),
  held_out: count("prompts, demonstrations and pairs that no stage trains on"),
  noise: share("share of comparisons whose label is turned round", { default: 0 }),
  ties: flag("keep pairs that an annotator cannot tell apart, as ties", { default: false }),
  axes: flag("columns of how helpful, harmless and honest both are, for objectives", { default: false }),
  margins: flag("a column of how far apart the annotator found the two", { default: false }),
};

/** How every stage's model is measured. */
const evaluateKeys = {
  prompts: texts("held-out prompts: files, hub datasets, or world:NAME"),
  ...promptReadingKeys,
  reward: z
    .unknown()
    .optional()
    .meta({ description: "what scores the answers: world:gold, a stage, or a reward's specification" }),
  num_prompts: count("prompts that are answered", { default: 256 }),
  max_new_tokens: count("tokens of an answer", { default: 64 }),
  temperature: fromZero("of the answers' tokens; 0 takes the most likely ones", { default: 1 }),
  perplexity: texts("text or rows whose perplexity is measured"),
  perplexity_rows: count("rows of it", { default: 200 }),
  seed: whole("of the answers (default: the recipe's)"),
  kl_reference: text("the stage that KL is measured from (default: the first sft stage)"),
};

const topKeys = {
  base: text("another recipe, by its path from this file: its world, evaluation and stages come first"),
  name: text("of the run (default: the file's)"),
  seed: whole("of everything that is drawn", { default: 42 }),
  output_dir: text("the run's folder", { default: "runs/NAME" }),
  world: object(worldKeys, "the built-in world's data, as world:pretrain, world:sft, ..."),
  evaluate: object(evaluateKeys, "how every stage's model is measured"),
  max_minutes: positive("stop with a checkpoint after so many minutes"),
  push_to_hub: text("upload the last stage's model to owner/name on the hub, with HF_TOKEN"),
};

/** Keys of every stage that leaves a model, in recipes alone: the trainers' commands have a flag for it. */
const modelStageKeys = {
  push_to_hub: text("upload this stage's model to owner/name on the hub, with HF_TOKEN"),
};

/** A kind as recipes have it. */
const inRecipes = (kind: StageKind): StageKind =>
  kind.leavesModel ? { ...kind, keys: kind.keys.extend(modelStageKeys) } : kind;

const stageName = /^[a-z][a-z0-9_-]*$/i;

/** One kind's keys with its `trainer`. */
const withTrainer = ({ name, keys, description, required }: StageKind) =>
  z
    .strictObject({
      trainer: z.literal(name).meta({ description }),
      ...keys.shape,
      ...Object.fromEntries(
        required.map((key) => {
          const schema = keys.shape[key] as z.ZodOptional<z.ZodType>;
          return [key, schema.unwrap().meta(schema.meta() ?? {})];
        }),
      ),
    })
    .meta({ description });

/** The whole recipe's schema, from which the JSON Schema is made. */
export const recipeSchema = z
  .strictObject({
    ...topKeys,
    repeat: repeatKey,
    stages: z
      .record(z.string().regex(stageName), z.discriminatedUnion("trainer", stagesSchemas()))
      .meta({ description: "the stages, in order; a name is how later stages and --NAME.key mean one" }),
  })
  .meta({ title: "Attune recipe" });

function stagesSchemas() {
  return Object.values(stageKinds).map(inRecipes).map(withTrainer) as unknown as [
    ReturnType<typeof withTrainer>,
    ...ReturnType<typeof withTrainer>[],
  ];
}

export interface RecipeStage {
  readonly name: string;
  readonly trainer: string;
  /** Everything but `trainer`, under canonical names. */
  readonly keys: StageKeys;
  /** Where the stage's model is uploaded to: owner/name. */
  readonly push_to_hub?: string;
}

type Top = z.infer<z.ZodObject<typeof topKeys>>;

export interface Recipe extends Omit<Top, "base" | "name" | "seed" | "output_dir" | "push_to_hub"> {
  readonly name: string;
  readonly seed: number;
  readonly output_dir: string;
  readonly stages: readonly RecipeStage[];
  /** Names of the stages that came from a `base`, which other recipes may have in common. */
  readonly shared?: readonly string[];
}

/** Recipe text (YAML or JSON) as plain data; `source` names it in errors. */
export function parseYaml(content: string, source: string): Record<string, unknown> {
  const document = parseDocument(content, { prettyErrors: true, merge: true });
  const [problem] = document.errors;
  if (problem)
    throw new RecipeError(`${source}: ${(problem.message.split("\n")[0] as string).replace(/:$/, "")}`);
  const value = document.toJS() as unknown;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new RecipeError(`${source}: a recipe is required, with stages; got ${JSON.stringify(value)}`);
  return value as Record<string, unknown>;
}

/** Renames other spellings to the canonical one. */
function canonical(fields: Record<string, unknown>, shape: z.ZodRawShape, where: string) {
  const out = { ...fields };
  for (const [key, schema] of Object.entries(shape))
    for (const alias of ((schema as z.ZodType).meta()?.aliases ?? []) as string[]) {
      if (!(alias in out)) continue;
      if (key in out) throw new RecipeError(`${where}: ${alias} and ${key} are the same key; leave one out`);
      out[key] = out[alias];
      delete out[alias];
    }
  return out;
}

/** The keys of one stage, checked. */
export function stageKeys(kind: StageKind, fields: Record<string, unknown>, where: string): StageKeys {
  const { trainer: _, ...rest } = canonical(fields, kind.keys.shape, where);
  const missing = kind.required.filter((key) => rest[key] === undefined);
  const keys = validated(kind.keys, rest, where) as StageKeys;
  const given = kind.oneOf?.filter((key) => rest[key] !== undefined) ?? [];
  if (kind.oneOf && given.length !== 1)
    throw new RecipeError(
      `${where}: ${kind.oneOf.join(" or ")} is required, got ${given.length === 0 ? "neither" : "both"}`,
    );
  if (missing.length > 0)
    throw new RecipeError(`${where}: ${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} required`);
  checkTogether(kind, keys, where);
  return keys;
}

/** What contradicts itself is told now, and not after the stages before it have run. */
function checkTogether(kind: StageKind, keys: StageKeys, where: string): void {
  const options = optionsOf(keys);
  try {
    checkEarlyStopping(options, keys.eval_data !== undefined);
    kind.check?.(options);
  } catch (error) {
    throw error instanceof AttuneError ? new RecipeError(`${where}: ${error.message}`) : error;
  }
}

export interface ReadRecipeOptions {
  /** The file, for messages and the default name. */
  readonly source: string;
  readonly overrides?: readonly Override[];
}

/**
 * A recipe from its text, with fields of the command line.
 *
 * @throws RecipeError with every unknown key (and the nearest valid one), wrong value, or stage that is not there
 */
export function readRecipe(content: string, { source, overrides = [] }: ReadRecipeOptions): Recipe {
  return checkRecipe(withOverrides(parseYaml(content, source), overrides), source);
}

/** Plain data as a recipe. */
export function checkRecipe(fields: Record<string, unknown>, source: string): Recipe {
  const { stages, ...top } = unrolled(fields, stageKinds, source);
  if (top.base !== undefined)
    throw new RecipeError(`${source}: base is a file beside the recipe's own; read it with readRecipeFile`);
  const checked = validated(z.strictObject({ ...topKeys, stages: z.unknown() }), { ...top, stages }, source);
  if (
    typeof stages !== "object" ||
    stages === null ||
    Array.isArray(stages) ||
    Object.keys(stages).length === 0
  )
    throw new RecipeError(`${source}: stages: at least one named stage is required`);
  const known: string[] = [];
  const list = Object.entries(stages as Record<string, unknown>).map(([name, value]) => {
    const where = `${source}: ${name}`;
    if (!stageName.test(name))
      throw new RecipeError(`${where}: a stage's name is letters, digits, - and _, beginning with a letter`);
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new RecipeError(`${where}: a stage with its trainer is required, got ${JSON.stringify(value)}`);
    const stage = value as Record<string, unknown>;
    const trainer = stage.trainer ?? (name in stageKinds ? name : undefined);
    const kind = typeof trainer === "string" && Object.hasOwn(stageKinds, trainer) && stageKinds[trainer];
    if (!kind)
      throw new RecipeError(
        trainer === undefined
          ? `${where}: trainer is required: one of ${Object.keys(stageKinds).join(", ")}`
          : `${where}: trainer ${String(trainer)} is not known${didYouMean(String(trainer), Object.keys(stageKinds))}`,
      );
    const { push_to_hub: repo, ...keys } = stageKeys(inRecipes(kind), stage, where);
    checkOrder(kind, keys, { where, known, all: Object.keys(stages) });
    if (keys.reward !== undefined) checkReward(keys.reward, `${where}.reward`);
    if (keys.judge !== undefined) checkJudge(keys.judge, `${where}.judge`);
    known.push(name);
    return { name, trainer: kind.name, keys, ...(typeof repo === "string" && { push_to_hub: repo }) };
  });
  if (checked.evaluate?.reward !== undefined)
    checkReward(checked.evaluate.reward, `${source}: evaluate.reward`);
  const { push_to_hub, ...rest } = checked;
  const name = checked.name ?? nameOf(source);
  return {
    ...rest,
    name,
    seed: checked.seed ?? 42,
    output_dir: checked.output_dir ?? `runs/${name}`,
    stages: push_to_hub === undefined ? list : pushingLast(list, push_to_hub, source),
  };
}

/** The recipe's own `push_to_hub` is that of the last stage that leaves a model. */
function pushingLast(stages: readonly RecipeStage[], repo: string, source: string): RecipeStage[] {
  const at = stages.findLastIndex(({ trainer }) => (stageKinds[trainer] as StageKind).leavesModel);
  const last = stages[at];
  if (!last) throw new RecipeError(`${source}: push_to_hub: a stage that leaves a model is required`);
  if (last.push_to_hub !== undefined)
    throw new RecipeError(
      `${source}: push_to_hub: ${last.name}, the last stage, has one of its own; leave one out`,
    );
  return stages.with(at, { ...last, push_to_hub: repo });
}

const nameOf = (source: string): string =>
  (source.split(/[\\/]/).at(-1) as string).replace(/\.(ya?ml|json)$/, "") || "run";

/** A stage may use earlier ones, not itself or later ones. */
function checkOrder(
  kind: StageKind,
  keys: StageKeys,
  { where, known, all }: { where: string; known: readonly string[]; all: readonly string[] },
): void {
  for (const { key, name } of referencesOf(kind, keys))
    if (all.includes(name) && !known.includes(name))
      throw new RecipeError(`${where}.${key}: ${name} is not an earlier stage; put it before this one`);
}

/** The recipe as plain data again, as `recipe.yaml` of the run has it. */
export const recipeData = ({ stages, shared: _, ...top }: Recipe): Record<string, unknown> => ({
  ...top,
  stages: Object.fromEntries(
    stages.map(({ name, trainer, keys, push_to_hub }) => [
      name,
      { trainer, ...keys, ...(push_to_hub !== undefined && { push_to_hub }) },
    ]),
  ),
});
