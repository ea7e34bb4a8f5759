"""`selfplay export`: writes the model of a round, and publishes it with its data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfplay.errors import ConfigError, DataError
from selfplay.loop.run_view import open_run
from selfplay.publish import (
    Names,
    Repository,
    check_access,
    check_name,
    facts_of,
    files_of,
    upload,
    was_exported,
    write_data,
    write_model,
)
from selfplay.publish.facts import RoundFacts

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for, apart from the words of the cards."""

    out: Path
    dtype: str | None = None
    push: str | None = None
    """Name on the hub; None: nothing is published, and `out` is the model folder itself."""
    dry_run: bool = False
    public: bool = False


def export_command(run: Path, which: str, wanted: Wanted, names: Names) -> None:
    """Writes the model of a round to `wanted.out`; with `push` also the data set, and uploads both.

    Everything that can be wrong is checked first. Raises ConfigError, DataError, StoreError or OutageError with what to do.
    """
    if wanted.dtype not in (None, *DTYPES):
        raise ConfigError(f"--dtype is {wanted.dtype!r}, must be one of {', '.join(DTYPES)}")
    opened, out = open_run(run), wanted.out
    number = opened.round_named(which)
    if out.exists() and any(out.iterdir()) and not (wanted.push and was_exported(out)):
        raise DataError(f"{out}: is not empty; give --out a new or empty folder")
    if wanted.push is None:
        write_model(facts_of(opened.folder, number, replace(names, model=out.resolve().name)), out, wanted.dtype)
        print(out)
        return
    facts = facts_of(opened.folder, number, names)
    if names.data and not facts.total("data/accepted"):
        print("no data set: none of its attempts was accepted")
        facts = replace(facts, names=replace(names, data=None))
    repositories = _repositories(facts.names, out)
    for repository in repositories:
        check_name(repository.name)
    _refuse_unfit(facts, run)
    if not wanted.dry_run:
        check_access([(one.name, one.kind) for one in repositories])
    write_model(facts, out / "model", wanted.dtype)
    if facts.names.data:
        write_data(facts, out / "dataset")
    _show(repositories, wanted)
    if not wanted.dry_run:
        for repository in reversed(repositories):  # the data set first, since the model's card links to it
            print(upload(repository, public=wanted.public, message=f"selfplay: round {number} of {facts.config.name}"))


def _repositories(names: Names, out: Path) -> list[Repository]:
    data = [Repository(names.data, "dataset", out / "dataset")] if names.data else []
    return [Repository(names.model, "model", out / "model"), *data]


def _refuse_unfit(facts: RoundFacts, run: Path) -> None:
    """Raises DataError for a round that nobody should publish by mistake."""
    if facts.refused:
        raise DataError(
            f"{run}: the gate refused round {facts.number} ({facts.commit.reason}); publish another one, such as --round best, or export it "
            "without --push: its card says so"
        )
    if not facts.trained:
        raise DataError(
            f"{run}: round {facts.number} is the base model unchanged, so there is nothing to publish; give --round, or run more rounds"
        )


def _show(repositories: Sequence[Repository], wanted: Wanted) -> None:
    """What is pushed, file by file with its size, and what happens to it."""
    for repository in repositories:
        files = list(files_of(repository.folder))
        for name, size in files:
            print(f"{_size(size):>9}  {repository.folder / name}")
        kind = "data set" if repository.kind == "dataset" else "model"
        what = f"{len(files)} files, {_size(sum(size for _, size in files))}, as the {kind} {repository.name}"
        visibility = "public" if wanted.public else "private"
        print(
            f"{'would upload' if wanted.dry_run else 'uploading'} {what}; {visibility} if it is new, else as visible as it is"
        )
    if wanted.dry_run:
        print("nothing was uploaded: read the README.md of each folder, then push without --dry-run")


def _size(count: int) -> str:
    """A number of bytes for people."""
    value, units = float(count), ("B", "kB", "MB", "GB")
    for unit in units[:-1]:
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
