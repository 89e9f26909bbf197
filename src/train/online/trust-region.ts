/**
 * The step of trust region policy optimisation (Schulman et al. 2015, section 6 and appendix C), on a batch of
 * responses with an advantage for each token:
 *
 *     maximise  L(theta) = 1/n sum_t pi_theta(t) / pi_old(t) A_t     subject to  KL(theta) = 1/n sum_t KL(pi_old || pi_theta) <= delta
 *
 *     g         gradient of L at theta_old
 *     F v       gradient of (gradient of KL . v) at theta_old, the graph differentiated twice: the Fisher matrix times v
 *     s         (F + damping) s = g by conjugate gradients                             conjugate-gradient.ts
 *     step      sqrt(2 delta / s.F s) s, halved until L rises and KL <= delta
 *
 * KL is exact over the vocabulary, in nats a token, and n counts the response tokens of the batch. A batch is cut into
 * micro-batches, over which all of these add up.
 */
import {
  responseArrays,
  responseSpecs,
  type TokenSequence,
  temperedLogits,
} from "../../data/response-rows.ts";
import { exactKl } from "../../evaluate/kl.ts";
import {
  add,
  compile,
  div,
  type Engine,
  exp,
  grad,
  type HostArray,
  hostArray,
  logSoftmax,
  mul,
  type Resident,
  stopGradient,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
  valueAndGrad,
  zipTree,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { hiddenStates } from "../../models/model.ts";
import { createConjugateGradient, dot, zerosIn } from "./conjugate-gradient.ts";

export interface TrustRegionOptions {
  /** delta: nats a token against the policy before the step. */
  readonly maxKl: number;
  readonly cgIterations: number;
  /** Added to the Fisher matrix's diagonal. */
  readonly damping: number;
  /** Step lengths that are tried, each `backtrackCoef` times the one before. */
  readonly backtrackIterations: number;
  readonly backtrackCoef: number;
  readonly temperature: number;
  /** Rows of a micro-batch. */
  readonly batchSize: number;
}

/** What a step learns from; a row of numbers for each response, one a token. */
export interface TrustRegionBatch {
  readonly sequences: readonly TokenSequence[];
  readonly oldLogProbs: readonly ArrayLike<number>[];
  readonly advantages: readonly ArrayLike<number>[];
}

export interface TrustRegionFigures {
  /** L(theta) - L(theta_old) of the step that was made; 0 when none was. */
  readonly improvement: number;
  /** Nats a token against the policy before the step. */
  readonly kl: number;
  /** Of the full step; 0 when no length was good. */
  readonly stepFraction: number;
  readonly gradNorm: number;
  readonly cgIterations: number;
  /** |F s - g|^2 / |g|^2 after the last iteration. */
  readonly cgResidual: number;
}

export interface TrustRegion {
  /** One step; `maxKl` is that of this step. */
  step(batch: TrustRegionBatch, maxKl?: number): Promise<TrustRegionFigures>;
  /** F v for any vector: for tests, and for looking into a step. */
  fisherProduct(batch: TrustRegionBatch, v: Tree<HostArray>): Promise<Tree<HostArray>>;
  dispose(): Promise<void>;
}

/** The model whose policy is improved: what trains of it, in the engine, and how its whole tree is found. */
export interface TrustRegionModel {
  readonly config: ModelConfig;
  readonly specs: Tree<TensorSpec>;
  readonly parameters: Tree<Resident>;
  /** Of LoRA: the base. */
  readonly frozenSpecs?: Tree<TensorSpec>;
  readonly frozen?: Tree<Resident>;
  whole(params: Tree<Tensor>, frozen: Tree<Tensor>): Tree<Tensor>;
}

const numbers: TensorSpec = { dtype: "float32", shape: ["M"] };
const scalarSpec: TensorSpec = { dtype: "float32", shape: [] };
const microSpecs = {
  ...responseSpecs,
  old_log_probs: numbers,
  advantages: numbers,
  inverse_temperature: scalarSpec,
  num_items: scalarSpec,
} satisfies Tree<TensorSpec>;
const scalarOf = (value: number): HostArray => hostArray("float32", [], [value]);
const numberOf = (value: unknown): number => Number((value as HostArray).data[0]);

type Micro = Record<Exclude<keyof typeof microSpecs, "ragged">, Tensor>;

export async function createTrustRegion(
  engine: Engine,
  model: TrustRegionModel,
  options: TrustRegionOptions,
): Promise<TrustRegion> {
  const { config, specs, parameters, frozen = {}, frozenSpecs = {} } = model;
  const { cgIterations, damping, backtrackIterations, backtrackCoef } = options;
  const { provider } = engine;
  const arguments_ = { frozen: frozenSpecs, micro: microSpecs } as Tree<TensorSpec>;
  const logitsOf = (params: Tree<Tensor>, { frozen, micro }: Tree<Tensor>): Tensor => {
    const whole = model.whole(params, frozen as Tree<Tensor>);
    const { ragged, inverse_temperature } = micro as Tree<Tensor>;
    const hidden = hiddenStates(config, whole, ragged as unknown as RaggedBatch);
    return temperedLogits(config, whole, hidden, inverse_temperature as Tensor); // [M, V]
  };
  const surrogate = (logits: Tensor, { micro }: Tree<Tensor>): Tensor => {
    const { tokens, old_log_probs, advantages, num_items } = micro as Micro;
    const ratio = exp(sub(tokenLogProbs(logits, tokens), old_log_probs));
    return div(sum(mul(ratio, advantages)), num_items);
  };
  const items = ({ micro }: Tree<Tensor>): Tensor => (micro as Micro).num_items;
  /** The first micro-batch multiplies what was summed before by 0. */
  const onto = (sums: Tree<Tensor>, keep: Tensor, more: Tree<Tensor>): Tree<Tensor> =>
    zipTree(sums, more, (s, g) => add(mul(s, keep), g));

  const gradient = await engine.load(
    compile(
      (params, sums, rest, { keep }) => {
        const [value, g] = valueAndGrad((p: Tree<Tensor>) => surrogate(logitsOf(p, rest), rest))(params);
        return { sums: onto(sums, keep as Tensor, g), surrogate: value };
      },
      [specs, specs, arguments_, { keep: scalarSpec }] as const,
      { provider, donate: { sums: 1 } },
    ),
  );
  const fisher = await engine.load(
    compile(
      (params, v, sums, rest, { keep }) => {
        // KL(pi_old || pi) with pi_old the policy itself, held still: its gradient is 0 here, and its Hessian is F.
        const kl = (p: Tree<Tensor>): Tensor => {
          const logProbs = logSoftmax(logitsOf(p, rest));
          const old = stopGradient(logProbs);
          return div(sum(mul(exp(old), sub(old, logProbs))), items(rest));
        };
        const along = (p: Tree<Tensor>): Tensor => dot(grad(kl)(p), v);
        return { sums: onto(sums, keep as Tensor, grad(along)(params)) };
      },
      [specs, specs, specs, arguments_, { keep: scalarSpec }] as const,
      { provider, donate: { sums: 2 } },
    ),
  );
  const inner = await engine.load(
    compile((a, b) => ({ product: dot(a, b) }), [specs, specs] as const, { provider }),
  );
  /** to = from + scale x */
  const move = await engine.load(
    compile(
      (to, from, x, { scale }) => ({
        // `to` is written over; its old values do not matter.
        to: zipTree(
          zipTree(from, x, (a, d) => add(a, mul(d, scale as Tensor))),
          to,
          (next, old) => add(next, mul(stopGradient(old), 0)),
        ),
      }),
      [specs, specs, specs, { scale: scalarSpec }] as const,
      { provider, donate: { to: 0 } },
    ),
  );
  const measure = await engine.load(
    compile(
      (params, old, rest) => {
        const [now, before] = [logitsOf(params, rest), logitsOf(old, rest)];
        return {
          surrogate: surrogate(now, rest),
          kl: div(sum(exactKl(before, now)), items(rest)),
        };
      },
      [specs, specs, arguments_] as const,
      { provider },
    ),
  );
  const cg = await createConjugateGradient(engine, specs, { iterations: cgIterations, damping });
  const vectors = {
    g: await zerosIn(engine, specs),
    product: await zerosIn(engine, specs),
    trial: await zerosIn(engine, specs),
  };

  const microOf = (batch: TrustRegionBatch): Tree<HostArray>[] => microBatches(batch, options);
  const multiplied = async (micro: readonly Tree<HostArray>[], v: Tree<Resident> | Tree<HostArray>) => {
    for (const [i, part] of micro.entries())
      await engine.run(fisher, [
        parameters,
        v,
        vectors.product,
        { frozen, micro: part },
        { keep: scalarOf(i === 0 ? 0 : 1) },
      ]);
    return vectors.product;
  };
  const product = async (a: Tree<Resident>, b: Tree<Resident>) =>
    numberOf((await engine.run(inner, [a, b])).product);

  return {
    async step(batch, maxKl = options.maxKl) {
      const micro = microOf(batch);
      let before = 0;
      for (const [i, part] of micro.entries()) {
        const out = await engine.run(gradient, [
          parameters,
          vectors.g,
          { frozen, micro: part },
          { keep: scalarOf(i === 0 ? 0 : 1) },
        ]);
        before += numberOf(out.surrogate);
      }
      const gg = await product(vectors.g, vectors.g);
      const none = {
        improvement: 0,
        kl: 0,
        stepFraction: 0,
        gradNorm: Math.sqrt(gg),
        cgIterations: 0,
        cgResidual: 0,
      };
      if (gg === 0) return none;
      const solved = await cg.solve(vectors.g, (p) => multiplied(micro, p));
      const figures = {
        ...none,
        cgIterations: solved.iterations,
        cgResidual: (solved.residuals.at(-1) as number) / gg,
      };
      const curvature = await product(cg.x, await multiplied(micro, cg.x));
      if (!(curvature > 0)) return figures;
      const full = Math.sqrt((2 * maxKl) / curvature);
      for (let i = 0, fraction = 1; i < backtrackIterations; i++, fraction *= backtrackCoef) {
        await engine.run(move, [vectors.trial, parameters, cg.x, { scale: scalarOf(full * fraction) }]);
        let [value, kl] = [0, 0];
        for (const part of micro) {
          const out = await engine.run(measure, [vectors.trial, parameters, { frozen, micro: part }]);
          value += numberOf(out.surrogate);
          kl += numberOf(out.kl);
        }
        const improvement = value - before;
        if (!(improvement > 0 && kl <= maxKl)) continue;
        await engine.run(move, [parameters, vectors.trial, cg.x, { scale: scalarOf(0) }]);
        return { ...figures, improvement, kl, stepFraction: fraction };
      }
      return figures;
    },
    async fisherProduct(batch, v) {
      return (await engine.get(await multiplied(microOf(batch), v))) as Tree<HostArray>;
    },
    async dispose() {
      await cg.dispose();
      await engine.free(vectors);
      for (const program of [gradient, fisher, inner, move, measure]) await engine.unload(program);
    },
  };
}

/** Rows of like length together, with what their tokens need. */
function microBatches(
  { sequences, oldLogProbs, advantages }: TrustRegionBatch,
  { batchSize, temperature }: Pick<TrustRegionOptions, "batchSize" | "temperature">,
): Tree<HostArray>[] {
  const size = (i: number) => {
    const { promptIds, ids } = sequences[i] as TokenSequence;
    return promptIds.length + ids.length;
  };
  const order = sequences.map((_, i) => i).sort((a, b) => size(b) - size(a) || a - b);
  const count = sequences.reduce((n, { ids }) => n + ids.length, 0);
  const flat = (rows: readonly ArrayLike<number>[], members: readonly number[]) => {
    const values = members.flatMap((i) => Array.from(rows[i] as ArrayLike<number>));
    return hostArray("float32", [values.length], values);
  };
  return Array.from({ length: Math.ceil(order.length / batchSize) }, (_, k) => {
    const members = order.slice(k * batchSize, (k + 1) * batchSize);
    const rows = members.map((i) => sequences[i] as TokenSequence);
    return {
      ...responseArrays(rows),
      inverse_temperature: scalarOf(1 / temperature),
      old_log_probs: flat(oldLogProbs, members),
      advantages: flat(advantages, members),
      num_items: scalarOf(count),
    };
  });
}
