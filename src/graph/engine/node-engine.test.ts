import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../array.ts";
import { compile } from "../compile.ts";
import { AttuneError, RuntimeError, ShapeError } from "../errors.ts";
import { createEngine } from "../node.ts";
import { add, mul, sum } from "../ops/index.ts";
import type { Tensor } from "../tensor.ts";
import type { Tree } from "../tree.ts";
import type { Engine, Resident } from "./engine.ts";

const taskModule = new URL("./node-engine.fixture.ts", import.meta.url).href;
const vector = (...values: number[]) => hostArray("float32", [values.length], values);
const values = (x: unknown) => [...(x as HostArray).data].map(Number);

const double = () =>
  compile(({ x }) => ({ y: mul(x as Tensor, 2) }), [{ x: { dtype: "float32", shape: ["N"] } }]);
const counter = () =>
  compile(
    (state) => {
      const next = add(state.count as Tensor, 1);
      return { state: { count: next }, total: sum(next) };
    },
    [{ count: { dtype: "float32", shape: [2] } }],
    { donate: { state: 0 } },
  );

describe.each([
  ["in this thread", false],
  ["in a worker", true],
] as const)("an engine %s", (_, worker) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ worker, threads: 1 });
  });
  afterAll(() => engine.dispose());

  it("runs a program and leaves the caller's arrays alone", async () => {
    const x = vector(1, 2, 3);
    const program = await engine.load(double());
    const { y } = await engine.run(program, [{ x }]);
    expect(values(y)).toEqual([2, 4, 6]);
    expect(values(x)).toEqual([1, 2, 3]);
    expect((y as HostArray).shape).toEqual([3]);
  });

  it("sends a part of a larger or shared buffer as those bytes alone", async () => {
    const program = await engine.load(double());
    const view = new Float32Array(100).fill(7).subarray(10, 12);
    const shared = new Float32Array(new SharedArrayBuffer(8)).fill(3);
    const run = async (data: Float32Array) =>
      values((await engine.run(program, [{ x: { dtype: "float32", shape: [2], data } }])).y);
    expect(await run(view)).toEqual([14, 14]);
    if (worker) expect(await run(shared)).toEqual([6, 6]);
  });

  it("keeps donated state and gives it back on request", async () => {
    const program = await engine.load(counter());
    const initial = vector(0, 10);
    const state = await engine.put({ count: initial });
    for (const expected of [12, 14, 16]) {
      const result = (await engine.run(program, [state])) as { state: Tree<Resident>; total: HostArray };
      expect(values(result.total)).toEqual([expected]);
      expect(result.state).toEqual(state);
    }
    expect(values((await engine.get(state)).count)).toEqual([3, 13]);
    expect(values(initial)).toEqual([0, 10]);
    await engine.free(state);
    await expect(engine.run(program, [state])).rejects.toThrow("freed");
  });

  it("may take buffers over instead of copying them", async () => {
    const state = await engine.put({ a: vector(1, 2) }, { transfer: true });
    expect(values((await engine.get(state)).a)).toEqual([1, 2]);
  });

  it("answers calls that overlap, each with its own result", async () => {
    const program = await engine.load(double());
    const results = await Promise.all([1, 2, 3, 4].map((v) => engine.run(program, [{ x: vector(v) }])));
    expect(results.map(({ y }) => values(y)[0])).toEqual([2, 4, 6, 8]);
  });

  it("runs a function beside the sessions and streams its events", async () => {
    const executable = await engine.load(counter());
    const state = await engine.put({ count: vector(0, 0) });
    const events: unknown[] = [];
    const result = await engine.call<{ steps: number; inWorker: boolean }>(
      taskModule,
      "loop",
      { executable, state, steps: 3 },
      (event) => events.push(event),
    );
    expect(result).toEqual({ steps: 3, inWorker: worker });
    expect(events).toEqual([2, 4, 6].map((total, step) => ({ step, total })));
  });

  it("stops such a function by its signal", async () => {
    const executable = await engine.load(counter());
    const state = await engine.put({ count: vector(0, 0) });
    const controller = new AbortController();
    let seen = 0;
    const run = engine.call(
      taskModule,
      "loop",
      { executable, state, steps: 1e6 },
      () => {
        if (++seen === 5) controller.abort();
      },
      controller.signal,
    );
    await expect(run).rejects.toMatchObject({ name: "AbortError" });
    await expect(
      engine.call(taskModule, "loop", { executable, state, steps: 1 }, undefined, AbortSignal.abort()),
    ).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(values((await engine.get(state)).count)[0]).toBeLessThan(1e5);
  });

  it("reports errors by their class, name and cause", async () => {
    const program = await engine.load(double());
    const wrong = engine.run(program, [{ x: hostArray("int64", [1], [1]) }]);
    await expect(wrong).rejects.toBeInstanceOf(ShapeError);
    await expect(wrong).rejects.toThrow("float32 [N] is required, got int64 [1]");
    const failure = engine.call(taskModule, "failing", undefined);
    await expect(failure).rejects.toBeInstanceOf(AttuneError);
    await expect(failure).rejects.toMatchObject({ name: "LoopError", message: "the loop fails" });
    await expect(failure).rejects.toHaveProperty("cause.name", "RangeError");
    await expect(engine.call(taskModule, "absent", undefined)).rejects.toThrow("exports no function absent");
  });

  it("refuses a program of another provider", async () => {
    const program = compile(
      ({ x }) => ({ y: add(x as Tensor, 1) }),
      [{ x: { dtype: "float32", shape: [1] } }],
      { provider: "webgpu" },
    );
    await expect(engine.load(program)).rejects.toThrow("compiled for webgpu, the engine runs cpu");
  });
});

