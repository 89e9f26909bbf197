/** A process of its own, because the driver is chosen before it starts: trains on WebGPU and prints the losses. */
import * as ort from "onnxruntime-node";
import { LocalEngine } from "../../src/graph/index.ts";
import { gpt2Files } from "./gpt2-files.fixture.ts";
import { lossesOfScan, lossesOfSteps } from "./train-step.fixture.ts";

const engine = new LocalEngine(ort, { provider: "webgpu" });
const [count] = process.argv.slice(2).map(Number) as [number];
const steps = await lossesOfSteps(engine, gpt2Files(), count);
const scan = await lossesOfScan(engine, gpt2Files(), count);
console.log(JSON.stringify({ steps, scan }));
await engine.dispose();
