/**
 * The optimiser step as the loop sees it: micro-batches in, metrics out; parameters and optimiser state stay with the
 * engine. One micro-batch is one run of one graph; several are a run each that adds up gradients, and one that updates.
 */
import {
  add,
  compile,
  type Dim,
  div,
  type Engine,
  type Executable,
  greater,
  type HostArray,
  hostArray,
  mapTree,
  mul,
  type Resident,
  type Tensor,
  type TensorSpec,
  type Tree,
  type Value,
  where,
  zerosArray,
  zipTree,
} from "../../graph/index.ts";
import {
  averageOf,
  clipFactor,
  globalNorm,
  lossScaleMetrics,
  lossScaleOf,
  lossScaleStateOf,
  type Packing,
  packing,
} from "../../optim/index.ts";
import { addMetrics, numbersOf } from "./metrics.ts";
import { compileTrainStep, type Loss, packedLoss, type StepOptions, scaledGradients } from "./step.ts";

export interface StepperOptions extends StepOptions {
  readonly engine: Engine;
  /** Mean over `num_items` of the batch, so that micro-batches add up. */
  readonly loss: Loss;
  readonly parameters: Tree<HostArray>;
  /** Without `num_items`. */
  readonly batch: Tree<TensorSpec>;
  /** Micro-batches of a step are added up when true. */
  readonly accumulate: boolean;
  /** Whether small vectors are joined, which is faster. Without it other programs read `packed` as the model's own tree. */
  readonly packs?: boolean;
  /** State to go on from; zeros by default. */
  readonly state?: Tree<HostArray>;
}

export interface Stepper {
  /** One update; `items` is what the losses are divided by, over all micro-batches. */
  step(micro: readonly Tree<Value>[], items: number, learningRate: number): Promise<Record<string, number>>;
  /** How the parameters lie in the engine; programs that read them there unpack them. */
  readonly packing: Packing;
  /** The packed parameters as they are now, for other programs of the same engine. */
  readonly packed: Tree<Resident>;
  /** A copy of the parameters as they are now. */
  parameters(): Promise<Tree<HostArray>>;
  /** The packed parameters that are judged: their moving average where the optimiser keeps one, else as they are. */
  readonly judged: Tree<Resident>;
  /** A copy of those. */
  judgedParameters(): Promise<Tree<HostArray>>;
  /** The optimiser's state, shaped like the packed parameters. */
  readonly state: Tree<Resident>;
  free(): Promise<void>;
}

const scalarSpec = { dtype: "float32" as const, shape: [] as Dim[] };
const scalarOf = (value: number): HostArray => hostArray("float32", [], [value]);

