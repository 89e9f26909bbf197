"""Tables as Python writes them: the same rows in Parquet (Snappy and gzip, two row groups, nested) and CSV.

Run: python test/parity/tables.py (pyarrow 26)
"""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

out = Path(__file__).parent / "golden" / "tables"
out.mkdir(exist_ok=True)


def turn(role, content):
    return {"role": role, "content": content}


rows = [
    {
        "prompt": [turn("user", f"How many bridges has ward {i}?")],
        "chosen": [turn("assistant", f"Ward {i} has {i + 1} bridges.")],
        "rejected": [turn("assistant", "Ünknown, \"many\" 🌉")],
        "margin": None if i == 2 else i / 2,
        "votes": 2**40 + i,
    }
    for i in range(5)
]
table = pa.Table.from_pylist(rows)
pq.write_table(table, out / "pairs.parquet", row_group_size=3, compression="snappy")
pq.write_table(table, out / "pairs-gzip.parquet", row_group_size=3, compression="gzip")
with open(out / "pairs.csv", "w", newline="", encoding="utf-8-sig") as file:
    writer = csv.writer(file)
    writer.writerow(["prompt", "chosen", "rejected", "margin", "votes"])
    for row in rows:
        texts = [row[name][0]["content"] for name in ("prompt", "chosen", "rejected")]
        texts[2] += "\nand a second line"
        writer.writerow([*texts, row["margin"], row["votes"]])
