/** Values against schemas, with every problem in one line of our own words: which key, what is required, what came. */
import type { z } from "zod";
import { didYouMean } from "../graph/nearest.ts";
import { RecipeError } from "./errors.ts";

type Path = readonly PropertyKey[];

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);

const shown = (value: unknown): string => (value === undefined ? "nothing" : JSON.stringify(value));

/** The keys of the object schema at a path, for suggestions. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let at: z.ZodType | undefined = schema;
  const open = (s: z.ZodType | undefined): z.ZodType | undefined =>
    s && "unwrap" in s ? open((s as z.ZodOptional<z.ZodType>).unwrap()) : s;
  for (const key of path) at = shapeOf(open(at))?.[String(key)];
  return Object.entries(shapeOf(open(at)) ?? {}).flatMap(([key, of]) => [
    key,
    ...((of.meta()?.aliases ?? []) as string[]),
  ]);
}

const shapeOf = (schema: z.ZodType | undefined): Record<string, z.ZodType> | undefined =>
  schema && "shape" in schema ? (schema.shape as Record<string, z.ZodType>) : undefined;

/** What each kind of problem requires, in words. */
function requirement(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.expected === "int"
        ? "a whole number"
        : `${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`;
    case "invalid_value":
      return issue.values.length === 1
        ? String(issue.values[0])
        : `one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      if (issue.origin === "string" || issue.origin === "array") return "something that is not empty";
      return issue.inclusive ? `at least ${issue.minimum}` : `above ${issue.minimum}`;
    case "too_big":
      return issue.inclusive ? `at most ${issue.maximum}` : `below ${issue.maximum}`;
    case "invalid_union":
      return [...new Set(issue.errors.map((branch) => branch.map(requirement).join(" and ")))].join(", or ");
    default:
      return issue.message;
  }
}

/** All problems of a value, one phrase each. */
export function problemsOf(error: z.ZodError, schema: z.ZodType, value: unknown): string[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === "unrecognized_keys")
      return issue.keys.map(
        (key) => `${[...path, key].join(".")} is not a key${didYouMean(key, keysAt(schema, issue.path))}`,
      );
    const came = valueAt(value, issue.path);
    return [`${path.join(".") || "the value"}: ${requirement(issue)} is required, got ${shown(came)}`];
  });
}

/**
 * The value as the schema has it.
 *
 * @throws RecipeError with `source` and every problem
 */
export function validated<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new RecipeError(`${source}: ${problemsOf(result.error, schema, value).join("; ")}`);
}
