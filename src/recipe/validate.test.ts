import { describe, expect, it } from "vitest";
import { z } from "zod";
import { RecipeError } from "./errors.ts";
import { validated } from "./validate.ts";

const schema = z.strictObject({
  kl_coef: z.number().min(0).optional(),
  steps: z.int().min(1).optional(),
  optim: z.enum(["adamw", "sgd"]).optional(),
  lora: z.strictObject({ rank: z.int() }).optional(),
  data: z.union([z.string().min(1), z.array(z.string())]).optional(),
});
const messageOf = (value: unknown): string => {
  try {
    validated(schema, value, "r.yaml");
  } catch (error) {
    expect(error).toBeInstanceOf(RecipeError);
    return (error as Error).message;
  }
  return "";
};

describe("what a recipe is told", () => {
  it("an unknown key brings the nearest one, at every depth", () => {
    expect(messageOf({ kl_coeff: 1 })).toBe("r.yaml: kl_coeff is not a key; did you mean kl_coef?");
    expect(messageOf({ lora: { rnk: 1, rank: 2 } })).toBe(
      "r.yaml: lora.rnk is not a key; did you mean rank?",
    );
  });

  it("a wrong value brings what is required and what came", () => {
    expect(messageOf({ kl_coef: -1 })).toBe("r.yaml: kl_coef: at least 0 is required, got -1");
    expect(messageOf({ steps: 1.5 })).toBe("r.yaml: steps: a whole number is required, got 1.5");
    expect(messageOf({ kl_coef: "x" })).toBe('r.yaml: kl_coef: a number is required, got "x"');
    expect(messageOf({ optim: "adam" })).toBe('r.yaml: optim: one of adamw, sgd is required, got "adam"');
    expect(messageOf({ data: 3 })).toBe("r.yaml: data: a string, or an array is required, got 3");
    expect(messageOf([])).toBe("r.yaml: the value: an object is required, got []");
  });

  it("all problems come at once", () => {
    expect(messageOf({ kl_coef: -1, optim: 3 })).toMatch(/kl_coef.*; optim/);
  });
});
