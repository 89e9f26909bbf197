/**
 * Preference data of graded quality from templates: prompts with slots, values for the slots, and a response template,
 * or several, for each level. Which responses a row compares, and all values, are a function of seed and row.
 */
import { z } from "zod";
import { DataError } from "./errors.ts";
import { createDraw, type Draw } from "./world/draw.ts";

const synthShapes = ["pairs", "rankings", "ratings"] as const;
export type SynthShape = (typeof synthShapes)[number];

export interface SynthOptions {
  /** Levels to use, the best first. Default: those of the templates, in their order. */
  readonly levels?: readonly string[];
  readonly n?: number;
  readonly seed?: number;
  readonly as?: SynthShape;
}

const texts = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
const values = z.record(z.string(), z.array(z.union([z.string(), z.number()])).min(1));
const schema = z.strictObject({
  values: values.default({}),
  templates: z
    .array(
      z.strictObject({
        kind: z.string().optional(),
        prompt: texts,
        /** Slots of this template alone. */
        values: values.default({}),
        responses: z.record(z.string(), texts),
      }),
    )
    .min(1),
});

/** What a template file holds, once read. */
export type SynthTemplates = z.input<typeof schema>;

type Template = z.infer<typeof schema>["templates"][number];

const slot = /\{(\w+)\}/g;
const listOf = (text: string | readonly string[]): readonly string[] =>
  typeof text === "string" ? [text] : text;
const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ") || "none";

/**
 * Rows for the trainers: `prompt, chosen, rejected, level_chosen, level_rejected`, or `prompt, completions, ranks,
 * levels`, or `prompt, completion, rating, level`, where the rating of the best level is how many levels there are.
 *
 * @throws DataError when the templates lack something, name an unknown slot, or the levels do not fit
 */
export function synthesize(templates: unknown, options: SynthOptions = {}): Record<string, unknown>[] {
  const { n = 1000, seed = 42, as = "pairs" } = options;
  const { levels, list, shared } = checked(templates, options.levels);
  return Array.from({ length: n }, (_, i) => {
    const draw = createDraw(seed, i);
    const template = draw.pick(list);
    const choices = { ...shared, ...template.values };
    const chosen = new Map(
      Object.entries(choices).map(([name, options]) => [name, String(draw.pick(options))]),
    );
    const written = (text: string | readonly string[]) =>
      draw.pick(listOf(text)).replace(slot, (_, name: string) => chosen.get(name) as string);
    const prompt = written(template.prompt);
    const row = { prompt, ...(template.kind !== undefined && { kind: template.kind }) };
    const response = (level: string) => written(template.responses[level] as string | readonly string[]);
    return { ...row, ...shapes[as](levels, response, draw) };
  });
}

type Shape = (
  levels: readonly string[],
  response: (level: string) => string,
  draw: Draw,
) => Record<string, unknown>;

/** What a row compares. A shape is a row. */
const shapes: Readonly<Record<SynthShape, Shape>> = {
  pairs(levels, response, draw) {
    const one = draw.below(levels.length);
    const two = draw.other([...levels.keys()], one);
    const [better, worse] = [Math.min(one, two), Math.max(one, two)].map((at) => levels[at] as string) as [
      string,
      string,
    ];
    return {
      chosen: response(better),
      rejected: response(worse),
      level_chosen: better,
      level_rejected: worse,
    };
  },
  rankings: (levels, response) => ({
    completions: levels.map(response),
    ranks: levels.map((_, at) => at + 1),
    levels,
  }),
  ratings(levels, response, draw) {
    const at = draw.below(levels.length);
    const level = levels[at] as string;
    return { completion: response(level), rating: levels.length - at, level };
  },
};

/** Templates whose every slot has values and whose levels have responses. */
function checked(input: unknown, wanted: readonly string[] | undefined) {
  const result = schema.safeParse(input);
  if (!result.success) {
    const { path, message } = result.error.issues[0] as z.core.$ZodIssue;
    throw new DataError(
      `templates: ${path.length > 0 ? `${path.join(".")}: ` : ""}${message}; required are templates with prompt and responses by level, and values of the slots`,
    );
  }
  const { templates, values: shared } = result.data;
  const levels = wanted ?? Object.keys((templates[0] as Template).responses);
  if (levels.length < 2 || new Set(levels).size < levels.length)
    throw new DataError(
      `levels: at least two different levels are required, the best first, got ${quoted(levels)}`,
    );
  for (const [i, template] of templates.entries()) {
    const missing = levels.filter((level) => template.responses[level] === undefined);
    if (missing.length > 0)
      throw new DataError(
        `templates.${i}.responses: the levels ${quoted(levels)} are required, ${quoted(missing)} missing; it has ${quoted(Object.keys(template.responses))}`,
      );
    const known = new Set([...Object.keys(shared), ...Object.keys(template.values)]);
    const used = [template.prompt, ...levels.map((level) => template.responses[level] as string)].flatMap(
      listOf,
    );
    for (const text of used)
      for (const [, name] of text.matchAll(slot))
        if (!known.has(name as string))
          throw new DataError(
            `templates.${i}: the slot {${name}} has no values; values are there for ${quoted([...known])}`,
          );
  }
  return { levels, list: templates, shared };
}
