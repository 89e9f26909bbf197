"""TRL's trainers for preferences, reward models and groups as a benchmark peer; see contestant.py for what it is asked and answers."""

import json
import tempfile

from contestant import once, serve, threads
from trl_timing import Stamps, arguments

import torch
import transformers
import trl
from datasets import Dataset
from trl import (
    DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer, RLOOConfig, RLOOTrainer)

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


def even_share(completion_ids, **_):
    """The same reward as on the other side: the share of tokens with an even id."""
    return [sum(token % 2 == 0 for token in ids) / max(1, len(ids)) for ids in completion_ids]


@once
def group_trainer(kind, model, prompts, batch, group, new_tokens, steps):
    made, settings = {"grpo": (GRPOTrainer, GRPOConfig), "rloo": (RLOOTrainer, RLOOConfig)}[kind]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, padding_side="left")
    network = transformers.AutoModelForCausalLM.from_pretrained(
        model, dtype=torch.float32, attn_implementation="sdpa")
    # TRL takes prompts as text and would put a beginning before them; these are the middle of a text, as ids.
    rows = [{"prompt": line.strip()} for line in open(prompts)]
    stamps = Stamps()
    args = settings(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_generations=group, temperature=1.0,
        max_completion_length=new_tokens, max_steps=steps + WARMUP, learning_rate=1e-6, **arguments)
    trainer = made(model=network, args=args, processing_class=tokenizer, train_dataset=Dataset.from_list(rows),
                   reward_funcs=even_share, callbacks=[stamps])
    trainer._tokenize_prompts = lambda texts: ([json.loads(text)["input_ids"] for text in texts], None, {})
    return trainer, stamps


def groups(kind):
    """Seconds for an iteration of GRPO or RLOO: sampling, scoring and one update."""
    def run(request):
        made, stamps = group_trainer(kind, request["policy"], request["prompts"], request["batch"], request["group"],
                                     request["new_tokens"], request["steps"])
        made.train()
        return {"seconds": stamps.seconds(WARMUP)}
    return run


if __name__ == "__main__":
    serve(f"trl {trl.__version__}, torch {torch.__version__}", {"dpo": dpo, "reward": reward, "grpo": groups("grpo"), "rloo": groups("rloo")})
