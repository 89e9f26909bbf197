/** Which stages a recipe's values name: as a model, as data, or anywhere inside a reward. */
import { ensembleOfText } from "../reward/spec.ts";
import type { StageKeys, StageKind } from "./stage.ts";

const dataKeys = ["data", "eval_data", "normalize_data"];

/** Every text in a value, with its weight (`0.5*judge`, `pairs=2`) taken off. */
export function namesIn(value: unknown): string[] {
  if (typeof value === "string") {
    const name = value.replace(/^\s*[-+.\d]+\s*\*\s*/, "");
    return ensembleOfText(name)?.ensemble.flatMap(namesIn) ?? [name.replace(/=[.\d]+$/, "")];
  }
  if (Array.isArray(value)) return value.flatMap(namesIn);
  if (typeof value !== "object" || value === null) return [];
  const { model, reward, ensemble } = value as Record<string, unknown>;
  return [model, reward, ensemble].flatMap(namesIn);
}

/** The names that a stage's keys use, each with its key. */
export const referencesOf = ({ models }: Pick<StageKind, "models">, keys: StageKeys) =>
  [...models, ...dataKeys].flatMap((key) => namesIn(keys[key]).map((name) => ({ key, name })));
