/** Engines for Node; the rest of src/graph is the same everywhere. */
export { createEngine, type NodeEngineOptions } from "./engine/node-engine.ts";
