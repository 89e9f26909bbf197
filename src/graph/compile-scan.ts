/**
 * A scan as a program of its own, the same for every provider.
 *
 * Where the runtime loops on the device, the program is one graph with a `Loop`. WebGPU would run a `Loop` on
 * the CPU; there the program is one iteration, and the engine repeats it: it slices `xs` on the host, keeps
 * the carried values on the device, and stacks the results.
 */
import { type CompileOptions, compile, type Program } from "./compile.ts";
import { AttuneError } from "./errors.ts";
import { type ScanStep, scan } from "./scan.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";
import { flatten, mapTree, type Tree } from "./tree.ts";

export interface ScanSpecs {
  /** What one iteration hands to the next: argument 0 of the program. */
  readonly carry: Tree<TensorSpec>;
  /** With the leading axis: argument 1. Its size is given at run time when it is a name. */
  readonly xs: Tree<TensorSpec>;
  /** What every iteration reads: argument 2. */
  readonly constants?: Tree<TensorSpec>;
}

export interface CompileScanOptions extends Pick<CompileOptions, "provider" | "freeze"> {
  /** Who repeats the body: the graph's own loop, or the host; by default the host under WebGPU alone. */
  loop?: "graph" | "host";
}

/** One iteration over (carry, this iteration's elements, constants, its number). */
export type CompiledScanBody = (
  carry: Tree<Tensor>,
  x: Tree<Tensor>,
  constants: Tree<Tensor>,
  i: Tensor,
) => ScanStep<Tree<Tensor>, Tree<Tensor>>;

/**
 * Compiles a scan; run it with [carry, xs, constants]. Its result is {carry, ys, iterations}: the carried
 * values after the last iteration (donated), the stacked results, and how many iterations ran.
 *
 * @param options `freeze` takes {2: values} for constants that never change
 */
export function compileScan(
  body: CompiledScanBody,
  { carry, xs, constants = {} }: ScanSpecs,
  { loop, ...options }: CompileScanOptions = {},
): Program {
  if (Object.keys(flatten(xs)).length === 0)
    throw new AttuneError("compileScan: xs must hold at least one array");
  if ((loop ?? (options.provider === "webgpu" ? "host" : "graph")) === "host")
    return hostLoop(body, { carry, xs, constants }, options);
  return compile(
    (state, elements, fixed) => {
      const result = scan((c: Tree<Tensor>, x: Tree<Tensor>, i) => body(c, x, fixed, i), {
        carry: state,
        xs: elements,
      });
      return { carry: result.carry, ys: result.ys, iterations: result.iterations };
    },
    [carry, xs, constants] as const,
    { ...options, donate: { carry: 0 } },
  );
}

function hostLoop(
  body: CompiledScanBody,
  { carry, xs, constants }: Required<ScanSpecs>,
  options: Pick<CompileOptions, "provider" | "freeze">,
): Program {
  const leading = new Set(Object.values(flatten<TensorSpec>(xs)).map(({ shape }) => shape[0]));
  const [length] = leading;
  if (leading.size !== 1 || length === undefined)
    throw new AttuneError(`compileScan: xs must share one leading axis, got ${[...leading].join(", ")}`);
  const element = mapTree<TensorSpec, TensorSpec>(xs, ({ dtype, shape }) => ({
    dtype,
    shape: shape.slice(1),
  }));
  const program = compile(
    (state, x, fixed, { i }) => {
      const step = body(state, x, fixed, i as Tensor);
      return { carry: step.carry, ...(step.y && { ys: step.y }), ...(step.until && { until: step.until }) };
    },
    [carry, element, constants, { i: { dtype: "int64", shape: [] } }] as const,
    { ...options, donate: { carry: 0 } },
  );
  return { ...program, hostLoop: typeof length === "number" ? { length } : {} };
}
