"""Goldens of TRL's SFTTrainer: what it logs in four AdamW steps on tiny models, on prompts with completions.

    python test/parity/sft.py      writes test/parity/golden/sft.json (trl 1.16; needs the models of models.py)
"""

import json

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer
from trl_common import GOLDEN, SETTINGS, ids, logged, model, tokenizer, words

LENGTHS = [(3, 4), (1, 1), (5, 3), (2, 7), (4, 2)]

generator = torch.Generator().manual_seed(5)
rows = [dict(prompt=ids(generator, p), completion=[*ids(generator, c - 1), 2]) for p, c in LENGTHS]
data = Dataset.from_list([{key: words(value) for key, value in row.items()} for row in rows])
out = {"rows": rows, "learning_rate": SETTINGS["learning_rate"], "cases": {}}
for name in ("gpt2", "llama"):
    # With gpt2 the loss of whole rows is divided by all tokens, the first ones too, which nothing predicts.
    for case, options in {
        "completion": dict(per_device_train_batch_size=5),
        **({"whole": dict(per_device_train_batch_size=5, completion_only_loss=False)} if name == "llama" else {}),
    }.items():
        trainer = SFTTrainer(
            model=model(name),
            args=SFTConfig(**SETTINGS, max_length=64, packing=False, **options),
            train_dataset=data,
            processing_class=tokenizer(),
        )
        trainer.train()
        out["cases"][f"{name}/{case}"] = logged(trainer)
(GOLDEN / "sft.json").write_text(json.dumps(out, indent=1) + "\n")
