/**
 * Stages that are repeated (`repeat` in a recipe), unrolled: iterated training, in which a policy's own samples are
 * compared, the reward model learns from them, and the policy goes on.
 *
 *     stages: { sft: ..., pairs: { model: ppo, ... }, judge: { data: [world:preferences, pairs], ... }, ppo: ... }
 *     repeat: { stages: [pairs, judge, ppo], times: 3, from: { ppo: sft } }
 *
 * The rounds are stages pairs-1, judge-1, ppo-1, pairs-2, ... Within a round a name means the stage of this round where
 * that comes earlier, and else the one of the round before; in the first round, what `from` says. As data a name means
 * the rows of all rounds so far: what people compared once stays known.
 */
import { z } from "zod";
import { RecipeError } from "./errors.ts";
import { count, object } from "./keys.ts";
import { renamedKeys } from "./references.ts";
import type { StageKind } from "./stage.ts";
import { validated } from "./validate.ts";

type Fields = Record<string, unknown>;

const keys = {
  stages: z
    .array(z.string())
    .min(1)
    .meta({ description: "names of the stages that are repeated, in their order" }),
  times: count("rounds", { default: 2 }),
  from: z
    .record(z.string(), z.string())
    .optional()
    .meta({ description: "what a later stage of the round means in the first one, as ppo: sft" }),
};

export const repeatKey = object(keys, "stages that are repeated: iterated training");

interface Rounds {
  readonly names: readonly string[];
  readonly times: number;
  readonly from: Readonly<Record<string, string>>;
  readonly source: string;
}

const roundName = (name: string, round: number): string => `${name}-${round}`;

/**
 * The recipe's fields with its rounds written out.
 *
 * @throws RecipeError for a stage that is not there, or a first round that nothing leads into
 */
export function unrolled(fields: Fields, kinds: Readonly<Record<string, StageKind>>, source: string): Fields {
  const { repeat, ...rest } = fields;
  const stages = rest.stages as Fields | undefined;
  if (repeat === undefined || typeof stages !== "object" || stages === null) return fields;
  const {
    stages: asked,
    times = 2,
    from = {},
  } = validated(z.strictObject(keys), repeat, `${source}: repeat`);
  const missing = asked.find((name) => stages[name] === undefined);
  if (missing !== undefined)
    throw new RecipeError(
      `${source}: repeat: ${missing} is not a stage; there are ${Object.keys(stages).join(", ")}`,
    );
  const names = Object.keys(stages).filter((name) => asked.includes(name));
  const rounds: Rounds = { names, times, from, source };
  const out: Fields = {};
  let isDone = false;
  for (const [name, stage] of Object.entries(stages)) {
    if (!names.includes(name)) {
      out[name] = isDone ? inRound(name, stage, kinds, { rounds, round: times, place: names.length }) : stage;
      continue;
    }
    if (isDone) continue;
    for (let round = 1; round <= times; round++)
      for (const [place, each] of names.entries())
        out[roundName(each, round)] = inRound(each, stages[each], kinds, { rounds, round, place });
    isDone = true;
  }
  return { ...rest, stages: out };
}

/** A stage as it is in a round; `place` is its place in the round. */
function inRound(
  name: string,
  stage: unknown,
  kinds: Readonly<Record<string, StageKind>>,
  { rounds, round, place }: { readonly rounds: Rounds; readonly round: number; readonly place: number },
): unknown {
  if (typeof stage !== "object" || stage === null || Array.isArray(stage)) return stage;
  const { names, from, source } = rounds;
  const { trainer = name, ...own } = stage as Fields;
  const kind = kinds[trainer as string];
  if (!kind) return stage;
  const renamed = renamedKeys(own, kind, (used, which) => {
    const at = names.indexOf(used);
    if (at < 0) return undefined;
    const last = at < place ? round : round - 1;
    if (which === "data") {
      const before = Array.from({ length: last }, (_, i) => roundName(used, i + 1));
      return before.length === 1 ? before[0] : before;
    }
    if (last > 0) return roundName(used, last);
    const first = from[used];
    if (first !== undefined) return first;
    throw new RecipeError(
      `${source}: repeat.from: what ${used} means to ${name} in the first round is required, as in from: { ${used}: sft }`,
    );
  });
  return { trainer, ...renamed };
}
