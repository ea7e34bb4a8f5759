"""`selfplay synthesize`: builds a data set (parquet with a card) from seed tasks, without training."""

import json
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from selfplay import __version__
from selfplay.cli.terminal import Display
from selfplay.config.load import load_tree
from selfplay.config.synthesis import DatasetSynthesis
from selfplay.cores import usable_cores
from selfplay.curate.screening import screen_of
from selfplay.records import digest
from selfplay.runtime.progress import Progress
from selfplay.seeds import seed_of
from selfplay.store import write_json, write_whole
from selfplay.store.traces import write_traces
from selfplay.synthesis.dataset import dataset_card, synthesize_dataset
from selfplay.synthesis.teacher_methods import SynthesisTools


def synthesize_command(config: Path, overrides: Sequence[str], out: Path) -> int:
    """Writes data.parquet, refused.jsonl, summary.json and README.md into `out`. Returns 0, or 1 if no row was accepted.

    The same command writes the same files; the teacher's replies are cached in `out/replies.db`. Raises ConfigError or DataError
    (exit 2), OutageError or BudgetError (exit 3).
    """
    settings, _ = load_tree(config, list(overrides), DatasetSynthesis)
    out.mkdir(parents=True, exist_ok=True)
    with open_tools(settings, config.resolve().parent, out) as tools, Display() as display:
        dataset = synthesize_dataset(settings, tools, Progress(display.hear))
    summary = dataset.summary()
    write_traces(out / "data.parquet", [dataset.traces] if dataset.traces else [])
    refused = [vars(reply) for result in dataset.results for reply in result.refused]
    write_whole(out / "refused.jsonl", "".join(f"{json.dumps(row)}\n" for row in refused))
    write_json(out / "summary.json", summary)
    versions = {"selfplay": __version__, "python": platform.python_version()}
    fingerprint = digest(settings.model_dump(mode="json"))
    card = dataset_card(settings.name, summary, versions, fingerprint, settings.tasks.source)
    write_whole(out / "README.md", card)
    for method, row in summary["methods"].items():
        print(f"{method}: kept {row['kept']} of {row['requested']} replies")
    print(f"accepted {summary['accepted']} of {summary['rows']} rows: {out / 'data.parquet'}")
    return 0 if summary["accepted"] else 1


@contextmanager
def open_tools(settings: DatasetSynthesis, folder: Path, out: Path) -> Iterator[SynthesisTools]:
    """Opens source, teacher, verifiers and screen while the block runs. Relative paths count from `folder`."""
    from selfplay.models.base import Opening
    from selfplay.tasks.table_files import read_table
    from selfplay.verify import check_types
    from selfplay.verify.base import VerifierOptions, open_verifiers
    from selfplay.verify.faults import fault_of
    from selfplay.verify.python_function import PythonFunction

    opening = Opening(folder, cache=out / "replies.db")
    source = settings.tasks.open(seed=settings.seed, eval_seed=settings.eval_seed, folder=folder, fault_of=fault_of)
    kinds = check_types([*source.fixed.anchor, *source.fixed.dev, *source.fixed.test])
    kinds |= {"judge"} if settings.judge else set()
    kinds |= {"code_tests"} if settings.rare and settings.rare.kind == "code" else set()
    options = VerifierOptions(
        sandbox=settings.sandbox,
        judge=settings.judge,
        workers=settings.sandbox.workers or usable_cores(),
        student_family=settings.teacher.backend.model_family if settings.teacher else (),
        student_key="teacher.backend",
        seed=seed_of(settings.seed, "judge"),
        open_backend=lambda backend: backend.open(opening),
        open_functions=lambda: PythonFunction(folder, say=_print_once()),
    )
    texts: list[tuple[str, str]] = []
    if settings.texts:
        rows = read_table(settings.texts, folder).rows
        texts = [(str(row.get("id", where)), str(row.get("text", ""))) for where, row in rows]
    with ExitStack() as stack:
        opened = stack.enter_context(open_verifiers(kinds, options))
        teacher = stack.enter_context(options.open_backend(settings.teacher.backend)) if settings.teacher else None
        held_out, training = (*source.fixed.dev, *source.fixed.test), (*source.fixed.anchor, *source.pool)
        screen = screen_of(settings.tasks.templated, settings.decontaminate, settings.privacy, held_out, training)
        yield SynthesisTools(source, opened.primary, teacher, texts, screen)


def _print_once() -> Callable[[str, str], None]:
    """Returns a function that prints each kind of exception of the user's functions once."""
    known: set[str] = set()

    def show(kind: str, text: str) -> None:
        if kind not in known:
            print(text, file=sys.stderr)
        known.add(kind)

    return show
