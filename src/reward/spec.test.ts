import { describe, expect, it } from "vitest";
import { openReward, parseReward, RewardError, type RewardInput } from "./index.ts";
import { checked } from "./reward.ts";

const batch: RewardInput[] = [
  { prompt: "Say hello.", completion: "Hello there!" },
  { prompt: "Say hello.", completion: "No" },
];

describe("a reward's specification", () => {
  it("tells rules, models, modules, servers and sums apart", () => {
    const kinds = {
      "rule:length_band?min=5&max=30": {
        kind: "rule",
        rule: "length_band",
        options: { min: "5", max: "30" },
      },
      length: { kind: "rule", rule: "length" },
      "keyword?word=a%20b": { kind: "rule", options: { word: "a b" } },
      "runs/rm": { kind: "model", model: "runs/rm" },
      "org/name@main": { kind: "model" },
      "./mine.ts": { kind: "module", path: "./mine.ts" },
      "rewards/mine.mjs#brevity": { kind: "module", path: "rewards/mine.mjs", exported: "brevity" },
      "http://localhost:5000/get_reward": { kind: "remote", name: "http://localhost:5000/get_reward" },
      "world:gold": { kind: "gold" },
      "ensemble:length,exclamation?combine=uwo&lambda=0.1": {
        kind: "ensemble",
        name: "uwo of length, exclamation",
        members: [{ rule: "length" }, { rule: "exclamation" }],
        options: { combine: "uwo", lambda: 0.1 },
      },
      "ensemble:runs/judge?combine=wco": { kind: "model", model: "runs/judge", options: { combine: "wco" } },
      "-0.5*rule:length": {
        kind: "sum",
        name: "-0.5*length",
        parts: [{ weight: -0.5, reward: { rule: "length" } }],
      },
    };
    for (const [text, parsed] of Object.entries(kinds)) expect(parseReward(text), text).toMatchObject(parsed);
  });

  it("means the same as text and as objects", () => {
    expect(parseReward({ rule: "keyword", word: "a" })).toEqual(parseReward("rule:keyword?word=a"));
    expect(parseReward({ model: "runs/rm" })).toEqual(parseReward("runs/rm"));
    expect(parseReward({ module: "./a.ts", export: "b" })).toEqual(parseReward("./a.ts#b"));
    expect(parseReward([{ reward: "rule:length", weight: 2 }])).toEqual(parseReward("2*rule:length"));
    expect(parseReward([{ rule: "length", weight: "2" }])).toEqual(parseReward("2*rule:length"));
    expect(parseReward(["rule:length"])).toEqual(parseReward("rule:length"));
    expect(parseReward({ rule: "length", name: "words" }).name).toBe("words");
  });

  it("is refused with what was meant", () => {
    const refusals: [unknown, RegExp][] = [
      ["", /empty text/],
      [7, /a folder or hub id, rule:NAME.* is required, got 7/],
      [[], /at least one part/],
      [
        { rul: "length" },
        /one of the keys rule, model, module, unit_test, url, ensemble, reward is required, got rul/,
      ],
      [{ rule: "length", model: "x" }, /one of the keys/],
      [{ reward: "length", wieght: 2 }, /no option wieght/],
      [{ rule: ["length"] }, /a text is required/],
      [{ reward: "length", weight: "much" }, /weight: a number is required/],
      [{ url: "http://x/y", retrys: 2 }, /no option retrys; did you mean retries\?/],
      ["ensemble:length", /at least two members/],
      [{ ensemble: ["length", "rouge"], combine: "worst" }, /combine: .*mean.*got "worst"/],
      [{ ensemble: ["length", "rouge"], lambda: -1 }, /lambda: a number of at least 0 is required, got -1/],
      [{ ensemble: ["length", "rouge"], lamda: 1 }, /no option lamda; did you mean lambda\?/],
      [{ module: "a.ts", exports: "b" }, /no option exports; did you mean export\?/],
    ];
    for (const [spec, message] of refusals) {
      expect(() => parseReward(spec)).toThrow(message);
      expect(() => parseReward(spec)).toThrow(RewardError);
    }
  });
});

describe("an opened reward", () => {
  it("is a rule, a function, or a sum whose weights are taken as they are", async () => {
    expect(await (await openReward("rule:exclamation")).score(batch)).toEqual([1, 0]);
    expect(
      await (await openReward((rows) => rows.map(({ completion }) => completion.length))).score(batch),
    ).toEqual([12, 2]);
    const sum = await openReward([
      { rule: "length", weight: 3 },
      "-2*exclamation",
      { reward: "length", name: "words" },
    ]);
    expect(await sum.score(batch)).toEqual([6, 4]);
    expect(await sum.parts?.(batch)).toEqual({
      scores: [6, 4],
      parts: { length: [2, 1], exclamation: [1, 0], words: [2, 1] },
    });
    expect(await sum.score([])).toEqual([]);
  });

  it("names parts of one name apart, and the part that fails", async () => {
    const sum = await openReward(["length", "length", { reward: () => [1], name: "mine" }]);
    await expect(sum.score(batch)).rejects.toThrow(
      "reward mine: one score for each of 2 rows is required, got 1",
    );
    const fine = await openReward(["length", "2*length"]);
    expect(Object.keys((await fine.parts?.(batch))?.parts ?? {})).toEqual(["length", "length (2)"]);
  });

  it("is refused when it is not there", async () => {
    await expect(openReward("rule:lenght")).rejects.toThrow(
      "rule lenght: there is no such rule; did you mean length?",
    );
    await expect(openReward("lenght")).rejects.toThrow(
      /no such folder and no such rule; did you mean rule:length\?/,
    );
    await expect(openReward("./nowhere.ts")).rejects.toThrow(/no such file/);
    await expect(openReward("src")).rejects.toThrow(/needs an engine/);
  });
});

describe("a checked reward", () => {
  const failures: [string, () => unknown, RegExp][] = [
    ["throws", () => { throw new TypeError("x is undefined"); }, /reward mine: threw on a batch of 2 that begins with row 1 \("Hello there!"\): TypeError: x is undefined/],
    ["rejects", () => Promise.reject(new Error("no")), /threw on a batch of 2/],
    ["throws a string", () => { throw "oops"; }, /: oops/],
    ["gives too few", () => [1], /one score for each of 2 rows is required, got 1/],
    ["gives NaN", () => [1, Number.NaN], /a finite number is required, got NaN for row 2 \("No"\)/],
    ["gives infinity", () => [Number.POSITIVE_INFINITY, 1], /got Infinity for row 1/],
    ["gives text", () => ["1", 2], /got the string "1" for row 1/],
    ["gives nothing", () => undefined, /an array of 2 numbers is required, got nothing/],
    ["gives holes", () => new Array(2), /got nothing for row 1/],
  ]; // biome-ignore format: a table

  it.each(failures)("that %s is one clear error", async (_, reward, message) => {
    const score = checked(reward as never, "mine");
    await expect(score(batch)).rejects.toThrow(message);
    await expect(score(batch)).rejects.toBeInstanceOf(RewardError);
  });

  it("passes numbers of any kind of array on, and lets an abort through", async () => {
    expect(await checked(() => Float32Array.of(1, 2) as never, "mine")(batch)).toEqual([1, 2]);
    const stop = new DOMException("stop", "AbortError");
    await expect(checked(() => Promise.reject(stop), "mine")(batch)).rejects.toBe(stop);
  });
});
