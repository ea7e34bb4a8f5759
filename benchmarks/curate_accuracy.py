"""Precision and recall of decontamination, privacy and near-duplicates on the shared data sets, as JSON or Markdown.

    python benchmarks/curate_accuracy.py --data ../shared/data [--json out.json] [--markdown]

Figures are counts, found of all, so that their size stands beside them. `docs/curation.md` shows the Markdown.
"""

import argparse
import gzip
import json
import platform
import random
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from selfplay.curate import decontaminate, dedup, privacy
from selfplay.curate.eval_index import Protected

Row = dict[str, object]


def load(path: Path) -> list[dict]:
    """The rows of a gzipped JSON Lines file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def leaks(data: Path) -> list[Row]:
    """Planted evaluation rows: found, with the right owner, and with the right word for it; and unrelated rows flagged."""
    test = load(data / "gsm8k" / "test_first500.jsonl.gz")
    human = load(data / "humaneval" / "HumanEval_000-099.jsonl.gz")
    rows = load(data / "leaks" / "mixed.jsonl.gz")
    names = [f"gsm8k_test/{r['index']}" for r in test] + [r["task_id"] for r in human]
    index = Protected.of([*test, *human])
    by: dict[int, list[decontaminate.Hit]] = {}
    for hit in decontaminate.find([r["text"] for r in rows], index):
        by.setdefault(hit.row, []).append(hit)
    found: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for row, hits in by.items():
        right = rows[row]["leak"] == "none" or any(names[h.of] == rows[row]["of"] for h in hits)
        found[rows[row]["leak"]] += right
        named[rows[row]["leak"]] += any(h.rule == rows[row]["leak"] for h in hits)
    total = Counter(r["leak"] for r in rows)
    table: list[Row] = [{"kind": k, "rows": total[k], "found": found[k], "named": named[k]} for k in sorted(total)]
    seen = {r["text"] for r in rows}
    train = [f"{r['question']}\n{r['answer']}" for r in load(data / "gsm8k" / "train.jsonl.gz")]
    train = [text for text in train if text not in seen]
    code = [f"{r['text']}\n{r['code']}" for r in load(data / "mbpp" / "prompt_train_validation.jsonl.gz")]
    for name, texts in (("GSM8K train, not in the set", train), ("MBPP train and validation", code)):
        hit_rows = {h.row for h in decontaminate.find(texts, index)}
        table.append({"kind": name, "rows": len(texts), "found": len(hit_rows), "named": None})
    return table


def disguises(data: Path) -> list[Row]:
    """Every evaluation row in every disguise, made here: found with the right owner, by how the protected rows are given."""
    test = load(data / "gsm8k" / "test_first500.jsonl.gz")
    human = load(data / "humaneval" / "HumanEval_000-099.jsonl.gz")
    made: list[tuple[str, int, str]] = []
    for of, row in enumerate(test):
        question, words = row["question"], row["question"].split()
        bare = re.sub(r"[^\w\s]", "", question).upper().replace(" ", "  ")
        made += [
            ("exact", of, f"{question}\n{row['answer']}"),
            ("spacing_case, question alone", of, bare),
            ("numbers + 7, question alone", of, re.sub(r"\d+", lambda m: str(int(m.group()) + 7), question)),
            ("in_context", of, f"A worked example. {question} Think step by step.\nNow one of your own."),
            ("half", of, " ".join(words[: len(words) // 2]) + " ... What comes next?"),
            ("answer_only", of, f"Solution:\n{row['answer']}"),
        ]
    for of, row in enumerate(human, len(test)):
        code = row["prompt"] + row["canonical_solution"]
        renamed = code.replace(row["entry_point"], "my_function")
        bare = re.sub(r'("{3}|\'{3})[\s\S]*?\1', "", renamed)
        made += [("code_exact", of, code), ("code_renamed", of, renamed), ("code_renamed, docstring removed", of, bare)]
    forms: dict[str, list] = {
        "records": [*test, *human],
        "joined": [f"{r['question']}\n{r['answer']}" for r in test]
        + [r["prompt"] + r["canonical_solution"] for r in human],
        "prompts_alone": [r["question"] for r in test] + [r["prompt"] for r in human],
    }
    total = Counter(kind for kind, _, _ in made)
    table: dict[str, Row] = {kind: {"disguise": kind, "rows": count} for kind, count in total.items()}
    for form, rows in forms.items():
        hits = {(h.row, h.of) for h in decontaminate.find([text for _, _, text in made], rows)}
        found = Counter(kind for place, (kind, of, _) in enumerate(made) if (place, of) in hits)
        for kind in total:
            table[kind][form] = found[kind]
    return list(table.values())


def identifiers(data: Path) -> tuple[list[Row], list[Row]]:
    """Marked spans found whole; rows flagged where nothing is marked."""
    rows = load(data / "pii" / "presidio_dev.jsonl.gz")
    hits: dict[int, list[privacy.Hit]] = {}
    for hit in privacy.find([r["full_text"] for r in rows]):
        hits.setdefault(hit.row, []).append(hit)
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    unmarked = 0
    for index, row in enumerate(rows):
        for span in row["spans"]:
            total[span["entity_type"]] += 1
            found[span["entity_type"]] += any(
                h.span[0] <= span["start_position"] and span["end_position"] <= h.span[1] for h in hits.get(index, ())
            )
        for h in hits.get(index, ()):
            unmarked += not any(h.span[0] < s["end_position"] and s["start_position"] < h.span[1] for s in row["spans"])
    table: list[Row] = [{"kind": k, "spans": total[k], "found": found[k]} for k in sorted(total)]
    clean = [i for i, r in enumerate(rows) if not r["spans"]]
    flagged: list[Row] = [
        {"texts": "rows without marks", "rows": len(clean), "flagged": sum(i in hits for i in clean), "classes": ""},
        {"texts": "hits that touch no mark", "rows": sum(map(len, hits.values())), "flagged": unmarked, "classes": ""},
    ]
    others = {
        "GSM8K train": [f"{r['question']}\n{r['answer']}" for r in load(data / "gsm8k" / "train.jsonl.gz")],
        "MBPP with tests": [
            "\n".join([r["text"], r["code"], *r["test_list"]])
            for r in load(data / "mbpp" / "prompt_train_validation.jsonl.gz")
        ],
        "AQuA": [json.dumps(r) for r in load(data / "aqua" / "dev.jsonl.gz")],
        "Tatoeba": [f"{r['en']}\n{r['fr']}" for r in load(data / "tatoeba_fra_eng" / "dev.jsonl.gz")],
    }
    for name, texts in others.items():
        seen = privacy.find(texts)
        classes = ", ".join(f"{k} {v}" for k, v in sorted(Counter(h.rule for h in seen).items()))
        flagged.append({"texts": name, "rows": len(texts), "flagged": len({h.row for h in seen}), "classes": classes})
    return table, flagged


def near_copies(data: Path) -> list[Row]:
    """GSM8K solutions with some words replaced, by their true similarity: found at the default threshold."""
    rng = random.Random(0)
    texts = [f"{r['question']}\n{r['answer']}" for r in load(data / "gsm8k" / "train.jsonl.gz")[:3000]]
    copies, owners = [], []
    for index in range(0, len(texts), 3):
        parts = texts[index].split(" ")
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(parts))
            parts[place] = parts[place] if any(c.isdigit() for c in parts[place]) else "other"
        copies.append(" ".join(parts))
        owners.append(index)
    found = dedup.near_duplicates([*texts, *copies])
    bins: dict[str, list[bool]] = {}
    for place, (copy, owner) in enumerate(zip(copies, owners, strict=True)):
        similarity = dedup.jaccard(copy, texts[owner])
        name = "below 0.7" if similarity < 0.7 else "0.7 to 0.8" if similarity < 0.8 else "0.8 and above"
        bins.setdefault(name, []).append(found[len(texts) + place] is not None)
    rows: list[Row] = [
        {"kind": f"copies of similarity {k}", "pairs": len(v), "found": sum(v)} for k, v in sorted(bins.items())
    ]
    rows.append(
        {
            "kind": "the originals among themselves",
            "pairs": len(texts),
            "found": sum(c is not None for c in found[: len(texts)]),
        }
    )
    return rows


def markdown(rows: list[Row]) -> str:
    """One Markdown table."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join("" if row[k] is None else str(row[k]) for k in head) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parent.parent.parent / "shared" / "data")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    spans, flagged = identifiers(options.data)
    report = {
        "leaks": leaks(options.data),
        "disguises": disguises(options.data),
        "identifiers": spans,
        "flagged": flagged,
        "near_duplicates": near_copies(options.data),
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    if options.markdown:
        tables = [f"## {name}\n\n{markdown(rows)}" for name, rows in report.items() if isinstance(rows, list)]
        sys.stdout.write("\n\n".join(tables) + "\n")
    else:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
