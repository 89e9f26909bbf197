"""Goldens of TRL's BCOTrainer: what it logs in three AdamW steps on a tiny model, beside another as its reference.

    python test/parity/bco.py      writes test/parity/golden/bco.json (trl 1.12, the last with BCO; models of models.py)
"""

import json

import torch
from datasets import Dataset
from trl.experimental.bco import BCOConfig, BCOTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, model, tokenizer, words

SCALE = 1.1
NAME = "llama"
# prompt, completion, label; the last token of a completion is the end of text
LABELS = [(3, 4, True), (1, 6, False), (5, 3, False), (2, 7, True), (4, 2, False)]

generator = torch.Generator().manual_seed(5)
rows = [dict(prompt=ids(generator, p), completion=[*ids(generator, c - 1), 2], label=y) for p, c, y in LABELS]
data = Dataset.from_list(
    [dict(prompt=words(row["prompt"]), completion=words(row["completion"]), label=row["label"]) for row in rows]
)
cases = {}
for beta in (0.1, 0.5):
    trainer = BCOTrainer(
        model=model(NAME, SCALE),
        ref_model=model(NAME),
        args=BCOConfig(
            **SETTINGS | dict(max_steps=3),
            per_device_train_batch_size=len(rows),
            max_length=64,
            beta=beta,
            remove_unused_columns=False,
        ),
        train_dataset=data,
        processing_class=tokenizer(),
    )
    trainer.train()
    cases[f"beta {beta}"] = {"options": {"beta": beta}, "steps": logged(trainer)}
out = {"model": NAME, "scale": SCALE, "learning_rate": SETTINGS["learning_rate"], "labels": rows, "cases": cases}
(GOLDEN / "bco.json").write_text(json.dumps(out, indent=1) + "\n")
