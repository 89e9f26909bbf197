/**
 * Conjugate gradients (Hestenes and Stiefel 1952) on trees of parameters that stay in the engine: x with A x = b for a
 * symmetric, positive definite A of which only products with vectors are known.
 *
 *     alpha = r.r / p.Ap      x += alpha p      r -= alpha Ap      p = r + (r'.r' / r.r) p
 *
 * The vectors are residents; what comes to the host are inner products.
 */
import {
  add,
  compile,
  type Dim,
  div,
  type Engine,
  type HostArray,
  hostArray,
  mapTree,
  maximum,
  mul,
  type Resident,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  zerosArray,
  zipTree,
} from "../../graph/index.ts";

/** The inner product of two trees. */
export function dot(a: Tree<Tensor>, b: Tree<Tensor>): Tensor {
  const parts: Tensor[] = [];
  zipTree(a, b, (x, y) => {
    parts.push(sum(mul(x, y)));
    return x;
  });
  return parts.reduce((total, part) => add(total, part));
}

const scalarSpec: TensorSpec = { dtype: "float32", shape: [] as Dim[] };
const scalarOf = (value: number): HostArray => hostArray("float32", [], [value]);
const numberOf = (value: unknown): number => Number((value as HostArray).data[0]);

/** Zeros shaped like parameters, in the engine. */
export const zerosIn = (engine: Engine, specs: Tree<TensorSpec>): Promise<Tree<Resident>> =>
  engine.put(mapTree(specs, ({ dtype, shape }) => zerosArray(dtype, shape as number[]))) as Promise<
    Tree<Resident>
  >;

export interface ConjugateGradient {
  /** The solution found last. */
  readonly x: Tree<Resident>;
  /** Solves A x = b; `multiply` leaves A p, without damping, in a resident tree. Residuals are |r|^2, the first |b|^2. */
  solve(
    b: Tree<Resident>,
    multiply: (p: Tree<Resident>) => Promise<Tree<Resident>>,
  ): Promise<{ iterations: number; residuals: number[] }>;
  dispose(): Promise<void>;
}

export interface ConjugateGradientOptions {
  readonly iterations: number;
  /** Added to A's diagonal. */
  readonly damping: number;
  /** Ends where |r|^2 is below this share of |b|^2. */
  readonly tolerance?: number;
}

/** Prepares the programs and vectors for parameters of one shape. */
export async function createConjugateGradient(
  engine: Engine,
  specs: Tree<TensorSpec>,
  { iterations, damping, tolerance = 1e-10 }: ConjugateGradientOptions,
): Promise<ConjugateGradient> {
  const { provider } = engine;
  const vectors = { x: specs, r: specs, p: specs };
  const start = await engine.load(
    compile(
      (state, b) => {
        const { x } = state as Record<string, Tree<Tensor>>;
        // What is multiplied by 0 was finite: it is the last solution.
        return { state: { x: mapTree(x as Tree<Tensor>, (t) => mul(t, 0)), r: b, p: b }, rr: dot(b, b) };
      },
      [vectors, specs] as const,
      { provider, donate: { state: 0 } },
    ),
  );
  const step = await engine.load(
    compile(
      (state, ap, { rr, damping }) => {
        const { x, r, p } = state as Record<"x" | "r" | "p", Tree<Tensor>>;
        const damped = zipTree(ap, p, (a, d) => add(a, mul(d, damping as Tensor)));
        const curvature = dot(p, damped);
        // A direction without curvature moves nothing; 0 / 0 is not a number.
        const alpha = div(rr as Tensor, maximum(curvature, 1e-30));
        const residual = zipTree(r, damped, (a, d) => sub(a, mul(d, alpha)));
        const next = dot(residual, residual);
        const beta = div(next, maximum(rr as Tensor, 1e-30));
        return {
          state: {
            x: zipTree(x, p, (a, d) => add(a, mul(d, alpha))),
            r: residual,
            p: zipTree(residual, p, (a, d) => add(a, mul(d, beta))),
          },
          rr: next,
          curvature,
        };
      },
      [vectors, specs, { rr: scalarSpec, damping: scalarSpec }] as const,
      { provider, donate: { state: 0 } },
    ),
  );
  const state = {
    x: await zerosIn(engine, specs),
    r: await zerosIn(engine, specs),
    p: await zerosIn(engine, specs),
  };
  return {
    x: state.x,
    async solve(b, multiply) {
      let rr = numberOf((await engine.run(start, [state, b])).rr);
      const residuals = [rr];
      const enough = rr * tolerance;
      while (residuals.length <= iterations && rr > enough) {
        const product = await multiply(state.p);
        const out = await engine.run(step, [
          state,
          product,
          { rr: scalarOf(rr), damping: scalarOf(damping) },
        ]);
        if (numberOf(out.curvature) <= 0) break;
        rr = numberOf(out.rr);
        residuals.push(rr);
      }
      return { iterations: residuals.length - 1, residuals };
    },
    async dispose() {
      await engine.free(state);
      await engine.unload(start);
      await engine.unload(step);
    },
  };
}
