"""TRL's last PPOTrainer (trl 1.12) as a benchmark peer; see contestant.py for what it is asked and answers."""

import json
import os
import tempfile

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


@once
def trainer(policy, reward, prompts, batch, new_tokens, epochs, iterations):
    tokenizer = transformers.AutoTokenizer.from_pretrained(policy)
    causal = lambda: transformers.AutoModelForCausalLM.from_pretrained(
        policy, dtype=torch.float32, attn_implementation="sdpa")
    scalar = lambda: transformers.AutoModelForSequenceClassification.from_pretrained(
        reward, dtype=torch.float32, num_labels=1, attn_implementation="sdpa")
    stamps = Stamps()
    rows = Dataset.from_list([json.loads(line) for line in open(prompts)])
    settings = {**arguments, "logging_strategy": "steps", "logging_steps": 10**9}
    args = PPOConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, gradient_accumulation_steps=1,
        num_mini_batches=1, num_ppo_epochs=epochs, total_episodes=batch * (iterations + WARMUP),
        local_rollout_forward_batch_size=batch, response_length=new_tokens, stop_token="eos", temperature=1.0,
        num_sample_generations=0, kl_coef=0.05, learning_rate=1e-6, **settings)
    made = PPOTrainer(
        args=args, processing_class=tokenizer, model=causal(), ref_model=causal(), reward_model=scalar(),
        value_model=scalar(), train_dataset=rows, callbacks=[stamps])
    return made, stamps


def ppo(request):
    """Seconds for an iteration: rollout, scores, values, reference, advantages, and all epochs of updates."""
    made, stamps = trainer(request["policy"], request["reward"], request["prompts"], request["batch"],
                           request["new_tokens"], request["epochs"], request["iterations"])
    made.train()
    return {"seconds": stamps.seconds(WARMUP)}


if __name__ == "__main__":
    serve(f"trl {trl.__version__}, torch {torch.__version__}", {"ppo": ppo})
