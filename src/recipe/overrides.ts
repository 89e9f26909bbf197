/**
 * Fields of a recipe from the command line: `--ppo.kl_coef 0.05`, `--seed=7`, `--evaluate.n 50`. A path begins with a
 * stage's name or with a key of the recipe; kebab-case is understood. A value is read as YAML reads it.
 */
import { parse } from "yaml";

/** One field: where, and what. */
export interface Override {
  readonly path: readonly string[];
  readonly value: unknown;
  /** As it was given, for messages. */
  readonly flag: string;
}

/** Something on the command line that is no override: wrong usage. */
export class OverrideError extends Error {}

const snake = (name: string): string => name.replaceAll("-", "_");

/** Reads `--path value`, `--path=value` and, for a boolean, `--path` or `--no-path`. */
export function parseOverrides(args: readonly string[]): Override[] {
  const out: Override[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (!arg.startsWith("--") || arg.length === 2)
      throw new OverrideError(`${arg}: a field of the recipe is required, as in --ppo.kl_coef 0.05`);
    const [name, inline] = splitOnce(arg.slice(2));
    const next = args[i + 1];
    if (inline === undefined && (next === undefined || next.startsWith("--"))) {
      const off = name.startsWith("no-");
      out.push({ path: pathOf(off ? name.slice(3) : name), value: !off, flag: `--${name}` });
      continue;
    }
    if (inline === undefined) i++;
    out.push({ path: pathOf(name), value: scalar(inline ?? (next as string)), flag: `--${name}` });
  }
  return out;
}

const pathOf = (name: string): string[] => name.split(".").map(snake);

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** Numbers, booleans, lists and objects as in YAML; a text that is none of them stays one. */
function scalar(text: string): unknown {
  try {
    return parse(text) ?? text;
  } catch {
    return text;
  }
}

type Fields = Record<string, unknown>;

/** The recipe with the fields set; a first name that is a stage's goes to that stage. */
export function withOverrides(recipe: Fields, overrides: readonly Override[]): Fields {
  const out = structuredClone(recipe);
  for (const { path, value } of overrides) {
    const stages = out.stages as Fields | undefined;
    const first = path[0] as string;
    const name = stages && Object.keys(stages).find((key) => snake(key) === first);
    const full = name !== undefined ? ["stages", name, ...path.slice(1)] : path;
    let at = out;
    for (const key of full.slice(0, -1)) {
      const below = at[key];
      at[key] = typeof below === "object" && below !== null ? below : {};
      at = at[key] as Fields;
    }
    at[full.at(-1) as string] = value;
  }
  return out;
}
