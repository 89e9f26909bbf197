/** The JSON Schema of recipes, for completion and checks in editors; `recipes/recipe.schema.json` is this, written down. */
import { z } from "zod";
import { recipeSchema } from "./recipe.ts";

/** Draft 2020-12; other spellings of a key are keys too. */
export function recipeJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(recipeSchema, { io: "input" }) as Record<string, unknown>;
  spellOut(schema);
  return schema;
}

type Properties = Record<string, Record<string, unknown>>;

/** Puts a property beside each that has `aliases`, for each of them, at every depth. */
function spellOut(node: unknown): void {
  if (typeof node !== "object" || node === null) return;
  const { properties } = node as { properties?: Properties };
  for (const [key, { aliases, ...rest }] of Object.entries(properties ?? {})) {
    if (!aliases) continue;
    for (const name of [key, ...(aliases as string[])]) (properties as Properties)[name] = rest;
  }
  for (const child of Object.values(node)) spellOut(child);
}
