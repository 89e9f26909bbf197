/** Which stages a recipe's values name: as a model, as data, or anywhere inside a reward. */
import { ensembleOfText } from "../reward/spec.ts";
import type { StageKeys, StageKind } from "./stage.ts";

/** Keys of stages whose values name data. */
export const dataKeys = ["data", "eval_data", "normalize_data"];

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

/** `ensemble:a,b?combine=wco`: what stands before the names, the names, what stands behind them. */
const ensemble = /^(\s*(?:[-+.\d]+\s*\*\s*)?ensemble:)([^?]+)(\?.*)?$/s;
/** A name with its weight before or behind it. */
const weighted = /^(\s*[-+.\d]+\s*\*\s*)?(.*?)(=[.\d]+)?$/s;

export type NameKind = "model" | "data";

/** The keys with other names in place of those that they use; undefined leaves a name, several make a list. */
export function renamedKeys(
  keys: StageKeys,
  { models }: Pick<StageKind, "models">,
  rename: (name: string, kind: NameKind) => string | readonly string[] | undefined,
): StageKeys {
  const one = (name: string, kind: NameKind): string => [rename(name, kind) ?? name].flat().join(",");
  const walk = (value: unknown, kind: NameKind): unknown => {
    if (typeof value === "string") {
      const [, start, members, options = ""] = ensemble.exec(value) ?? [];
      if (start !== undefined && members !== undefined)
        return `${start}${members
          .split(",")
          .map((name) => one(name.trim(), kind))
          .join(",")}${options}`;
      const [, before = "", name = "", after = ""] = weighted.exec(value) ?? [];
      const found = rename(name, kind);
      if (found === undefined) return value;
      return typeof found === "string"
        ? `${before}${found}${after}`
        : found.map((each) => `${before}${each}${after}`);
    }
    if (Array.isArray(value)) return value.flatMap((part) => walk(part, kind));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, walk(part, kind)]));
  };
  return Object.fromEntries(
    Object.entries(keys).map(([key, value]) => [
      key,
      models.includes(key) ? walk(value, "model") : dataKeys.includes(key) ? walk(value, "data") : value,
    ]),
  );
}
