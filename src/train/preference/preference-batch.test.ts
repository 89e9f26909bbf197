import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  compile,
  type Engine,
  grad,
  type HostArray,
  hostArray,
  mul,
  sum,
  type Tensor,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { hiddenStates, logitsOf, tokenSpec } from "../../models/model.ts";
import { specsOf } from "../loop/trainable.ts";
import {
  collateRuns,
  type PairIds,
  pairRun,
  responseLogProbs,
  runSize,
  runSpec,
} from "./preference-batch.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const pair = (prompt: number[], chosen: number[], rejected: number[]): PairIds => ({
  prompt: Int32Array.from(prompt),
  chosen: Int32Array.from(chosen),
  rejected: Int32Array.from(rejected),
});
const pairs = [
  pair([5, 9, 11, 3, 8, 7], [20, 21, 22, 23, 24, 2], [30, 31, 2]),
  pair([6], [2], [40, 41, 42, 43, 44, 45, 46, 2]),
  pair([], [12, 13, 2], [14, 2]),
];

async function sidesFrom({ config, parameters }: Model, batch: readonly PairIds[]): Promise<number[]> {
  const program = await engine.load(
    compile((p, b) => ({ logps: responseLogProbs(config, p, b) }), [specsOf(parameters), runSpec()] as const),
  );
  const out = await engine.run(program, [unflatten(parameters), collateRuns(batch.map(pairRun))]);
  return [...((out.logps as HostArray).data as Float32Array)];
}

/** Log-probability of a response as the equation has it: one row of its own, log softmax of every logit, in float64. */
async function plainly(
  { config, parameters }: Model,
  prompt: Int32Array,
  response: Int32Array,
): Promise<number> {
  const program = await engine.load(
    compile(
      (p, b) => ({
        logits: logitsOf(config, p, hiddenStates(config, p, { input_ids: b.input_ids as Tensor })),
      }),
      [specsOf(parameters), { input_ids: tokenSpec() }] as const,
    ),
  );
  const ids = [...prompt, ...response];
  const out = await engine.run(program, [
    unflatten(parameters),
    { input_ids: hostArray("int64", [1, ids.length], ids) },
  ]);
  const logits = (out.logits as HostArray).data as Float32Array;
  let total = 0;
  for (let t = Math.max(1, prompt.length); t < ids.length; t++) {
    const row = [...logits.slice((t - 1) * config.vocabSize, t * config.vocabSize)];
    total += (row[ids[t] as number] as number) - Math.log(row.reduce((z, x) => z + Math.exp(x), 0));
  }
  return total;
}

