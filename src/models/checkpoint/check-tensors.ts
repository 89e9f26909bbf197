/**
 * Do the tensors of a checkpoint fit a model? All differences are told at once.
 *
 * Checkpoints of the same model differ in harmless ways, which are smoothed out here: a base model's file leaves out the
 * prefix ("h.0..." for "transformer.h.0..."), old files carry masks and rotary tables as buffers, tied embeddings are
 * stored under either name or both, GPT-NeoX's head is "embed_out" or "lm_head", and BERT's oldest files call weight and
 * bias of a norm "gamma" and "beta". The heads that BERT was pre-trained with are left out.
 */
import type { HostArray } from "../../graph/array.ts";
import { CheckpointError } from "../errors.ts";

const prefixes = ["transformer.", "model.", "gpt_neox.", "bert.", "distilbert."];

/** Constants that old versions of transformers saved with the weights, and heads that predict masked tokens. */
const harmless =
  /(^|\.)(rotary_emb\.inv_freq|(attn|attention)\.(masked_)?bias|embeddings\.position_ids)$|^(cls\.|vocab_(transform|layer_norm|projector)\.)/;

/** Names of the input embedding, and of the output projection that may be tied to it. */
const embeddings = ["model.embed_tokens.weight", "transformer.wte.weight", "gpt_neox.embed_in.weight"];
const heads = ["lm_head.weight", "embed_out.weight"];

/** At most this many names of each kind in the message. */
const shown = 40;

export interface CheckTensorsOptions {
  /** Names the checkpoint in errors. */
  readonly source?: string;
  /** Expected names that may be absent, such as the head of a reward model made from a language model. */
  readonly allowMissing?: readonly string[];
  /** Names in the checkpoint that may be left over, such as "lm_head.weight" for a reward model. */
  readonly allowUnexpected?: readonly string[];
}

/**
 * Returns the tensors of `got` under the names of `expected`, in that order, without harmless extras.
 * Throws `CheckpointError` with every missing, unexpected and misshapen tensor, and when two tensors that the model
 * ties differ.
 */
export function checkTensors(
  expected: Readonly<Record<string, readonly number[]>>,
  got: Readonly<Record<string, HostArray>>,
  { source = "checkpoint", allowMissing = [], allowUnexpected = [] }: CheckTensorsOptions = {},
): Record<string, HostArray> {
  const named = withExpectedNames(expected, got);
  tie(expected, named, allowUnexpected, source);
  const missing: string[] = [];
  const misshapen: string[] = [];
  const out: Record<string, HostArray> = {};
  for (const [name, shape] of Object.entries(expected)) {
    const array = named.get(name);
    if (array === undefined) {
      if (!allowMissing.includes(name)) missing.push(`${name} [${shape.join(", ")}]`);
    } else if (array.shape.join() !== shape.join())
      misshapen.push(`${name} is [${array.shape.join(", ")}], expected [${shape.join(", ")}]`);
    else out[name] = array;
  }
  const unexpected = [...named]
    .filter(([name]) => !(name in expected) && !harmless.test(name) && !allowUnexpected.includes(name))
    .map(([name, array]) => `${name} [${array.shape.join(", ")}]`);
  const problems = Object.entries({ missing, unexpected, "of another shape": misshapen }).filter(
    ([, l]) => l.length,
  );
  if (problems.length > 0)
    throw new CheckpointError(
      `${source}: the tensors do not fit the configuration: ${problems.map(([kind, list]) => listed(kind, list)).join("\n")}`,
    );
  return out;
}

function listed(kind: string, list: readonly string[]): string {
  const more = list.length > shown ? [`... and ${list.length - shown} more`] : [];
  return [`${list.length} ${kind}:`, ...list.slice(0, shown), ...more].join("\n  ");
}

/** Adds or takes away a base model's prefix, and swaps the two names of GPT-NeoX's head, where that makes a name fit. */
function withExpectedNames(
  expected: Readonly<Record<string, readonly number[]>>,
  got: Readonly<Record<string, HostArray>>,
): Map<string, HostArray> {
  const nameFor = (stored: string): string => {
    const name = stored
      .replace(/LayerNorm\.gamma$/, "LayerNorm.weight")
      .replace(/LayerNorm\.beta$/, "LayerNorm.bias");
    if (name in expected) return name;
    const candidates = [
      ...prefixes.map((prefix) => prefix + name),
      ...prefixes.filter((prefix) => name.startsWith(prefix)).map((prefix) => name.slice(prefix.length)),
      ...(heads.includes(name) ? heads : []),
    ];
    // A tied head stands for an embedding that the file leaves out; `tie` sees to it.
    return candidates.find((candidate) => candidate in expected && !(candidate in got)) ?? name;
  };
  return new Map(Object.entries(got).map(([name, array]) => [nameFor(name), array]));
}

/** Where the model has only an input embedding, the checkpoint may store it as the head, or both, if they are equal. */
function tie(
  expected: Readonly<Record<string, readonly number[]>>,
  named: Map<string, HostArray>,
  allowUnexpected: readonly string[],
  source: string,
): void {
  const isTied = !heads.some((name) => name in expected);
  const embedding = [...embeddings, ...embeddings.map((name) => name.replace(/^\w+\./, ""))].find(
    (n) => n in expected,
  );
  const head = heads.find((name) => named.has(name));
  if (!isTied || embedding === undefined || head === undefined) return;
  const [input, output] = [named.get(embedding), named.get(head) as HostArray];
  if (input === undefined) named.set(embedding, output);
  else if (!allowUnexpected.includes(head) && !sameValues(input, output)) {
    throw new CheckpointError(
      `${source}: ${embedding} and ${head} differ, but the configuration ties them: set tie_word_embeddings to false`,
    );
  }
  named.delete(head);
}

const sameValues = (a: HostArray, b: HostArray): boolean =>
  a.data.length === b.data.length &&
  (a.data as Float32Array).every((value, i) => Object.is(value, b.data[i]));
