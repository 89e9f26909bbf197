/** The WebGPU provider in Node, on the graphics driver in software that Chromium brings along. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { LocalEngine } from "../../src/graph/index.ts";
import { browserModels, modelFiles } from "./model-files.fixture.ts";
import { lossesOfScan, lossesOfSteps } from "./train-step.fixture.ts";

const icd = "vk_swiftshader_icd.json";
const folders = [process.env.ATTUNE_SWIFTSHADER, "/usr/lib/chromium", "/opt/google/chrome"];
const driver = folders.find((folder) => folder && existsSync(join(folder, icd)));
const reason = `no SwiftShader: ${icd} is in none of ${folders.slice(1).join(", ")}, nor in $ATTUNE_SWIFTSHADER`;

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

describe.skipIf(!driver)(
  driver ? "WebGPU on SwiftShader" : `WebGPU on SwiftShader (skipped: ${reason})`,
  () => {
    it.each(browserModels)("trains %s to the losses of the CPU, step by step and in a scan", async (name) => {
      const count = 6;
      const engine = new LocalEngine(ort);
      const files = modelFiles(name);
      const expected = await lossesOfSteps(engine, files, count);
      expect(await lossesOfScan(engine, files, count)).toEqual(expected);
      await engine.dispose();
      const loader = new URL("../../scripts/register-ts.js", import.meta.url).href;
      const child = await promisify(execFile)(
        process.execPath,
        ["--import", loader, here("./webgpu.child.fixture.ts"), name, `${count}`],
        // The Vulkan loader lies beside the driver.
        { env: { ...process.env, VK_ICD_FILENAMES: join(driver as string, icd), LD_LIBRARY_PATH: driver } },
      ).catch((error: { stdout: string; stderr: string; code?: number; signal?: string }) => error);
      // What counts is the line of results: the driver may still crash while the process ends.
      const line = child.stdout.trim().split("\n").at(-1) ?? "";
      if (!line.startsWith("{")) throw new Error(`the process gave no losses: ${JSON.stringify(child)}`);
      const losses = JSON.parse(line) as Record<string, number[]>;
      expect(losses.steps).toHaveLength(count);
      for (const [k, loss] of expected.entries()) {
        expect(Math.abs((losses.steps?.[k] as number) - loss)).toBeLessThan(1e-3);
        expect(Math.abs((losses.scan?.[k] as number) - loss)).toBeLessThan(1e-3);
      }
    });
  },
);
