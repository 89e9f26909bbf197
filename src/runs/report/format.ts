/** Numbers as a reader wants them: few digits, a real minus, intervals beside their value. */
import { type Html, html } from "./html.ts";
import type { Interval } from "./schema.ts";

const minus = (text: string): string => text.replace(/^-/, "\u2212");

/** Three digits that mean something: 0.0213, 0.213, 2.13, 21.3, 213, 2,130. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "\u2013";
  if (size === 0) return "0";
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) return minus(value.toExponential(1));
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  return minus(
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  );
}

/** Two digits behind the point, as scores stand above each other; with its sign on demand. */
export const score = (value: number, signed = false): string =>
  (signed && value >= 0.005 ? "+" : "") + minus(Math.abs(value) < 0.005 ? "0.00" : value.toFixed(2));

/** 1,234,567. */
export const count = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 0 });

/** 950, 656k, 5.6M, 1.2B. */
export function compactCount(value: number): string {
  const [size, letter] =
    value >= 1e9 ? [1e9, "B"] : value >= 1e6 ? [1e6, "M"] : value >= 1e3 ? [1e3, "k"] : [1, ""];
  const scaled = value / size;
  return `${scaled.toFixed(letter === "" || letter === "k" || scaled >= 100 ? 0 : 1)}${letter}`;
}

/** A share in hundredths, for where the unit stands once. */
export const hundredths = (share: number): string => (share * 100).toFixed(0);

export const percent = (share: number): string => `${hundredths(share)} %`;

/** 8.4 s, 42 s, 3 min 05 s, 2 h 10 min. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

type Format = (value: number) => string;

/** The value, and its 95 % interval small below it. */
export const withInterval = ({ mean, low, high }: Interval, format: Format = score, unit = ""): Html =>
  html`<span class="value">${format(mean)}${unit}</span> <span class="interval">${format(low)} to ${format(high)}${unit}</span>`;

/** The same in a sentence: 0.62 (0.59 to 0.65). */
export const inWords = ({ mean, low, high }: Interval, format: Format = score, unit = ""): string =>
  `${format(mean)}${unit} (${format(low)} to ${format(high)}${unit})`;

/** a; a and b; a, b and c. */
export const list = (items: readonly string[]): string =>
  items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
