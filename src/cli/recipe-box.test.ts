import { expect, it } from "vitest";
import { boxedRecipe, recipeFile, recipeNames, studyNames } from "./recipe-box.ts";

it("takes a file, then a name of the box, with or without its folder", async () => {
  const box = [...(await studyNames()), ...(await recipeNames())];
  expect(await recipeFile("recipes/world.yaml", box)).toBe("recipes/world.yaml");
  expect(await recipeFile("world", box)).toBe(boxedRecipe("world"));
  expect(await recipeFile("overopt", box, ["studies/"])).toBe(boxedRecipe("studies/overopt"));
});

it("a folder of that name does not stand in the way of the box, and is no recipe by itself", async () => {
  expect(await recipeFile("docs", ["docs"])).toBe(boxedRecipe("docs"));
  await expect(recipeFile("docs", ["world"])).rejects.toThrow(
    /docs: a recipe's file is required, this is a folder/,
  );
  await expect(recipeFile("wrold", ["world"])).rejects.toThrow(/wrold: no such recipe.*world/);
});
