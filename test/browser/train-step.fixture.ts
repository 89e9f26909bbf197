/** The same training in every place: AdamW steps of a tiny model on fixed tokens. Safe for browsers. */
import {
  compileScan,
  type Engine,
  flatten,
  type HostArray,
  hostArray,
  mapTree,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
  type Value,
  zerosArray,
} from "../../src/graph/index.ts";
import { readSafetensors } from "../../src/models/checkpoint/safetensors.ts";
import { parseConfig } from "../../src/models/config/config.ts";
import { parameterSpecs, tokenSpec } from "../../src/models/model.ts";
import { adamw } from "../../src/optim/index.ts";
import { languageModelLoss } from "../../src/train/loop/language-model.ts";
import { compileTrainStep, trainStep } from "../../src/train/loop/step.ts";

/** A model folder's files. */
export interface ModelFiles {
  readonly config: unknown;
  /** `model.safetensors` */
  readonly weights: Uint8Array;
}

const [rows, tokens] = [3, 12];
const rate = (shape: readonly number[]) =>
  hostArray(
    "float32",
    shape,
    Array.from({ length: shape[0] ?? 1 }, () => 3e-3),
  );
const optimizer = adamw();
const stepOptions = { optimizer, maxGradNorm: 1 };

/** Token rows of steps `first` to `first + count`; some labels do not count. */
function batches(first: number, count: number, vocab: number, leading: readonly number[]): Tree<HostArray> {
  const size = rows * tokens;
  const idOf = (step: number, i: number) => (i * i + 7 * i * (1 + (step % 3)) + step) % vocab;
  const all = (value: (step: number, i: number) => number) =>
    hostArray(
      "int64",
      [...leading, rows, tokens],
      Array.from({ length: count * size }, (_, n) => value(first + Math.floor(n / size), n % size)),
    );
  return {
    input_ids: all(idOf),
    labels: all((step, i) => ((i + step) % 5 === 0 ? -100 : idOf(step, (i + 1) % size))),
  };
}

const metric = (out: Tree<Value>, name: string): number[] =>
  Array.from(((out as Tree<Value>)[name] as HostArray<"float32">).data);

/** The model's parameters and AdamW's state on the engine, and what describes them. */
async function prepare(engine: Engine, files: ModelFiles) {
  const config = parseConfig(files.config);
  const params = parameterSpecs(config);
  const { tensors } = readSafetensors(files.weights);
  const named = Object.keys(flatten(params)).map((path) => [path, tensors[path] as HostArray]);
  const zeros = mapTree(optimizer.init(params), ({ dtype, shape }) => zerosArray(dtype, shape as number[]));
  return {
    config,
    specs: { params, state: optimizer.init(params) },
    carry: {
      params: await engine.put(unflatten(Object.fromEntries(named))),
      state: await engine.put(zeros),
    } as { params: Tree<Value>; state: Tree<Value> },
  };
}

/** The losses of the first steps, one call each. */
export async function lossesOfSteps(engine: Engine, files: ModelFiles, steps: number): Promise<number[]> {
  const { config, specs, carry } = await prepare(engine, files);
  const batch = { input_ids: tokenSpec(), labels: tokenSpec() };
  const { provider } = engine;
  const program = compileTrainStep(languageModelLoss(config), stepOptions, specs.params, batch, { provider });
  const step = await engine.load(program);
  const losses: number[] = [];
  for (let k = 0; k < steps; k++) {
    const batch = batches(k, 1, config.vocabSize, []);
    const out = await engine.run(step, [carry.params, carry.state, batch, { learning_rate: rate([]) }]);
    carry.params = out.params as Tree<Value>;
    carry.state = out.state as Tree<Value>;
    losses.push(...metric(out.metrics as Tree<Value>, "loss"));
  }
  return losses;
}

/** The same losses from one scan over all steps. */
export async function lossesOfScan(engine: Engine, files: ModelFiles, steps: number): Promise<number[]> {
  const { config, specs, carry } = await prepare(engine, files);
  const step = trainStep(languageModelLoss(config), stepOptions);
  const program = compileScan(
    (c, { batch, learning_rate }) => {
      const [params, state] = [c.params as Tree<Tensor>, c.state as Tree<Tensor>];
      const out = step(params, state, batch as Tree<Tensor>, { learning_rate: learning_rate as Tensor });
      const next = { params: out.params as Tree<Tensor>, state: out.state as Tree<Tensor> };
      return { carry: next, y: out.metrics as Tree<Tensor> };
    },
    {
      carry: specs as Tree<TensorSpec>,
      xs: {
        batch: { input_ids: tokenSpec(["K", "B", "T"]), labels: tokenSpec(["K", "B", "T"]) },
        learning_rate: { dtype: "float32", shape: ["K"] },
      },
    },
    { provider: engine.provider },
  );
  const batch = batches(0, steps, config.vocabSize, [steps]);
  const loaded = await engine.load(program);
  const out = await engine.run(loaded, [carry, { batch, learning_rate: rate([steps]) }, {}]);
  return metric(out.ys as Tree<Value>, "loss");
}