export async function createStepper(options: StepperOptions): Promise<Stepper> {
  const { engine, optimizer } = options;
  const plain = specsOf(options.parameters);
  const packed = options.packs === false ? notPacked(plain) : packing(plain, optimizer.groupOf);
  const parameters = packed.packArrays(options.parameters);
  const { specs } = packed;
  const zeros = () =>
    mapTree(optimizer.init(specs), ({ dtype, shape }) => zerosArray(dtype, shape as number[]));
  const loss = packedLoss(options.loss, packed);
  const programs = options.accumulate
    ? accumulating({ ...options, loss }, specs)
    : [fused({ ...options, loss }, specs)];
  const loaded: Executable[] = [];
  for (const program of programs) loaded.push(await engine.load(program));
  const [main, update] = loaded as [Executable, Executable | undefined];
  let params: Tree<Value> = await engine.put(parameters);
  let state: Tree<Value> = await engine.put(options.state ?? zeros());
  let sums: Tree<Value> | undefined =
    update && (await engine.put(mapTree(parameters, (x) => zerosArray(x.dtype, x.shape))));
  const withItems = (arrays: Tree<Value>, items: number): Tree<Value> => ({
    ...arrays,
    num_items: scalarOf(items),
  });
  const judged = () => (averageOf(state) ?? params) as Tree<Resident>;

  return {
    packing: packed,
    get packed() {
      return params as Tree<Resident>;
    },
    parameters: async () => packed.unpackArrays(await engine.get(params as Tree<Resident>)),
    get judged() {
      return judged();
    },
    judgedParameters: async () => packed.unpackArrays(await engine.get(judged())),
    get state() {
      return state as Tree<Resident>;
    },
    async step(micro, items, learningRate) {
      const rate = { learning_rate: scalarOf(learningRate) };
      const take = (out: Tree<Value>) => {
        params = out.params as Tree<Value>;
        state = out.state as Tree<Value>;
        return numbersOf(out.metrics as Tree<Value>);
      };
      if (!update || !sums)
        return take(await engine.run(main, [params, state, withItems(micro[0] as Tree<Value>, items), rate]));
      const metrics: Record<string, number> = {};
      for (const [i, arrays] of micro.entries()) {
        const out = await engine.run(main, [
          params,
          sums,
          withItems(arrays, items),
          { keep: scalarOf(i === 0 ? 0 : 1), ...lossScaleStateOf(state) },
        ]);
        sums = out.gradients as Tree<Value>;
        addMetrics(metrics, numbersOf(out.metrics as Tree<Value>));
      }
      return { ...metrics, ...take(await engine.run(update, [params, state, sums, rate])) };
    },
    async free() {
      for (const tree of [params, state, sums]) if (tree) await engine.free(tree as Tree<Resident>);
      for (const executable of loaded) await engine.unload(executable);
    },
  };
}

const notPacked = (specs: Tree<TensorSpec>): Packing => ({
  specs,
  unpack: (tree) => tree,
  packArrays: (tree) => tree,
  unpackArrays: (tree) => tree,
});

const specsOf = (tree: Tree<HostArray>): Tree<TensorSpec> =>
  mapTree(tree, ({ dtype, shape }) => ({ dtype, shape }));

/** A micro-batch as the programs get it. */
const microSpecs = ({ batch }: StepperOptions): Tree<TensorSpec> => ({ ...batch, num_items: scalarSpec });

const fused = (options: StepperOptions, specs: Tree<TensorSpec>) =>
  compileTrainStep(options.loss, options, specs, microSpecs(options), { provider: options.engine.provider });

/** One program adds the gradients of a micro-batch to a sum, another one updates with the sum. */
function accumulating(options: StepperOptions, specs: Tree<TensorSpec>) {
  const { engine, loss, optimizer, maxGradNorm } = options;
  const { provider } = engine;
  const addUp = compile(
    (params, sums, micro, { keep, ...scaling }) => {
      const scale = lossScaleOf(scaling);
      const { loss: value, metrics, gradients } = scaledGradients(loss, params, micro, scale);
      const keeps = greater(keep as Tensor, 0);
      return {
        // The first micro-batch of a step begins the sum anew, whatever the last one's was: 0 times infinity is none.
        gradients: zipTree(sums, gradients, (s, g) =>
          scale ? add(where(keeps, s, 0), g) : add(mul(s, keep as Tensor), g),
        ),
        metrics: { loss: value, ...metrics },
      };
    },
    [
      specs,
      specs,
      microSpecs(options),
      { keep: scalarSpec, ...lossScaleStateOf(optimizer.init(specs)) },
    ] as const,
    { provider, donate: { gradients: 1 } },
  );
  const update = compile(
    (params, state, sums, rate) => {
      const scale = lossScaleOf(state);
      const raw = globalNorm(sums);
      const norm = scale ? div(raw, scale) : raw;
      const clipping = clipFactor(norm, maxGradNorm ?? Number.MAX_VALUE);
      const next = optimizer.update(sums, state, params, {
        learningRate: rate.learning_rate as Tensor,
        gradientScale: scale ? div(clipping, scale) : clipping,
        norm,
      });
      return { ...next, metrics: { grad_norm: norm, ...lossScaleMetrics(scale, next.state) } };
    },
    [specs, optimizer.init(specs), specs, { learning_rate: scalarSpec }] as const,
    { provider, donate: { params: 0, state: 1 } },
  );
  return [addUp, update];
}
