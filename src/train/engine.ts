/** The engine that training uses when none is given: ONNX Runtime of Node in this process. */
import * as ort from "onnxruntime-node";
import { type Engine, type EngineOptions, LocalEngine } from "../graph/index.ts";

export const openEngine = async (options: EngineOptions = {}): Promise<Engine> =>
  new LocalEngine(ort, options);
