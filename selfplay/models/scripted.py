"""A backend that answers from a Python function, and the student that is one. They ship for tests and dry runs."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from selfplay.config.sections import Share, StudentSettings
from selfplay.models.base import Backend, Encoder, Opening
from selfplay.prompts.correction import WRONG
from selfplay.records import Completion, Request, Sampling, Task
from selfplay.seeds import seed_of

Reply = Callable[[Request, int, int], str | Completion]


class Scripted(Backend):
    """Answers every request with `reply(request, sample index, seed)`, the same for the same requests and seed.

    `seed` is already derived: it differs by task, by sample and by the seed of the call. A returned string becomes
    a completion that stopped by itself, without token ids; a returned Completion is passed on as it is, so that a
    script can play outages and truncation. Sampling limits are not applied: the script is the sampler. An exception of
    the script is a bug in the script and is raised.
    """

    def __init__(self, reply: Reply, identity: str = "scripted") -> None:
        self.identity = identity
        self.calls = 0
        """Completions given so far."""
        self._reply = reply

    def complete(self, requests: Sequence[Request], *, n: int, sampling: Sampling, seed: int) -> list[list[Completion]]:
        """`n` completions a request, in the order of the requests."""
        return [[self._one(request, index, seed) for index in range(n)] for request in requests]

    def _one(self, request: Request, index: int, seed: int) -> Completion:
        self.calls += 1
        reply = self._reply(request, index, seed_of(seed, request.task_id, index))
        return Completion(text=reply) if isinstance(reply, str) else reply


# ---- the scripted student: its only weight is one number ----


class ScriptedStudent(StudentSettings):
    """No network at all: solves arithmetic with probability `skill`, and learns from accepted rows. It tries a loop, its
    resume and its speed in seconds."""

    kind: Literal["scripted"]
    skill: Share = 0.3
    """Chance of a right answer in round 0."""
    gain: Share = 0.3
    """How much of the distance to 1 a round of accepted rows closes."""
    model_family: tuple[str, ...] = ("scripted",)

    def make_initial(self, anchor: Sequence[Task], out: Path, seed: int) -> None:
        """Writes the skill that the settings give."""
        write_scripted(out, self.skill)

    def open(self, opening: Opening) -> Backend:
        """Adds up the signed numbers of a prompt's first line with probability `skill`, written in one of two ways. Otherwise
        its answer is one too high, or missing.

        Asked to correct, it does so with the same skill, and otherwise repeats what it said before.
        """
        skill = read_scripted(opening.weights.folder)
        return Scripted(_arithmetic(skill), identity=f"scripted-{skill}")

    def encoder(self, folder: Path) -> Encoder:
        """Its tokens are the bytes of the text, and 256 as the end."""
        return _Bytes()


class _Bytes:
    def prompt(self, request: Request) -> list[int]:
        return list((request.prompt or "").encode())

    def completion(self, text: str) -> list[int]:
        return [*text.encode("utf-8", "replace"), 256]


def write_scripted(folder: Path, skill: float) -> None:
    """Writes a scripted student's only weight."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scripted.json").write_text(json.dumps({"skill": round(skill, 6)}) + "\n")


def read_scripted(folder: Path) -> float:
    """A scripted student's skill."""
    return float(json.loads((folder / "scripted.json").read_text())["skill"])


_TERM = re.compile(r"([+-]?) ?(\d+)")


def terms_of(question: str) -> list[str]:
    """The signed numbers of a sum, whatever words stand around it: all that a scripted student reads."""
    return [f"{sign}{digits}" for sign, digits in _TERM.findall(question)]


def _arithmetic(skill: float) -> Reply:
    def reply(request: Request, sample: int, seed: int) -> str:
        question, _, tried = (request.prompt or "").partition("\n")
        terms = terms_of(question)
        value, luck = sum(int(term) for term in terms), (seed % 10_000) / 10_000
        if tried and luck >= (1 + skill) / 2:
            return tried.partition(f"\n{WRONG}")[0]
        if luck < skill:
            return f"A: {value}" if seed % 2 else f"{'+'.join(terms)} = {value}\nA: {value}"
        return f"A: {value + 1}" if luck < 0.95 else "A:"

    return reply
