"""What a card says about a round: read from the run folder once, as plain values that hold nothing private."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from selfplay.config import Config, load_config
from selfplay.errors import DataError
from selfplay.publish.hub import cached_card, front_matter
from selfplay.publish.public import public_name
from selfplay.store import Commit, RunFolder, read_json
from selfplay.store.run import chain
from selfplay.store.traces import read_parquet


@dataclass(frozen=True)
class Names:
    """What the user says of a publication, since no run can know it."""

    model: str
    """Name on the hub, `namespace/name`; of a folder that is not published its title."""
    data: str | None = None
    """Name of the data set on the hub; None: it is not published."""
    base: str | None = None
    """Name on the hub of the base model, where the run read it from a folder."""
    license: str | None = None
    """Licence of the model."""
    data_license: str | None = None
    """Licence of the data set."""


@dataclass(frozen=True)
class RoundFacts:
    """A committed round with the run that led to it."""

    run: RunFolder
    config: Config
    commits: list[Commit]
    number: int
    names: Names
    files: Mapping[str, str] = field(default_factory=dict)
    """Name of each input file of the run -> its sha256."""
    forked_from: str = ""
    """The run and the round from which this run was forked; "" if it was not."""

    @property
    def commit(self) -> Commit:
        """The COMMIT of the round."""
        return self.commits[self.number]

    @cached_property
    def lineage(self) -> list[Commit]:
        """The rounds that the weights and the data come from, round 0 first."""
        return chain(self.commits, self.number)

    @property
    def rounds(self) -> list[int]:
        """The rounds of the lineage that have attempts."""
        return [commit.round for commit in self.lineage if commit.round]

    @property
    def data_rounds(self) -> list[int]:
        """The rounds whose accepted attempts the weights were trained on."""
        own = self.config.curate.regime == "replace" and self.config.train.start == "from_base"
        return self.rounds[-1:] if own else self.rounds

    @property
    def first(self) -> Commit:
        """The COMMIT of round 0."""
        return self.commits[0]

    @property
    def trained(self) -> bool:
        """Whether any round of the lineage changed the weights of the base model."""
        return any(commit.metrics.get("train/steps") for commit in self.lineage)

    @property
    def refused(self) -> bool:
        """Whether the gate abandoned the round: rolled back, or stopped by an alarm."""
        return abandoned(self.commit)

    @property
    def base_name(self) -> str:
        """Name of the base model; "" for a student from random weights."""
        return self.names.base or public_name(str(self._initial.get("base", "")))

    @property
    def base_id(self) -> str | None:
        """Name of the base model on the hub; None if it has none, or if it is not known."""
        if self.names.base:
            return self.names.base
        base = str(self._initial.get("base", ""))
        return base if base and public_name(base) == base and not Path(base).is_dir() else None

    @property
    def base_license(self) -> str | None:
        """Licence that the base model's own card declares, beside its weights or in the hub's cache; None: unknown."""
        base = str(self._initial.get("base", ""))
        card = Path(base) / "README.md" if Path(base).is_dir() else cached_card(base, self._initial.get("revision"))
        found = None if not base or card is None else front_matter(card).get("license")
        return found if isinstance(found, str) else None

    @property
    def data_license(self) -> str | None:
        """Licence of the tasks; None: unknown."""
        return self.names.data_license or self.config.tasks.license or self.config.tasks.known_license

    @cached_property
    def _initial(self) -> Mapping[str, Any]:
        pointer = self.run.round(0) / "initial" / "base.json"
        return dict(read_json(pointer)) if pointer.is_file() else {}

    @cached_property
    def judged(self) -> Counter[str]:
        """Accepted attempts that were trained on, by verifier and outcome, such as `math/1: pass`."""
        return self._counted[0]

    @cached_property
    def authors(self) -> Counter[str]:
        """Accepted attempts that were trained on, by who wrote them: student, teacher or human."""
        return self._counted[1]

    @cached_property
    def _counted(self) -> tuple[Counter[str], Counter[str]]:
        judged, authors = Counter[str](), Counter[str]()
        for number in self.data_rounds:
            path = self.run.round(number) / "traces.parquet"
            for row in read_parquet(path, ["decision", "verdicts", "origin"]):
                if row["decision"] == "accepted":
                    authors[row["origin"]] += 1
                    judged.update(f"{v['verifier']}: {v['outcome']}" for v in json.loads(row["verdicts"]))
        return judged, authors

    def total(self, key: str) -> int:
        """The sum of a count over the rounds of the lineage."""
        return sum(int(commit.metrics.get(key, 0)) for commit in self.lineage)


def abandoned(commit: Commit) -> bool:
    """Whether the gate abandoned a round."""
    alarmed = int(commit.metrics.get("collapse_alarm/level", 0)) >= 2
    return commit.action == "roll_back" or (commit.action == "stop" and alarmed)


def facts_of(run: RunFolder, number: int, names: Names) -> RoundFacts:
    """Reads what there is to say about a committed round. Raises DataError for a fork that was never started."""
    if not (run.path / "config.yaml").is_file():
        raise DataError(f"{run.path}: has no config.yaml yet, since the fork was never started; run it first")
    fingerprint = read_json(run.path / "fingerprint.json")
    old = fingerprint.get("forked_from")
    return RoundFacts(
        run,
        load_config(run.path / "config.yaml").config,
        run.commits(),
        number,
        names,
        {public_name(name): digest for name, digest in fingerprint.get("files", {}).items()},
        f"round {old['round']} of the run `{Path(old['run']).name}`" if old else "",
    )
