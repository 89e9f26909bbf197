/** Ragged rows beside padded ones, for every family: the same figures and the same gradients. */
import { afterAll, beforeAll, it } from "vitest";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import {
  compile,
  flatten,
  gather,
  type HostArray,
  hostArray,
  type LocalEngine,
  mul,
  sum,
  type Tensor,
  type Tree,
  tokenLogProbs,
  unflatten,
  valueAndGrad,
} from "../graph/index.ts";
import { expectClose, goldenModel } from "../models/families/parity.fixture.ts";
import type { RaggedBatch } from "../models/families/ragged.ts";
import { hiddenStates, logitsOf, parameterSpecs, tokenSpec } from "../models/model.ts";
import { packRuns, type RaggedRows, raggedArrays, raggedRows, raggedSpecs } from "./packed-rows.ts";
import { lengthOf, packResponses, responseTokens, type TokenSequence } from "./response-rows.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const ids = (count: number, from: number) => Array.from({ length: count }, (_, i) => (from + 7 * i) % 50);
const sequences: TokenSequence[] = [
  { promptIds: ids(4, 1), ids: ids(3, 20) },
  { promptIds: ids(2, 9), ids: ids(5, 30) },
  { promptIds: ids(4, 1), ids: ids(6, 40) },
  { promptIds: ids(1, 5), ids: ids(2, 3) },
  { promptIds: ids(4, 1), ids: [8] },
];
const tokens = responseTokens(sequences);

/** All responses to a prompt behind it, in one row with whatever else fits. */
function together(): RaggedRows {
  const prompts = [sequences[0], sequences[1], sequences[3]] as TokenSequence[];
  const membersOf = (prompt: TokenSequence) =>
    sequences.flatMap(({ promptIds }, i) => (`${promptIds}` === `${prompt.promptIds}` ? [i] : []));
  const packed = packRuns(
    prompts.map((prompt) => ({
      prompt: Array.from(prompt.promptIds).slice(0, -1),
      branches: membersOf(prompt).map((i) => [
        Array.from(prompt.promptIds).at(-1) as number,
        ...Array.from(sequences[i]?.ids ?? []).slice(0, -1),
      ]),
    })),
    { length: 20 },
  );
  const starts = new Map<number, number>();
  for (const [r, prompt] of prompts.entries())
    for (const [b, i] of membersOf(prompt).entries()) starts.set(i, packed.starts[r]?.branches[b] as number);
  return raggedRows(
    packed,
    sequences.flatMap((sequence, i) => Array.from(sequence.ids, (_, t) => (starts.get(i) as number) + t)),
  );
}

/** One sequence a row, padded on the right. */
function padded() {
  const length = Math.max(...sequences.map(lengthOf));
  const rows = sequences.flatMap((sequence) => {
    const row = [...Array.from(sequence.promptIds), ...Array.from(sequence.ids).slice(0, -1)];
    return [...row, ...Array(length - row.length).fill(0)];
  });
  const places = sequences.flatMap(({ promptIds, ids: response }, row) =>
    Array.from(response, (_, t) => row * length + promptIds.length - 1 + t),
  );
  return {
    input_ids: hostArray("int64", [sequences.length, length], rows),
    places: hostArray("int64", [places.length], places),
  };
}

const families = ["gpt2", "llama", "mistral", "qwen3", "gpt-neox", "gpt-neox-sequential", "gpt-neo"];

for (const name of families)
  it(`${name} finds the same in ragged rows as in padded ones, prompts shared or not`, async () => {
    const { config, parameters } = await goldenModel(name);
    const found = async (specs: object, batch: object, hidden: (p: Tree<Tensor>, b: never) => Tensor) => {
      const program = compile(
        (params, given, { tokens, weights }) => {
          let logProbs: Tensor | undefined;
          const [, gradients] = valueAndGrad((p: Tree<Tensor>) => {
            logProbs = tokenLogProbs(logitsOf(config, p, hidden(p, given as never)), tokens as Tensor);
            return sum(mul(logProbs, weights as Tensor));
          })(params);
          return { logProbs: logProbs as Tensor, gradients };
        },
        [
          parameterSpecs(config),
          specs as never,
          { tokens: tokenSpec(["M"]), weights: { dtype: "float32", shape: ["M"] } },
        ] as const,
      );
      const list = (dtype: "int64" | "float32", values: number[]) =>
        hostArray(dtype, [values.length], values);
      return engine.run(await engine.load(program), [
        unflatten(parameters),
        batch as never,
        {
          tokens: list("int64", tokens),
          weights: list(
            "float32",
            tokens.map((_, i) => 1 - 0.3 * (i % 5)),
          ),
        },
      ]);
    };
    const wanted = await found(
      { input_ids: tokenSpec(), places: tokenSpec(["M"]) },
      padded(),
      (p, { input_ids, places }: Record<string, Tensor>) =>
        gather(hiddenStates(config, p, { input_ids: input_ids as Tensor }), places as Tensor),
    );
    for (const rows of [packResponses(sequences), together()]) {
      const got = await found(raggedSpecs, raggedArrays(rows), (p, batch: RaggedBatch) =>
        hiddenStates(config, p, batch),
      );
      expectClose("log-probabilities", got.logProbs as HostArray, wanted.logProbs as HostArray);
      const gradients = flatten(wanted.gradients as Tree<HostArray>);
      for (const [path, gradient] of Object.entries(flatten(got.gradients as Tree<HostArray>)))
        expectClose(path, gradient, gradients[path] as HostArray, { tolerance: 1e-4 });
    }
  });
