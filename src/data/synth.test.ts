import { describe, expect, it } from "vitest";
import { synthesize } from "./synth.ts";

const templates = {
  values: { city: ["Oslo", "Lima"], day: [1, 2, 3] },
  templates: [
    {
      kind: "travel",
      prompt: ["What should I see in {city}?", "I have {day} days in {city}."],
      responses: {
        high: ["In {city}, begin with the old town.", "Walk through the old town of {city} for {day} hours."],
        medium: "The old town.",
        low: "No idea.",
      },
    },
    {
      prompt: "Is {dish} sold in {city}?",
      values: { dish: ["soup", "bread"] },
      responses: { high: "Yes, {dish} is.", medium: "Yes.", low: "Who eats {dish}?" },
    },
  ],
};

describe("preference data from templates", () => {
  it("prefers the better level, with the same values in prompt and responses", () => {
    const rows = synthesize(templates, { n: 200, seed: 1 });
    const order = ["high", "medium", "low"];
    for (const row of rows) {
      expect(order.indexOf(row.level_chosen as string)).toBeLessThan(
        order.indexOf(row.level_rejected as string),
      );
      const city = (row.prompt as string).includes("Oslo") ? "Lima" : "Oslo";
      expect(`${row.chosen} ${row.rejected}`).not.toContain(city);
      expect(JSON.stringify(row)).not.toMatch(/\{\w+\}/);
    }
    expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(["travel", undefined]));
    expect(new Set(rows.map(({ level_rejected }) => level_rejected))).toEqual(new Set(["medium", "low"]));
  });

  it("is a function of the seed and the row", () => {
    expect(synthesize(templates, { n: 5, seed: 1 })).toEqual(
      synthesize(templates, { n: 9, seed: 1 }).slice(0, 5),
    );
    expect(synthesize(templates, { n: 9, seed: 2 })).not.toEqual(synthesize(templates, { n: 9, seed: 1 }));
  });

  it("writes rankings, the best with rank 1, and ratings, the best with the highest", () => {
    const [ranking] = synthesize(templates, { n: 1, as: "rankings" });
    expect(ranking).toMatchObject({ ranks: [1, 2, 3], levels: ["high", "medium", "low"] });
    expect(ranking?.completions).toHaveLength(3);
    for (const { level, rating } of synthesize(templates, { n: 30, as: "ratings", levels: ["high", "low"] }))
      expect(rating).toBe(level === "high" ? 2 : 1);
  });

  it("says what is wrong with templates", () => {
    const [first] = templates.templates;
    const wrong = (input: unknown, levels?: string[]) => () => synthesize(input, levels ? { levels } : {});
    expect(wrong({})).toThrow(/^templates: templates: .*required are templates with prompt and responses/);
    expect(wrong("text")).toThrow(/^templates: /);
    expect(wrong({ templates: [first] })).toThrow(
      "templates.0: the slot {city} has no values; values are there for none",
    );
    expect(wrong(templates, ["high"])).toThrow(/at least two different levels/);
    expect(wrong(templates, ["high", "best"])).toThrow(
      'templates.0.responses: the levels "high", "best" are required, "best" missing; it has "high", "medium", "low"',
    );
    expect(wrong({ ...templates, template: [] })).toThrow(/template/);
  });
});
