/** A process of its own, because the driver is chosen before it starts: trains on WebGPU and prints the losses. */
import * as ort from "onnxruntime-node";
import { LocalEngine } from "../../src/graph/index.ts";
import { type BrowserModel, modelFiles } from "./model-files.fixture.ts";
import { lossesOfScan, lossesOfSteps } from "./train-step.fixture.ts";

const engine = new LocalEngine(ort, { provider: "webgpu" });
const [name, count] = process.argv.slice(2) as [BrowserModel, string];
const files = modelFiles(name);
const steps = await lossesOfSteps(engine, files, Number(count));
const scan = await lossesOfScan(engine, files, Number(count));
console.log(JSON.stringify({ steps, scan }));
await engine.dispose();
