import { describe, expect, it } from "vitest";
import { RecipeError } from "./errors.ts";
import { checkJudge } from "./judges.ts";

describe("what a recipe says of a judge", () => {
  it.each([
    "world",
    "http://localhost:9/v1#model",
    "sft",
    "length",
    "model:runs/sft",
    "reward:rule:length",
    "reward:0.5*judge",
    { url: "http://localhost:9/v1", model: "name", retries: 0 },
    { model: "sft", template: "question.txt" },
    { reward: [{ rule: "length" }, "judge"], preference: "bradley_terry" },
  ])("is taken where it can be meant: %j", (judge) => {
    expect(() => checkJudge(judge, "r.yaml: label.judge")).not.toThrow();
  });

  it.each([
    ["http://localhost:9/v1", /judge http:.*: a model's name is required behind a #, as in .*v1#name/],
    ["rule:length", /this is a reward; to judge by its scores write reward:rule:length/],
    ["reward:rule:lenght", /rule lenght: there is no such rule; did you mean length/],
    ["", /judge: world, .* is required, got ""/],
    [null, /judge: world, .* is required, got null/],
    [["world"], /judge: world, .* is required, got \["world"\]/],
    [{ url: "http://localhost:9/v1" }, /judge: model: a value is required/],
    [{ url: "http://localhost:9/v1", model: "m", retires: 1 }, /no option retires; did you mean retries/],
    [{ model: "sft", template: 3 }, /judge: template: .*got 3/],
    [{ reward: { rule: "length_band", mim: 3 } }, /no option mim; did you mean min/],
  ])("is refused with the key where it cannot: %j", (judge, message) => {
    const check = () => checkJudge(judge, "r.yaml: label.judge");
    expect(check).toThrow(RecipeError);
    expect(check).toThrow(message);
    expect(check).toThrow(/^r\.yaml: label\.judge: /);
  });
});
