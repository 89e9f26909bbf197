"""Goldens of TRL's DPOTrainer: what it logs in four AdamW steps on tiny models, whose reference is another model.

    python test/parity/dpo.py      writes test/parity/golden/dpo.json (trl 1.16; needs the models of models.py)
"""

import json

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, model, tokenizer, words

SCALE = 1.1  # weights of the policy are those of the reference times this
# prompt, chosen, rejected; ragged, and responses of one token (the end of text) among them
LENGTHS = [(3, 4, 2), (1, 1, 6), (5, 3, 3), (2, 7, 1), (4, 2, 5)]
CASES = {
    "sigmoid": dict(loss_type=["sigmoid"], beta=0.1),
    "sigmoid_large_beta": dict(loss_type=["sigmoid"], beta=2.0),
}

generator = torch.Generator().manual_seed(3)
pairs = [
    dict(prompt=ids(generator, p), chosen=[*ids(generator, c - 1), 2], rejected=[*ids(generator, r - 1), 2])
    for p, c, r in LENGTHS
]
rows = Dataset.from_list([{key: words(value) for key, value in pair.items()} for pair in pairs])
out = {"scale": SCALE, "pairs": pairs, "learning_rate": SETTINGS["learning_rate"], "cases": {}}
for name in ("gpt2", "llama", "mistral"):
    for case, options in CASES.items():
        trainer = DPOTrainer(
            model=model(name, SCALE),
            ref_model=model(name),
            args=DPOConfig(**SETTINGS, per_device_train_batch_size=len(pairs), max_length=64, **options),
            train_dataset=rows,
            processing_class=tokenizer(),
        )
        trainer.train()
        out["cases"][f"{name}/{case}"] = {"beta": options["beta"], "steps": logged(trainer)}
(GOLDEN / "dpo.json").write_text(json.dumps(out, indent=1) + "\n")