describe("a provider that is missing", () => {
  const linux = process.platform === "linux" && process.arch === "x64";
  it.skipIf(!linux).each([false, true])(
    "cuda says how to get it in one line (worker: %s)",
    async (worker) => {
      const error = await createEngine({ provider: "cuda", worker }).then(
        () => undefined,
        (e: Error) => e,
      );
      if (!error) return; // it is installed here
      expect(error).toBeInstanceOf(RuntimeError);
      expect(error.message).toMatch(/ONNXRUNTIME_NODE_INSTALL=cuda12|NVIDIA driver/);
      expect(error.message).not.toContain("\n");
    },
  );

  it("webgpu names the driver in one line where there is none", async () => {
    const error = await createEngine({ provider: "webgpu", worker: true }).then(
      async (engine) => void (await engine.dispose()),
      (e: Error) => e,
    );
    if (!error) return; // there is one here
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error.message).toMatch(/driver/);
    expect(error.message).not.toContain("\n");
  });

  it("wasm points to cpu", async () => {
    await expect(createEngine({ provider: "wasm", worker: false })).rejects.toThrow("use cpu");
  });
});

describe("the worker's life", () => {
  const program = (body: string) =>
    spawnSync(
      process.execPath,
      [
        "--import",
        fileURLToPath(new URL("../../../scripts/register-ts.js", import.meta.url)),
        "--input-type=module",
        "-e",
        `
        import { createEngine } from ${JSON.stringify(new URL("../node.ts", import.meta.url).href)};
        const engine = await createEngine({ worker: true });
        ${body}`,
      ],
      { encoding: "utf8", timeout: 30_000 },
    );

  it("a process whose engine is idle ends by itself", () => {
    expect(program("console.log('idle');")).toMatchObject({ status: 0, stdout: "idle\n" });
  });

  it("a process waits for what is under way", () => {
    expect(program("engine.put({}).then(() => console.log('done'));")).toMatchObject({
      status: 0,
      stdout: "done\n",
    });
  });

  it("after dispose the engine says so", () => {
    const ended = program(
      "await engine.dispose(); await engine.dispose(); engine.put({}).catch((e) => console.log(e.name, e.message));",
    );
    expect(ended).toMatchObject({
      status: 0,
      stdout: "RuntimeError The engine was disposed; create another one\n",
    });
  });
});

describe("memory", () => {
  it.each(["worker", "thread"])("does not grow over steps that write their state in place (%s)", (mode) => {
    const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
    const child = spawnSync(
      process.execPath,
      ["--import", at("../../../scripts/register-ts.js"), at("./node-memory.fixture.ts"), mode],
      { encoding: "utf8" },
    );
    expect(child.stderr).toBe("");
    const { inPlace, stateMB, early, late } = JSON.parse(child.stdout);
    expect(inPlace).toBe(true);
    // 14 steps copy 14 times the state, and every copy is freed at once.
    expect(late - early, `${early} MB, then ${late} MB`).toBeLessThan(0.5 * stateMB);
    expect(late).toBeLessThan(200 + 3 * stateMB);
  });
});
