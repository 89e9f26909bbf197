"""Writes golden/evaluate.json: BLEU and self-BLEU of NLTK, n-grams counted by NLTK, correlations of SciPy,
length-controlled win rates (AlpacaEval's formula without its term of instructions) and Bradley-Terry ratings by
scikit-learn, Elo by its definition, calibration by scikit-learn's bins, accuracy by subset.

    pip install nltk==3.9.2 scipy scikit-learn && python test/parity/evaluate.py
"""

import json
import random
from pathlib import Path

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from nltk.util import ngrams
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

random.seed(7)
rng = np.random.default_rng(7)

WORDS = "the mill is by the old river and a miller keeps geese there until the bell rings".split()
texts = [" ".join(random.choices(WORDS, k=random.randint(3, 16))) for _ in range(12)]
texts += [texts[0], "nothing shared whatsoever here", "the"]
method1 = SmoothingFunction().method1
units = [t.split() for t in texts]
bleus = [sentence_bleu(units[:i] + units[i + 1 :], u, smoothing_function=method1) for i, u in enumerate(units)]
pair_bleus = [
    [i, j, sentence_bleu([units[j]], units[i], smoothing_function=method1)] for i in range(0, 6) for j in range(6, 12)
]


def distinct(n):
    grams = [g for u in units for g in ngrams(u, n)]
    return len(set(grams)) / len(grams)


def repeated(n):
    shares = []
    for u in units:
        grams = list(ngrams(u, n))
        shares.append(1 - len(set(grams)) / len(grams) if grams else 0)
    return float(np.mean(shares))


# rounded: equal values, that is ties, in both
x = np.round(rng.normal(size=60), 1)
y = np.round(0.6 * x + rng.normal(size=60), 1)

lengths_a = rng.integers(10, 120, size=80)
lengths_b = rng.integers(10, 100, size=80)
d = (lengths_a - lengths_b).astype(float)
scaled = np.tanh(d / d.std(ddof=1))
logits = 0.4 + 1.3 * scaled + rng.normal(size=80)
score_a = np.round(logits, 1)
score_b = np.zeros(80)
score_b[:6] = score_a[:6]  # ties
wins = 0.5 + 0.5 * np.sign(score_a - score_b)


def logistic(features, targets, intercept):
    """Soft targets as two weighted rows each; no penalty."""
    stacked = np.vstack([features, features])
    labels = np.concatenate([np.ones(len(targets)), np.zeros(len(targets))])
    weights = np.concatenate([targets, 1 - targets])
    keep = weights > 0
    model = LogisticRegression(C=np.inf, fit_intercept=intercept, tol=1e-12, max_iter=10_000, solver="newton-cg")
    return model.fit(stacked[keep], labels[keep], sample_weight=weights[keep])


fit = logistic(scaled[:, None], wins, True)
theta, phi = fit.intercept_[0], fit.coef_[0][0]

players = ["base", "dpo", "ppo", "sft"]
strength = dict(base=0.0, dpo=1.6, ppo=1.2, sft=0.7)
games = []
for _ in range(150):
    a, b = random.sample(players, 2)
    p = 1 / (1 + np.exp(strength[b] - strength[a]))
    score = 0.5 if random.random() < 0.1 else float(random.random() < p)
    games.append([a, b, score])
features = np.array([[(p == a) - (p == b) for p in players] for a, b, _ in games], dtype=float)
coefficients = logistic(features[:, 1:], np.array([s for *_, s in games]), False).coef_[0]
strengths = np.concatenate([[0.0], coefficients])  # the first player at 0, then centred
ratings = 1000 + 400 / np.log(10) * (strengths - strengths.mean())
elos = {p: 1000.0 for p in players}
for a, b, s in games:
    expected = 1 / (1 + 10 ** ((elos[b] - elos[a]) / 400))
    elos[a] += 4 * (s - expected)
    elos[b] -= 4 * (s - expected)

probabilities = rng.uniform(size=200)
outcomes = (rng.uniform(size=200) < probabilities**1.5).astype(int)
observed, predicted = calibration_curve(outcomes, probabilities, n_bins=10)
counts = np.histogram(probabilities, bins=10, range=(0, 1))[0]
ece = float(np.sum(counts[counts > 0] / 200 * np.abs(observed - predicted)))

margins = np.round(rng.normal(0.5, 1, size=90), 2)
margins[margins == 0] = 0.01
subsets = [random.choice(["chat", "safety", "sums"]) for _ in margins]
accuracy = {
    s: accuracy_score([1] * subsets.count(s), [int(m > 0) for m, t in zip(margins, subsets) if t == s])
    for s in sorted(set(subsets))
}

golden = {
    "diversity": {
        "texts": texts,
        "bleu": pair_bleus,
        "self_bleu": float(np.mean(bleus)),
        "distinct": [distinct(n) for n in (1, 2, 3)],
        "repetition": repeated(3),
    },
    "correlation": {
        "x": x.tolist(),
        "y": y.tolist(),
        "pearson": pearsonr(x, y)[0],
        "spearman": spearmanr(x, y)[0],
        "kendall": kendalltau(x, y)[0],
    },
    "win_rate": {
        "a": score_a.tolist(),
        "b": score_b.tolist(),
        "lengths_a": lengths_a.tolist(),
        "lengths_b": lengths_b.tolist(),
        "plain": float(wins.mean()),
        "controlled": float(1 / (1 + np.exp(-theta))),
        "length_effect": float(phi),
    },
    "leaderboard": {
        "games": games,
        "bradley_terry": dict(zip(players, ratings.tolist())),
        "elo": elos,
    },
    "calibration": {
        "probabilities": probabilities.round(6).tolist(),
        "outcomes": outcomes.tolist(),
        "observed": observed.tolist(),
        "predicted": predicted.tolist(),
        "ece": ece,
    },
    "subsets": {"margins": margins.tolist(), "subsets": subsets, "accuracy": accuracy},
}
out = Path(__file__).parent / "golden" / "evaluate.json"
out.write_text(json.dumps(golden) + "\n")
