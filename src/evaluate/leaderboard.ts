/**
 * Players ranked by their games: the maximum-likelihood ratings of Bradley and Terry (1952), which know no order of
 * games, and Elo's (1978), which change from game to game.
 *
 *     P(a beats b) = 1 / (1 + 10^((R_b - R_a) / 400))
 *
 * Both are on Elo's scale with a mean of 1000. A tie is half a win.
 */
import { AttuneError } from "../graph/errors.ts";
import { uniform } from "../graph/random.ts";
import { type BootstrapOptions, quantile } from "./bootstrap.ts";
import { fitLogistic } from "./logistic.ts";

export interface Game {
  readonly a: string;
  readonly b: string;
  /** 1: a won, 0: b won, 0.5: a tie. */
  readonly score: number;
}

export interface Rating {
  readonly player: string;
  readonly rating: number;
  /** Games, and the share that was won, ties half. */
  readonly games: number;
  readonly score: number;
}

export interface BradleyTerryRating extends Rating {
  readonly low: number;
  readonly high: number;
}

const scale = 400 / Math.LN10;
const middle = 1000;

function playersOf(games: readonly Game[]): string[] {
  if (games.length === 0) throw new AttuneError("leaderboard: games are required, got none");
  for (const { a, b, score } of games) {
    if (a === b) throw new AttuneError(`leaderboard: two different players are required, got ${a} twice`);
    if (!(score >= 0 && score <= 1))
      throw new AttuneError(`leaderboard: a score from 0 to 1 is required, got ${score} (${a} against ${b})`);
  }
  return [...new Set(games.flatMap(({ a, b }) => [a, b]))].sort();
}

function record(games: readonly Game[], player: string): { games: number; score: number } {
  const own = games.flatMap(({ a, b, score }) => (a === player ? [score] : b === player ? [1 - score] : []));
  return { games: own.length, score: own.reduce((sum, x) => sum + x, 0) / own.length };
}

/** Best first. */
const ranked = <T extends Rating>(rows: readonly T[]): T[] =>
  [...rows].sort((x, y) => y.rating - x.rating || x.player.localeCompare(y.player));

/** One row for each pair of players: how often they met, and the mean score of the first. */
function ratingsOf(games: readonly Game[], players: readonly string[]): Float64Array {
  const met = new Map<string, { x: number[]; y: number; n: number }>();
  for (const { a, b, score } of games) {
    const [first, second, won] = a < b ? [a, b, score] : [b, a, 1 - score];
    const key = JSON.stringify([first, second]);
    const row = met.get(key) ?? {
      x: players.map((player) => (player === first ? 1 : player === second ? -1 : 0)),
      y: 0,
      n: 0,
    };
    row.y = (row.y * row.n + won) / (row.n + 1);
    row.n++;
    met.set(key, row);
  }
  const strengths = fitLogistic([...met.values()]);
  const centre = strengths.reduce((sum, x) => sum + x, 0) / strengths.length;
  return strengths.map((x) => middle + scale * (x - centre));
}

/**
 * Bradley-Terry ratings with percentile bootstrap intervals over games. A player that won or lost every game has no
 * finite rating of maximum likelihood; a ridge of 1e-6 keeps it finite, far out and with a wide interval.
 *
 * @throws AttuneError without games, for a game of one player against itself, or a score outside of 0 to 1
 */
export function bradleyTerry(
  games: readonly Game[],
  { seed = 0, n = 200, confidence = 0.95 }: BootstrapOptions = {},
): BradleyTerryRating[] {
  const players = playersOf(games);
  const ratings = ratingsOf(games, players);
  const samples = Array.from({ length: n }, (_, sample) =>
    ratingsOf(
      games.map((_, i) => games[Math.floor(uniform(seed, sample, i) * games.length)] as Game),
      players,
    ),
  );
  const tail = (1 - confidence) / 2;
  return ranked(
    players.map((player, k) => {
      const drawn = Float64Array.from(samples, (sample) => sample[k] as number).sort();
      return {
        player,
        rating: ratings[k] as number,
        low: quantile(drawn, tail),
        high: quantile(drawn, 1 - tail),
        ...record(games, player),
      };
    }),
  );
}

/**
 * Elo ratings after the games in their order: R_a += k (score - P(a beats b)), and as much less for b. Later games
 * weigh more, which suits players that change; for checkpoints that do not, prefer Bradley-Terry.
 *
 * @param k how far one game moves a rating. Default: 4
 */
export function elo(games: readonly Game[], { k = 4 }: { readonly k?: number } = {}): Rating[] {
  const players = playersOf(games);
  const ratings = new Map(players.map((player) => [player, middle]));
  const of = (player: string) => ratings.get(player) as number;
  for (const { a, b, score } of games) {
    const moved = k * (score - 1 / (1 + 10 ** ((of(b) - of(a)) / 400)));
    ratings.set(a, of(a) + moved);
    ratings.set(b, of(b) - moved);
  }
  return ranked(players.map((player) => ({ player, rating: of(player), ...record(games, player) })));
}
