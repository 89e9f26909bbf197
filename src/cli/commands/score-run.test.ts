import { expect, it } from "vitest";
import { weightLine } from "./score-run.ts";

it("tokens are told with two decimals and a sign, and none of them is -0.00", () => {
  const tokens = [0, -0, -0.004, 0.004, -0.006, 1.25].map((weight) => ({ token: "a", weight }));
  expect(weightLine(tokens).trim()).toBe("a +0.00 | a +0.00 | a +0.00 | a +0.00 | a -0.01 | a +1.25");
});
