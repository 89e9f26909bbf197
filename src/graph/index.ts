/** Trace, differentiate, lower and run functions over tensors. */
export * from "./array.ts";
export { checkpoint } from "./checkpoint.ts";
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
} from "./engine.ts";
export * from "./errors.ts";
export { grad, gradientOf, type LossFunction, valueAndGrad } from "./grad.ts";
export * from "./ops/index.ts";
export { sliceBatch, sliceTo } from "./ragged.ts";
export { keepIfFinite, type ScanOptions, type ScanResult, type ScanStep, scan } from "./scan.ts";
export { constant, input, isTensor, type Tensor, type TensorSpec } from "./tensor.ts";
export * from "./tree.ts";
