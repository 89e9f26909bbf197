/** Options of a reward, checked, whether they come from a recipe, the command line or code. */
import type { z } from "zod";
import { didYouMean } from "../graph/nearest.ts";
import { RewardError } from "./reward.ts";

/**
 * Options that a schema has checked; a message names what is wrong and the nearest valid option.
 *
 * @throws RewardError
 */
export function parseOptions<S extends z.ZodObject>(what: string, schema: S, options: unknown): z.infer<S> {
  const { success, data, error } = schema.safeParse(options);
  if (success) return data;
  const [issue] = error.issues;
  const known = Object.keys(schema.shape);
  const fail = (message: string) => new RewardError(`${what}: ${message}`, { wrongUsage: true });
  if (issue?.code === "unrecognized_keys")
    throw fail(
      `there is no option ${issue.keys[0]}` +
        (known.length === 0 ? "; it has none" : didYouMean(issue.keys[0] as string, known)),
    );
  const path = issue?.path.join(".") ?? "";
  const given = path === "" ? options : (options as Record<string, unknown>)[issue?.path[0] as string];
  throw fail(
    `${path}: ${given === undefined ? "a value is required" : `${issue?.message}, got ${JSON.stringify(given)}`}`,
  );
}
