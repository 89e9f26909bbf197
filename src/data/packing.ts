/**
 * Packs several rows into one, best fit first, so that less is padding. Rows do not see each other: the collated batch
 * says by `segment_ids` and `position_ids` where each begins (Krell et al. 2021).
 */
import type { Example } from "./example.ts";
import { type RowList, selected } from "./list.ts";

/** Rows of at most `maxLength` tokens, each of one or several examples, which are never cut; joined when asked for. */
export function packExamples(examples: RowList<Example>, maxLength: number): RowList<Example> {
  const bins: { room: number; members: number[] }[] = [];
  const byRoom = new Map<number, number[]>(); // room left to bins
  const lengths = Int32Array.from(examples, ({ ids }) => ids.length);
  const lengthOf = (i: number) => lengths[i] as number;
  const order = Uint32Array.from(lengths, (_, i) => i).sort((a, b) => lengthOf(b) - lengthOf(a) || a - b);
  for (const i of order) {
    const length = lengthOf(i);
    const at = fitting(byRoom, length, maxLength);
    const bin = at === undefined ? { room: maxLength, members: [] } : (bins[at] as (typeof bins)[number]);
    const place = at ?? bins.push(bin) - 1;
    bin.members.push(i);
    bin.room -= length;
    const same = byRoom.get(bin.room);
    if (same) same.push(place);
    else byRoom.set(bin.room, [place]);
  }
  const places = Uint32Array.from(bins, (_, i) => i);
  return selected(places, (place) =>
    joined((bins[place]?.members ?? []).map((i) => examples.at(i) as Example)),
  );
}

/** Takes out the bin with the least room that is enough. */
function fitting(byRoom: Map<number, number[]>, length: number, maxLength: number): number | undefined {
  for (let room = length; room < maxLength; room++) {
    const found = byRoom.get(room)?.pop();
    if (found !== undefined) return found;
  }
  return undefined;
}

function joined(parts: readonly Example[]): Example {
  const length = parts.reduce((n, { ids }) => n + ids.length, 0);
  const ids = new Int32Array(length);
  const counts = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    ids.set(part.ids, at);
    counts.set(part.counts, at);
    at += part.ids.length;
  }
  return {
    ids,
    counts,
    segments: parts.flatMap(({ segments }) => segments),
    sources: parts.flatMap(({ sources }) => sources),
  };
}
