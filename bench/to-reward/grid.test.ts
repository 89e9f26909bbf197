import { describe, expect, it } from "vitest";
import { type GridRow, reachedAt, readGrid, settings, winnerOf } from "./grid.ts";

const trial = { gold: [1, 3, 2], seconds: [10, 30, 40] };

describe("the grid of ppo-to-reward", () => {
  it("finds where gold first reaches the target, on straight lines between snapshots", () => {
    expect(reachedAt(trial, 2, 0, 5)).toEqual({ steps: 7.5, seconds: 20 });
    expect(reachedAt(trial, 0.5, 0, 5)).toEqual({ steps: 2.5, seconds: 5 });
    expect(reachedAt(trial, 3.5, 0, 5)).toBeUndefined();
  });

  it("is won by who needs the fewest seconds, not the fewest iterations", () => {
    const row = (steps: number, seconds: number) => ({ reached: { steps, seconds } }) as GridRow;
    const never = { reached: null } as GridRow;
    expect(winnerOf([never, row(5, 20), row(9, 10)])).toEqual(row(9, 10));
    expect(winnerOf([never])).toBeUndefined();
  });

  it("as committed has the same settings on both sides, and on both one that reached the target", () => {
    const { sides, target, start, snapshot_every } = readGrid();
    expect(Object.keys(sides).sort()).toEqual(["attune", "trl-ppo"]);
    for (const rows of Object.values(sides)) {
      const tried = rows.map(({ learning_rate, num_ppo_epochs, kl_coef }) => ({
        learning_rate,
        num_ppo_epochs,
        kl_coef,
      }));
      expect(tried).toEqual(settings);
      expect(winnerOf(rows)).toBeDefined();
      for (const row of rows) {
        const { steps } = reachedAt(row, target, start, snapshot_every) ?? {};
        expect(steps === undefined).toBe(row.reached === null);
        if (steps !== undefined) expect(row.reached?.steps).toBeCloseTo(steps, 1);
      }
    }
  });
});
