"""Writes golden/rouge.json: F1 of Google's rouge_score (0.1.2), without stemming, for texts written here.

    pip install rouge_score && python test/parity/rouge.py
"""

import json
from pathlib import Path

from rouge_score import rouge_scorer

PAIRS = [
    ("the cat sat on the mat", "the cat was sitting on the mat"),
    ("A quick brown fox, quick and brown!", "The quick brown dog."),
    ("one two three four five", "five four three two one"),
    ("rain rain rain go away", "rain go away, come again another day"),
    ("It's the miller's mill; it isn't ours.", "the mill is the miller's and it isn't ours"),
    ("Route 66 runs 2,448 miles", "it runs for 2448 miles along route 66"),
    ("police killed the gunman", "police kill the gunman"),
    ("nothing in common", "other words here"),
    ("", "a reference"),
    ("a text", ""),
    ("same same but different", "same same but different"),
]

scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
rows = []
for text, reference in PAIRS:
    scores = scorer.score(reference, text)
    rows.append({"text": text, "reference": reference, **{k: v.fmeasure for k, v in scores.items()}})

out = Path(__file__).parent / "golden" / "rouge.json"
out.write_text(json.dumps(rows, indent=1) + "\n")
