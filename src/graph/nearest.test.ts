import { describe, expect, it } from "vitest";
import { didYouMean, nearest } from "./nearest.ts";

describe("nearest", () => {
  it("finds what was mistyped and nothing that is far", () => {
    const names = ["kl_coef", "learning_rate", "lam"];
    expect(nearest("kl_coeff", names)).toBe("kl_coef");
    expect(nearest("Learning_rte", names)).toBe("learning_rate");
    expect(nearest("temperature", names)).toBeUndefined();
  });

  it("says the nearest name, or all known ones", () => {
    expect(didYouMean("bta", ["beta", "gamma"])).toBe("; did you mean beta?");
    expect(didYouMean("zzzzzz", ["beta", "gamma"])).toBe("; known are beta, gamma");
  });
});
