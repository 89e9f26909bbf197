import { expect, it } from "vitest";
import { loadRewardInputs } from "./node-inputs.ts";

it("a row that cannot be scored is named, and nobody is advised to leave it out: scores stand in the file's order", async () => {
  const rows = [{ prompt: "Hi", completion: "Hello." }, { prompt: "Hi" }];
  await expect(loadRewardInputs(rows)).rejects.toThrow(/^row:2: .*; correct it$/);
  expect([...(await loadRewardInputs(rows.slice(0, 1)))]).toMatchObject([
    { prompt: "Hi", completion: "Hello." },
  ]);
});
