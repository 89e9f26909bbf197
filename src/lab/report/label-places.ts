/** Labels beside dots that do not lie over each other: each takes the first of four corners that is free. */
import * as Plot from "@observablehq/plot";

/** A dot in the units of the axes, with its label. */
export interface Labelled {
  readonly x: number;
  readonly y: number;
  readonly name: string;
}

/** Of the plot's inside: the ends of both axes, and its size in pixels. */
export interface Frame {
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
  readonly width: number;
  readonly height: number;
}

/** Where a label goes from its dot, in pixels. */
const corners = [
  { textAnchor: "start", dx: 9, dy: -9 },
  { textAnchor: "start", dx: 9, dy: 10 },
  { textAnchor: "end", dx: -9, dy: -9 },
  { textAnchor: "end", dx: -9, dy: 10 },
] as const;

const letter = { width: 6.2, height: 15 };

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** The corner of each, by its number; where none is free the first. */
export function cornersOf(dots: readonly Labelled[], { x, y, width, height }: Frame): number[] {
  const across = (value: number) => ((value - x[0]) / (x[1] - x[0] || 1)) * width;
  const down = (value: number) => (1 - (value - y[0]) / (y[1] - y[0] || 1)) * height;
  const taken: Box[] = dots.map((dot) => ({
    left: across(dot.x) - 5,
    right: across(dot.x) + 5,
    top: down(dot.y) - 5,
    bottom: down(dot.y) + 5,
  }));
  return dots.map((dot) => {
    const boxes = corners.map(({ textAnchor, dx, dy }): Box => {
      const start = across(dot.x) + dx - (textAnchor === "end" ? letter.width * dot.name.length : 0);
      const middle = down(dot.y) + dy;
      return {
        left: start,
        right: start + letter.width * dot.name.length,
        top: middle - letter.height / 2,
        bottom: middle + letter.height / 2,
      };
    });
    const isFree = (box: Box) =>
      box.left >= 0 && box.right <= width + 40 && !taken.some((other) => overlap(box, other));
    const free = Math.max(0, boxes.findIndex(isFree));
    taken.push(boxes[free] as Box);
    return free;
  });
}

/** Marks of the labels. */
export function labels(dots: readonly Labelled[], frame: Frame): Plot.Markish[] {
  const places = cornersOf(dots, frame);
  return corners.map((corner, k) =>
    Plot.text(
      dots.filter((_, i) => places[i] === k),
      {
        x: "x",
        y: "y",
        text: "name",
        ...corner,
        stroke: "var(--card)",
        strokeWidth: 3,
        fill: "currentColor",
      },
    ),
  );
}
