"""Floor 7: `selfplay make`: a dataset (parquet with a card) from seed tasks, without any training."""

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from selfplay import __version__
from selfplay.config.load import load_tree
from selfplay.config.synthesis_dataset import Make
from selfplay.cores import usable_cores
from selfplay.records import digest
from selfplay.runtime.screens import screen_of
from selfplay.seeds import seed_of
from selfplay.store import write_json, write_whole
from selfplay.store.traces import write_traces
from selfplay.synthesis.card import card, summary_of
from selfplay.synthesis.dataset import build
from selfplay.synthesis.makers import Tools


def make(config: Path, overrides: Sequence[str], out: Path) -> int:
    """Writes data.parquet, refused.jsonl, summary.json and README.md into `out`; exit code 0, or 1 where nothing was accepted.

    The same command again gives the same files; replies that were paid for lie in `out/replies.db`. Raises ConfigError (2) and
    OutageError or BudgetError (3).
    """
    section, _ = load_tree(config, list(overrides), Make)
    out.mkdir(parents=True, exist_ok=True)
    with open_tools(section, config.resolve().parent, out) as tools:
        dataset = build(section, tools)
    figures = summary_of(dataset)
    write_traces(out / "data.parquet", [dataset.traces] if dataset.traces else [])
    refused = [{"maker": b.maker, **vars(one)} for b in dataset.batches for one in b.refused]
    write_whole(out / "refused.jsonl", "".join(f"{json.dumps(row)}\n" for row in refused))
    write_json(out / "summary.json", figures)
    versions = {"selfplay": __version__, "python": platform.python_version()}
    fingerprint = digest(section.model_dump(mode="json"))
    write_whole(out / "README.md", card(section.name, figures, versions, fingerprint, section.tasks.source))
    for maker, row in figures["makers"].items():
        print(f"{maker}: {row['made']} of {row['asked']} replies")
    print(f"{figures['accepted']} of {figures['rows']} rows accepted: {out / 'data.parquet'}")
    return 0 if figures["accepted"] else 1


@contextmanager
def open_tools(section: Make, folder: Path, out: Path) -> Iterator[Tools]:
    """Opens source, teacher, verifiers and screen for as long as the `with` lasts; relative paths count from `folder`."""
    from selfplay.models.base import Opening
    from selfplay.tasks.table_files import read_table
    from selfplay.verify import check_types
    from selfplay.verify.base import VerifierOptions
    from selfplay.verify.faults import fault_of
    from selfplay.verify.python_function import PythonFunction
    from selfplay.verify.verifier_set import open_verifiers

    opening = Opening(folder, cache=out / "replies.db")
    source = section.tasks.open(seed=section.seed, eval_seed=section.eval_seed, folder=folder, fault_of=fault_of)
    kinds = check_types([*source.fixed.anchor, *source.fixed.dev, *source.fixed.test])
    kinds |= {"judge"} if section.judge else set()
    kinds |= {"code_tests"} if section.rare and section.rare.kind == "code" else set()
    options = VerifierOptions(
        sandbox=section.sandbox,
        judge=section.judge,
        workers=section.sandbox.workers or usable_cores(),
        student_family=section.teacher.backend.model_family if section.teacher else (),
        seed=seed_of(section.seed, "judge"),
        open_backend=lambda backend: backend.open(opening),
        open_functions=lambda: PythonFunction(folder, say=_said_once()),
    )
    texts: list[tuple[str, str]] = []
    if section.texts:
        texts = [
            (str(row.get("id", where)), str(row.get("text", "")))
            for where, row in read_table(section.texts, folder).rows
        ]
    with ExitStack() as stack:
        opened = stack.enter_context(open_verifiers(kinds, options))
        teacher = stack.enter_context(options.open_backend(section.teacher.backend)) if section.teacher else None
        held_out, training = (*source.fixed.dev, *source.fixed.test), (*source.fixed.anchor, *source.pool)
        screen = screen_of(section.tasks.templated, section.decontaminate, section.privacy, held_out, training)
        yield Tools(source, opened.primary, teacher, texts, screen)


def _said_once() -> Callable[[str, str], None]:
    """Shows each kind of exception of the user's functions once."""
    known: set[str] = set()

    def say(kind: str, text: str) -> None:
        if kind not in known:
            print(text, file=sys.stderr)
        known.add(kind)

    return say
