"""Goldens of TRL's RewardTrainer: what it logs in four AdamW steps on tiny models, on ragged pairs.

    python test/parity/reward.py   writes test/parity/golden/reward.json (trl 1.16; needs the models of models.py)
"""

import json

import torch
import transformers
from datasets import Dataset
from trl import RewardConfig, RewardTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, tokenizer, words

LENGTHS = [(3, 4, 6), (1, 2, 2), (5, 3, 1), (2, 7, 4), (4, 2, 5)]  # prompt, chosen, rejected
MARGINS = [0.5, 0.0, 2.0, 1.0, 0.25]


def score_model(name: str):
    """A golden reward model, all its weights halved, so that no score is far out."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        GOLDEN / "models" / f"{name}-score", dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return model


generator = torch.Generator().manual_seed(7)
rows = [
    dict(prompt=ids(generator, p), chosen=[*ids(generator, c - 1), 2], rejected=[*ids(generator, r - 1), 2])
    for p, c, r in LENGTHS
]
pairs = [{side: words([*row["prompt"], *row[side]]) for side in ("chosen", "rejected")} for row in rows]
cases = {
    "plain": (pairs, {}),
    "margin": ([{**pair, "margin": margin} for pair, margin in zip(pairs, MARGINS)], {}),
    "centred": (pairs, dict(center_rewards_coefficient=0.1)),
}
out = {"rows": rows, "margins": MARGINS, "learning_rate": SETTINGS["learning_rate"], "cases": {}}
for name in ("gpt2", "llama"):
    for case, (data, options) in cases.items():
        trainer = RewardTrainer(
            model=score_model(name),
            args=RewardConfig(**SETTINGS, max_length=64, per_device_train_batch_size=len(pairs), **options),
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer(),
        )
        trainer.train()
        out["cases"][f"{name}/{case}"] = logged(trainer)
(GOLDEN / "reward.json").write_text(json.dumps(out, indent=1) + "\n")
