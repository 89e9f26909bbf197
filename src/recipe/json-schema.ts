/** The JSON Schema of recipes, for completion and checks in editors; `recipes/recipe.schema.json` is this, written down. */
import { z } from "zod";
import { recipeSchema } from "./recipe.ts";

/** Draft 2020-12; other spellings of a key are keys too. */
export function recipeJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(recipeSchema, {
    io: "input",
    override: ({ jsonSchema }) => {
      const { properties } = jsonSchema;
      for (const schema of Object.values(properties ?? {})) {
        const { aliases } = schema as { aliases?: readonly string[] };
        if (!aliases || !properties) continue;
        delete (schema as { aliases?: unknown }).aliases;
        for (const alias of aliases) properties[alias] = structuredClone(schema);
      }
    },
  }) as Record<string, unknown>;
}
