"""Do the event files that Attune writes read in TensorBoard, and does a resumed run void what came after its checkpoint?

No golden. Run: python test/parity/event_files.py (tensorboard 2.21).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

root = Path(__file__).parents[2]
script = """
import { openEvents } from "./src/runs/tensorboard.ts";
const dir = process.argv[2];
const first = await openEvents(dir, 0);
for (let step = 1; step <= 5; step++) await first.write(step, { loss: 1 / step, "objective/kl": step });
const resumed = await openEvents(dir, 3);
for (let step = 4; step <= 6; step++) await resumed.write(step, { loss: 12 / step, "objective/kl": step });
"""
expected = {"loss": [1, 1 / 2, 1 / 3, 3, 12 / 5, 2], "objective/kl": [1, 2, 3, 4, 5, 6]}

with tempfile.TemporaryDirectory() as temporary:
    program = Path(temporary) / "write.mjs"
    bundle = ["npx", "esbuild", "--bundle", "--platform=node", "--format=esm", f"--outfile={program}"]
    subprocess.run(bundle, input=script.encode(), cwd=root, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["node", program, f"{temporary}/events"], check=True)
    events = EventAccumulator(f"{temporary}/events").Reload()
    for tag, values in expected.items():
        read = [(event.step, round(event.value, 5)) for event in events.Scalars(tag)]
        good = read == [(i + 1, round(value, 5)) for i, value in enumerate(values)]
        print("ok  " if good else "FAIL", tag, read)
        if not good:
            sys.exit(1)
