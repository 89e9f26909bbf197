"""TRL's DPOTrainer and RewardTrainer as a benchmark peer; see contestant.py for what it is asked and answers."""

import json
import tempfile

from contestant import once, serve, threads
from trl_timing import Stamps, arguments

import torch
import transformers
import trl
from datasets import Dataset
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

if threads:
    torch.set_num_threads(threads)
WARMUP = 2


def pairs(path, columns):
    """The rows of a file in its order."""
    rows = [json.loads(line) for line in open(path)]
    return Dataset.from_list([{column: row[column] for column in columns} for row in rows])


def trainer(kind, config, model, data, columns, batch, steps, **options):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = kind.from_pretrained(model, dtype=torch.float32, attn_implementation="sdpa")
    stamps = Stamps()
    made, settings = config
    args = settings(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, max_steps=steps + WARMUP,
        train_sampling_strategy="sequential", max_length=None, **arguments, **options)
    return made(model=network, args=args, processing_class=tokenizer, train_dataset=pairs(data, columns),
                callbacks=[stamps]), stamps


@once
def dpo_trainer(model, data, batch, steps, precomputed):
    return trainer(transformers.AutoModelForCausalLM, (DPOTrainer, DPOConfig), model, data,
                   ["prompt", "chosen", "rejected"], batch, steps, learning_rate=1e-6, beta=0.1,
                   precompute_ref_log_probs=precomputed)


@once
def reward_trainer(model, data, batch, steps):
    return trainer(transformers.AutoModelForSequenceClassification, (RewardTrainer, RewardConfig), model, data,
                   ["chosen_ids", "rejected_ids"], batch, steps, learning_rate=1e-5)


def measured(trainer, stamps, lengths):
    """Seconds for an update, and tokens of a pair's two rows in all of the data, which both sides must agree on."""
    trainer.train()
    tokens = sum(lengths(row) for row in trainer.train_dataset)
    return {"seconds": stamps.seconds(WARMUP), "tokens": tokens}


def dpo(request):
    """Seconds for an update of DPO, with the reference's log-probabilities computed in it or before."""
    made = dpo_trainer(request["policy"], request["pairs"], request["batch"], request["steps"], request["precomputed"])
    return measured(*made, lambda row: 2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]))


def reward(request):
    """Seconds for an update of a reward model."""
    made = reward_trainer(request["reward"], request["pairs"], request["batch"], request["steps"])
    return measured(*made, lambda row: len(row["chosen_ids"]) + len(row["rejected_ids"]))


if __name__ == "__main__":
    serve(f"trl {trl.__version__}, torch {torch.__version__}", {"dpo": dpo, "reward": reward})