describe("the log-probabilities of a pair's responses", () => {
  it.each(["gpt2", "llama", "mistral", "qwen3", "gpt-neo", "gpt-neox"])(
    "are sums over the tokens of each response alone, as in a row of its own (%s)",
    async (name) => {
      const model = await loadModel(`test/parity/golden/models/${name}`);
      const together = await sidesFrom(model, pairs);
      for (const [i, { prompt, chosen, rejected }] of pairs.entries())
        for (const [side, response] of [chosen, rejected].entries())
          expect(together[2 * i + side], `pair ${i}, side ${side}`).toBeCloseTo(
            await plainly(model, prompt, response),
            4,
          );
    },
  );

  it("do not change with the padding that longer pairs bring, nor with the other response", async () => {
    const model = await loadModel("test/parity/golden/models/llama");
    const [first] = pairs as [PairIds];
    const alone = await sidesFrom(model, [first]);
    const long = pair([1, 3], Array(40).fill(9), Array(30).fill(8));
    const padded = await sidesFrom(model, [long, first]);
    for (const side of [0, 1]) expect(padded[2 + side]).toBeCloseTo(alone[side] as number, 4);
    const other = await sidesFrom(model, [{ ...first, chosen: Int32Array.of(33, 34, 35, 2) }]);
    expect(other[1]).toBeCloseTo(alone[1] as number, 4);
    expect(Math.abs((other[0] as number) - (alone[0] as number))).toBeGreaterThan(0.1);
  });

  it("have gradients, which agree with differences", async () => {
    const model = await loadModel("test/parity/golden/models/llama");
    const { config, parameters } = model;
    const name = "model.layers.0.self_attn.v_proj.weight";
    const batch = collateRuns(pairs.map(pairRun));
    const loss = (p: Tree<Tensor>, b: Tree<Tensor>) =>
      sum(mul(responseLogProbs(config, p, b), b.weights as Tensor));
    const weights = hostArray("float32", [3, 2], [1, -1, 0.5, -0.25, 1, 0.75]);
    const program = await engine.load(
      compile((p, b) => ({ loss: loss(p, b), slope: grad(loss)(p, b) }) as Tree<Tensor>, [
        specsOf(parameters),
        { ...runSpec(), weights: { dtype: "float32", shape: ["B", 2] } },
      ] as const),
    );
    const at = async (shift: (i: number) => number) => {
      const moved = parameters[name] as HostArray;
      const data = Float32Array.from(moved.data as Float32Array, (x, i) => x + shift(i));
      const out = await engine.run(program, [
        unflatten({ ...parameters, [name]: { ...moved, data } as HostArray }),
        { ...batch, weights },
      ]);
      return out as { loss: HostArray; slope: Tree<HostArray> };
    };
    const direction = (i: number) => Math.sin(3 * i + 1);
    const { slope } = await at(() => 0);
    const flat = name
      .split(".")
      .reduce((tree, key) => tree[key] as Tree<HostArray>, slope) as unknown as HostArray;
    const exact = [...(flat.data as Float32Array)].reduce((s, g, i) => s + g * direction(i), 0);
    const step = 1e-2;
    const [up, down] = [await at((i) => step * direction(i)), await at((i) => -step * direction(i))];
    const measured = (Number(up.loss.data[0]) - Number(down.loss.data[0])) / (2 * step);
    expect(exact / measured).toBeCloseTo(1, 2);
  });
});

describe("the rows of pairs", () => {
  const numbers = (array: HostArray | undefined) => Array.from(array?.data as BigInt64Array, Number);

  it("are real tokens alone, without the last token of a response, which predicts nothing", () => {
    expect(pairs.map((pair) => runSize(pairRun(pair)))).toEqual([13, 8, 3]);
    const { ragged, picks, tokens, owners, lengths } = collateRuns(pairs.map(pairRun));
    expect(ragged.input_ids.shape).toEqual([24]);
    // Each hidden state is computed once: the end of a prompt predicts the first token of both responses.
    expect(ragged.reads.shape).toEqual([19]);
    expect(numbers(picks)).toHaveLength(21);
    expect(numbers(picks).slice(0, 9)).toEqual([0, 1, 2, 3, 4, 5, 0, 6, 7]);
    expect(numbers(tokens).slice(0, 9)).toEqual([20, 21, 22, 23, 24, 2, 30, 31, 2]);
    expect(numbers(owners).filter((x) => x === 0)).toHaveLength(6);
    expect([...(lengths.data as Float32Array)]).toEqual([6, 3, 1, 8, 2, 1]); // no prompt precedes the third
  });

  it("have the prompt of both responses once where it is long, and twice where long rows would cost more", () => {
    const long = pair(Array(40).fill(7), Array(20).fill(9), Array(20).fill(8));
    expect(collateRuns([pairRun(long)]).ragged.input_ids.shape).toEqual([40 + 19 + 19]);
    const short = pair([7, 7], Array(60).fill(9), Array(60).fill(8));
    expect(collateRuns([pairRun(short)]).ragged.input_ids.shape).toEqual([2 + 59 + 2 + 59]);
  });

  it("count the tokens of a prompt once, however often it is computed", () => {
    const short = pair([7, 7, 6], Array(60).fill(9), Array(60).fill(8));
    const { lengths } = collateRuns([pairRun(short)], { prompts: true });
    expect([...(lengths.data as Float32Array)]).toEqual([60, 60, 2]);
  });

  it("may have no token that counts", async () => {
    const model = await loadModel("test/parity/golden/models/llama");
    expect(await sidesFrom(model, [pair([], [2], [3])])).toEqual([0, 0]);
  });
});
