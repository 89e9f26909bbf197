/**
 * A suite of measures: one YAML file that says which models answer which prompts, what scores the answers, and which
 * reward models judge which pairs.
 *
 *     models: { sft: runs/world/stages/sft, ppo: runs/world/stages/ppo }
 *     prompts: world:held-out
 *     rewards: { gold: world:gold, judge: runs/world/stages/reward }
 *     pairs: { held-out: world:preferences-held-out }
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { RecipeError } from "../errors.ts";
import { count, fromZero, object, text, texts, whole } from "../keys.ts";
import { promptReadingKeys } from "../prompts.ts";
import { parseYaml, worldKeys } from "../recipe.ts";
import { checkReward } from "../reward-check.ts";
import { validated } from "../validate.ts";

/** What can be measured, each with what it needs beside models. */
export const suiteMetrics = {
  reward: { needs: "rewards", description: "what each reward gives the answers, with intervals" },
  win_rate: { needs: "rewards", description: "against the baseline, by the first reward; ties half" },
  length_controlled_win_rate: {
    needs: "rewards",
    description: "the same, as if both answered at equal length",
  },
  leaderboard: {
    needs: "rewards",
    description: "Bradley-Terry and Elo ratings of all models, by the first reward",
  },
  alignment: { needs: "rewards", description: "rank correlation of every other reward with the first" },
  kl: {
    needs: "prompts",
    description: "between model and baseline in both directions, along the model's answers",
  },
  diversity: { needs: "prompts", description: "distinct-1 and -2, self-BLEU, repetition" },
  length: { needs: "prompts", description: "tokens of an answer, and the share that ended by itself" },
  rouge: {
    needs: "references",
    description: "ROUGE-1, -2 and -L of the answers against a column of the prompts' rows",
  },
  perplexity: { needs: "texts", description: "of the labels in held-out texts" },
  accuracy: { needs: "pairs", description: "of every reward on pairs, by file and subset, with calibration" },
} as const satisfies Record<string, { needs: string; description: string }>;

export type SuiteMetric = keyof typeof suiteMetrics;
const metricNames = Object.keys(suiteMetrics) as [SuiteMetric, ...SuiteMetric[]];

const named = <T extends z.ZodType>(value: T, description: string) =>
  z.record(z.string().regex(/^[\w.-]+$/), value).meta({ description });

export const suiteSchema = z
  .strictObject({
    name: text("of the suite (default: the file's)"),
    seed: whole("of answers and intervals", { default: 42 }),
    output_dir: text("where the figures go", { default: "runs/suites/NAME" }),
    world: object(worldKeys, "the built-in world's data, as world:held-out, ..."),
    models: named(z.string().min(1), "names with folders or hub ids").refine(
      (models) => Object.keys(models).length > 0,
      "at least one model",
    ),
    baseline: text("the model that the others are compared with (default: the first)"),
    prompts: texts("held-out prompts: files, hub datasets, or world:NAME"),
    ...promptReadingKeys,
    num_prompts: count("prompts that are answered", { default: 128 }),
    max_new_tokens: count("tokens of an answer", { default: 64 }),
    temperature: fromZero("of the answers' tokens; 0 takes the most likely ones", { default: 1 }),
    rewards: named(z.unknown(), "names with rewards; the first decides who wins").optional(),
    references: text("column of the prompts' rows with a reference answer"),
    texts: texts("text or rows whose perplexity is measured"),
    num_texts: count("rows of it", { default: 200 }),
    pairs: named(
      z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
      "names with pairs that the rewards judge",
    ).optional(),
    num_pairs: count("rows of each", { default: 500 }),
    subset: text("column of the pairs by which accuracy is split", { default: "kind" }),
    metrics: z
      .array(z.enum(metricNames))
      .min(1)
      .optional()
      .meta({ description: "what is measured (default: all that there is data for)" }),
  })
  .meta({ title: "Attune suite" });

export type SuiteFields = z.infer<typeof suiteSchema>;

export interface Suite extends SuiteFields {
  readonly name: string;
  readonly seed: number;
  readonly output_dir: string;
  readonly baseline: string;
  readonly metrics: SuiteMetric[];
}

/**
 * A suite from its text.
 *
 * @throws RecipeError with every unknown key (and the nearest valid one), wrong value, or metric without its data
 */
export function readSuite(content: string, { source }: { readonly source: string }): Suite {
  const fields = validated(suiteSchema as z.ZodType<SuiteFields>, parseYaml(content, source), source);
  const name = fields.name ?? (source.split(/[\\/]/).at(-1) as string).replace(/\.(ya?ml|json)$/, "");
  const models = Object.keys(fields.models);
  const { baseline = models[0] as string, rewards } = fields;
  if (!models.includes(baseline))
    throw new RecipeError(`${source}: baseline: one of ${models.join(", ")} is required, got ${baseline}`);
  for (const [reward, specification] of Object.entries(rewards ?? {}))
    checkReward(specification, `${source}: rewards.${reward}`);
  const has = {
    prompts: fields.prompts !== undefined,
    rewards: fields.prompts !== undefined && Object.keys(rewards ?? {}).length > 0,
    references: fields.prompts !== undefined && fields.references !== undefined,
    texts: fields.texts !== undefined,
    pairs: Object.keys(fields.pairs ?? {}).length > 0 && Object.keys(rewards ?? {}).length > 0,
  };
  const lacks = (metric: SuiteMetric) => !has[suiteMetrics[metric].needs];
  const without = fields.metrics?.filter(lacks) ?? [];
  if (without.length > 0)
    throw new RecipeError(
      `${source}: metrics: ${without.map((metric) => `${metric} needs ${suiteMetrics[metric].needs}`).join("; ")}`,
    );
  const metrics = fields.metrics ?? metricNames.filter((metric) => !lacks(metric));
  if (metrics.length === 0)
    throw new RecipeError(`${source}: prompts, texts or pairs are required, there is nothing to measure`);
  return {
    ...fields,
    name,
    seed: fields.seed ?? 42,
    output_dir: fields.output_dir ?? `runs/suites/${name}`,
    baseline,
    metrics,
  };
}

/** JSON Schema of suites, for completion and checks in editors. */
export const suiteJsonSchema = (): Record<string, unknown> =>
  z.toJSONSchema(suiteSchema, { io: "input" }) as Record<string, unknown>;

/** Every text in a value, at any depth. */
function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

/** What a row is made of, in a few letters: its settings, and size and time of the files that they name. */
export async function rowKey(settings: unknown): Promise<string> {
  const files = textsIn(settings).flatMap((path) => [
    path,
    join(path, "model.safetensors"),
    join(path, "model", "model.safetensors"),
  ]);
  const stamps = await Promise.all(
    files.map(async (path) => {
      const found = await stat(path).catch(() => undefined);
      return found?.isFile() ? `${found.size}:${found.mtimeMs}` : "";
    }),
  );
  return createHash("sha256")
    .update(JSON.stringify([settings, stamps]))
    .digest("hex")
    .slice(0, 16);
}
