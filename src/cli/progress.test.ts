import { describe, expect, it } from "vitest";
import { compact, createProgress, duration, type ProgressOptions, significant } from "./progress.ts";

/** A stream and a clock that the test moves. */
function setup(options: { isTTY: boolean; columns?: number } & Partial<ProgressOptions>) {
  const { isTTY, columns = 100, ...rest } = options;
  const clock = { ms: 0 };
  let text = "";
  const stream = { isTTY, columns, write: (more: string) => (text += more) };
  const progress = createProgress({ label: "train", total: 100, stream, now: () => clock.ms, ...rest });
  return { progress, clock, text: () => text };
}

describe("on a terminal", () => {
  it("one line updates in place with bar, step, rate, time left and metrics", () => {
    const { progress, clock, text } = setup({ isTTY: true });
    progress.update(0);
    clock.ms = 10_000;
    progress.update(50, { units: 120_000, metrics: { loss: 2.34567, grad_norm: 1 } });
    const shown = text().split("\r").at(-1);
    expect(text()).not.toContain("\n");
    expect(shown).toBe(
      "train  [##########..........]  50/100  12.0k tok/s  10 s left  loss 2.346  grad_norm 1",
    );
    progress.done();
    expect(text().endsWith("\n")).toBe(true);
  });

  it("under RL says reward and KL, beside speed and time left", () => {
    const { progress, clock, text } = setup({ isTTY: true, label: "ppo" });
    for (const step of [1, 2]) {
      clock.ms += 2_000;
      progress.update(step, {
        units: step * 8_000,
        metrics: { "objective/scores": 0.51234, "objective/kl": 2.5 },
      });
    }
    expect(text().split("\r").at(-1)).toBe(
      "ppo  [....................]  2/100  4.00k tok/s  3 min 16 s left  reward 0.5123  KL 2.5",
    );
  });

  it("redraws at most ten times a second, and never exceeds the width", () => {
    const { progress, clock, text } = setup({ isTTY: true, columns: 40 });
    for (let step = 0; step <= 100; step++) {
      clock.ms = step * 10;
      progress.update(step, { units: step * 1000, metrics: { loss: 1.5, another_long_metric: 2.5 } });
    }
    const draws = text().split("\r").slice(1);
    expect(draws.length).toBeLessThanOrEqual(11);
    for (const draw of draws) expect(draw.trimEnd().length).toBeLessThan(40);
  });

  it("a logged line stands above the progress line", () => {
    const { progress, text } = setup({ isTTY: true });
    progress.update(1);
    progress.log("sample: once upon a time");
    expect(text()).toMatch(/\r +\rsample: once upon a time\n\rtrain {2}\[/);
  });
});

describe("in a log file", () => {
  it("a plain line comes every few seconds, and the last state once", () => {
    const { progress, clock, text } = setup({ isTTY: false, plainEvery: 5_000 });
    for (let step = 1; step <= 100; step++) {
      clock.ms = step * 120;
      progress.update(step, { units: step * 100 });
    }
    progress.done();
    progress.done();
    const lines = text().trimEnd().split("\n");
    expect(lines).toHaveLength(4);
    expect(lines.at(-1)).toBe("train  100/100  833 tok/s  12 s in all");
    expect(text()).not.toContain("\r");
  });

  it("a resumed run counts its rate from where it resumed", () => {
    const { progress, clock, text } = setup({ isTTY: false, plainEvery: 0 });
    progress.update(90);
    clock.ms = 5_000;
    progress.update(95);
    expect(text().trimEnd().split("\n").at(-1)).toBe("train  95/100  5 s left");
  });

  it("the tokens of the run before do not count as the speed of the resumed one", () => {
    const { progress, clock, text } = setup({ isTTY: false, plainEvery: 0 });
    clock.ms = 1_000;
    progress.update(91, { units: 910_000 });
    clock.ms = 3_000;
    progress.update(92, { units: 920_000 });
    expect(text().trimEnd().split("\n")).toEqual(["train  91/100", "train  92/100  5.00k tok/s  16 s left"]);
  });

  it("nothing at all under quiet but what is logged", () => {
    const { progress, text } = setup({ isTTY: false, quiet: true });
    progress.update(1);
    progress.log("warning: loss is high");
    progress.done();
    expect(text()).toBe("warning: loss is high\n");
  });
});

it("numbers are short and honest", () => {
  expect([0.000012, 1.23456, 12345.678, 3, Number.NaN].map(significant)).toEqual([
    "1.20e-5",
    "1.235",
    "12350",
    "3",
    "NaN",
  ]);
  expect([0.5, 950, 9_950, 12_345, 1_200_000].map(compact)).toEqual([
    "0.50",
    "950",
    "9.95k",
    "12.3k",
    "1.20M",
  ]);
  expect([42, 185, 7_800].map(duration)).toEqual(["42 s", "3 min 05 s", "2 h 10 min"]);
});
