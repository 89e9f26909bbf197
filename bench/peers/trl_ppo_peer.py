"""TRL's last PPOTrainer (trl 1.12) as a benchmark peer; see contestant.py for what it is asked and answers."""

import json
import os
import tempfile
import time

from contestant import once, serve, threads
from trl_timing import Stamps, arguments

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
import transformers
import trl
from datasets import Dataset
from trl.experimental.ppo import PPOConfig, PPOTrainer

if threads:
    torch.set_num_threads(threads)
WARMUP = 2


def causal(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa")


def scalar(folder):
    return transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, num_labels=1, attn_implementation="sdpa")


def rows(prompts):
    """The prompts' ids; all are of one length, so nothing is padded."""
    return Dataset.from_list([{"input_ids": json.loads(line)["input_ids"]} for line in open(prompts)])


# The trainer logs after every iteration by itself; nothing else is.
settings = {**arguments, "logging_strategy": "steps", "logging_steps": 10**9, "num_sample_generations": 0}


@once
def trainer(policy, reward, prompts, batch, new_tokens, epochs, iterations):
    tokenizer = transformers.AutoTokenizer.from_pretrained(policy)
    stamps = Stamps()
    args = PPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, gradient_accumulation_steps=1,
        num_mini_batches=1, num_ppo_epochs=epochs, total_episodes=batch * (iterations + WARMUP),
        local_rollout_forward_batch_size=batch, response_length=new_tokens, stop_token="eos", temperature=1.0,
        kl_coef=0.05, learning_rate=1e-6, **settings)
    made = PPOTrainer(
        args=args, processing_class=tokenizer, model=causal(policy), ref_model=causal(policy),
        reward_model=scalar(reward), value_model=scalar(reward), train_dataset=rows(prompts), callbacks=[stamps])
    return made, stamps


def ppo(request):
    """Seconds for an iteration: rollout, scores, values, reference, advantages, and all epochs of updates."""
    made, stamps = trainer(request["policy"], request["reward"], request["prompts"], request["batch"],
                           request["new_tokens"], request["epochs"], request["iterations"])
    made.train()
    return {"seconds": stamps.seconds(WARMUP)}


class Snapshots(transformers.TrainerCallback):
    """Saves the policy every few iterations, with the clock stopped; see bench/to-reward/attune.ts."""

    def __init__(self, folder, every):
        self.folder, self.every = folder, every
        self.trainer = None
        self.total, self.seconds = 0.0, []

    def on_train_begin(self, *_, **__):
        self.started = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        if state.global_step % self.every:
            return
        self.total += time.perf_counter() - self.started
        self.seconds.append(self.total)
        folder = os.path.join(self.folder, str(state.global_step))
        self.trainer.policy_model.save_pretrained(folder)
        self.trainer.processing_class.save_pretrained(folder)
        self.started = time.perf_counter()


def ppo_to_reward(request):
    """Seconds of training up to each snapshot; models are loaded before."""
    policy, reward, batch = request["policy"], request["reward"], request["batch"]
    # With gradient_accumulation_steps above 1 the trainer joins mini-batches to one update.
    args = PPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, gradient_accumulation_steps=1,
        num_mini_batches=request["mini_batches"], num_ppo_epochs=request["num_ppo_epochs"],
        total_episodes=batch * request["steps"], local_rollout_forward_batch_size=batch, response_length=request["new_tokens"], stop_token="eos",
        temperature=1.0, missing_eos_penalty=request["missing_eos_penalty"], kl_coef=request["kl_coef"],
        learning_rate=request["learning_rate"], **{**settings, "seed": request["seed"]})
    snapshots = Snapshots(request["snapshots"], request["snapshot_every"])
    made = PPOTrainer(
        args=args, processing_class=transformers.AutoTokenizer.from_pretrained(policy), model=causal(policy),
        ref_model=causal(policy), reward_model=scalar(reward), value_model=scalar(reward),
        train_dataset=rows(request["prompts"]), callbacks=[snapshots])
    snapshots.trainer = made
    made.train()
    return {"seconds": snapshots.seconds}


if __name__ == "__main__":
    serve(f"trl {trl.__version__}, torch {torch.__version__}", {"ppo": ppo, "ppo_to_reward": ppo_to_reward})
