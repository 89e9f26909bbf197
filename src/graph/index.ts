/**
 * Trace, differentiate, lower and run functions over tensors.
 *
 * @example
 * import { compile, grad, hostArray, mul, sum, type Tensor } from "attune/graph";
 * import { createEngine } from "attune/graph/node";
 *
 * const slope = grad(({ x }) => sum(mul(x as Tensor, x as Tensor))); // of the sum of squares: 2 x
 * const engine = await createEngine();
 * const program = await engine.load(compile((p) => slope(p), [{ x: { dtype: "float32", shape: ["N"] } }]));
 * console.log(await engine.run(program, [{ x: hostArray("float32", [2], [1, -3]) }])); // 2, -6
 * await engine.dispose();
 */
export * from "./array.ts";
export { checkpoint } from "./autodiff/checkpoint.ts";
export { grad, gradientOf, type LossFunction, valueAndGrad } from "./autodiff/grad.ts";
export { inChunks, type RowFunction } from "./autodiff/in-chunks.ts";
export { type CompileOptions, compile, type Program, type Provider } from "./compile.ts";
export {
  type CompiledScanBody,
  type CompileScanOptions,
  compileScan,
  type ScanSpecs,
} from "./compile-scan.ts";
export type { Dim, Shape } from "./dims.ts";
export {
  type Engine,
  type EngineOptions,
  type EngineTask,
  type Executable,
  LocalEngine,
  type Resident,
  type Value,
} from "./engine/engine.ts";
export * from "./errors.ts";
export * from "./ops/index.ts";
export { sliceBatch, sliceTo } from "./ragged.ts";
export { keepIfFinite, type ScanOptions, type ScanResult, type ScanStep, scan } from "./scan.ts";
export { constant, input, isTensor, type Tensor, type TensorSpec } from "./tensor.ts";
export * from "./tree.ts";
