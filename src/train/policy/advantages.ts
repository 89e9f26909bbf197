/**
 * From scores and values to advantages, token by token (Schulman et al. 2016; Ziegler et al. 2019).
 *
 *     reward_t     = -beta KL_t, and at the last token + score
 *     delta_t      = reward_t + gamma V_t+1 - V_t                    V after the last token is 0
 *     advantage_t  = delta_t + gamma lambda advantage_t+1
 *     return_t     = advantage_t + V_t
 *
 * Responses are ragged rows of their own tokens: there is no padding that could leak in. The figures are few, so this
 * is plain double precision on the host.
 */

/** A number for each token of a response. */
export type TokenRow = Float64Array;

/**
 * The rewards of a response's tokens: what the KL costs at each, and the score where the response ends.
 *
 * @param kl nats for each token, as `klEstimators` gives them
 * @param klCoef beta; 0 when the KL stands in the loss instead
 */
export function tokenRewards(kl: ArrayLike<number>, klCoef: number, score: number): TokenRow {
  const rewards = Float64Array.from(kl, (x) => -klCoef * x);
  rewards[rewards.length - 1] = (rewards[rewards.length - 1] as number) + score;
  return rewards;
}

export interface GaeOptions {
  /** Discount; 1 for responses. */
  readonly gamma: number;
  /** 1 is the Monte Carlo return less the value, 0 the one-step error. */
  readonly lam: number;
}

/**
 * Generalised advantage estimation over the tokens of one response (eq. 16 there), from the last token to the first.
 *
 * @param values V_t, before token t is chosen
 */
export function gae(
  rewards: TokenRow,
  values: ArrayLike<number>,
  { gamma, lam }: GaeOptions,
): { advantages: TokenRow; returns: TokenRow } {
  const advantages = new Float64Array(rewards.length);
  const returns = new Float64Array(rewards.length);
  let [advantage, nextValue] = [0, 0];
  for (let t = rewards.length - 1; t >= 0; t--) {
    const value = values[t] as number;
    advantage = (rewards[t] as number) + gamma * nextValue - value + gamma * lam * advantage;
    advantages[t] = advantage;
    returns[t] = advantage + value;
    nextValue = value;
  }
  return { advantages, returns };
}

/**
 * (x - mean) / sqrt(variance + 1e-8) over the tokens of all rows, with the biased variance; without `shiftMean` the
 * mean is added again, so that rewards keep theirs (TRL).
 */
export function whiten(rows: readonly TokenRow[], { shiftMean = true } = {}): TokenRow[] {
  let [count, sum] = [0, 0];
  for (const row of rows) for (const x of row) [count, sum] = [count + 1, sum + x];
  const mean = sum / count;
  let squares = 0;
  for (const row of rows) for (const x of row) squares += (x - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / count + 1e-8);
  return rows.map((row) => row.map((x) => (x - mean) * scale + (shiftMean ? 0 : mean)));
}
