import { expect, it } from "vitest";
import { linesOf } from "./lines.ts";

it("lines are the same whether the file came from Windows, Unix or an old Mac", () => {
  for (const text of ["a\nb", "a\r\nb\r\n", "\uFEFFa\nb\n", "a\rb"])
    expect(linesOf(text)).toEqual(["a", "b"]);
});

it("empty lines inside stay, an empty file has none", () => {
  expect(linesOf("a\n\nb\n")).toEqual(["a", "", "b"]);
  expect(linesOf("")).toEqual([]);
});
