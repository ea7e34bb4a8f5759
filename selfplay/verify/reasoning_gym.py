"""The verifier of type `reasoning_gym`: reasoning-gym's own scorers, run in the sandbox, one process per answer.

Several scorers evaluate the answer. So a zygote of the sandbox opens the data sets before its walls close and forks once for
each answer, in the same walls as a program that is judged: no answer can touch a file, the network, or the next score. The score
crosses as data. What a scorer is about to evaluate is looked at first (`tasks/gym_worker.py`), so that no answer makes its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self

from selfplay.answers import extract_answer
from selfplay.answers.visible import visible_text
from selfplay.records import Attempt, Outcome, Task, Verdict, digest
from selfplay.sandbox import Limits, Status, codec, judge, probe
from selfplay.sandbox.isolation_plan import IsolationPlan
from selfplay.sandbox.zygote import Refused, Zygote, ZygoteDied
from selfplay.tasks.reasoning_gym import WORKER, places
from selfplay.verify.base import Check, RegisteredVerifier, VerifierResources, number_fault, shown

NAME = "reasoning_gym/2"
MAX_CHARS = 20_000
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0, memory_bytes=2**30, output_bytes=2**18)
"""For one score; the memory is on top of the data sets."""
RECYCLE = 2000
"""Scores after which a zygote is replaced."""
_TRIES = 3
_TAGGED = re.compile(r"<answer>((?:(?!</?answer>).)*)</answer>", re.DOTALL)
_FLAVOUR = "reasoning_gym"
_CODE = "from selfplay_gym import score\n"
_PRELUDE = """
import sys, types
gym = types.ModuleType("selfplay_gym")
sys.modules["selfplay_gym"] = gym
exec(compile({text!r}, "<selfplay_gym>", "exec", dont_inherit=True), gym.__dict__)
gym.open_all({specs!r})
"""


class _Said(NamedTuple):
    """What became of one answer: a score, or why there is none."""

    score: float | None
    outcome: Outcome = Outcome.FAIL
    reason: str = ""


class Gym(RegisteredVerifier):
    """Verifier of `reasoning_gym` checks: `{type: reasoning_gym, data: ..., index: ..., threshold: ...}`.

    `require_tier`: the least isolation, as of `Executor`; SandboxUnavailable on the first use below it. A scorer that passes its
    limits on an answer is `fail`, a sandbox that does not come up `error`.
    """

    keys = frozenset({"data", "index", "mark", "threshold"})
    needs_sandbox = True

    @classmethod
    def fault(cls, check: Check) -> str:
        """See `RegisteredVerifier.fault`."""
        data, index = check.get("data"), check.get("index")
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            return f"data is {shown(data)}, must name a data set, as tasks.source: reasoning_gym writes it"
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            return f"index is {shown(index)}, must be a whole number from 0"
        return number_fault(check, "threshold", 0.0, 1.0, above=True)

    @classmethod
    def open(cls, resources: VerifierResources) -> "Gym":
        """With a zygote of its own, which starts on the first answer."""
        return resources.stack.enter_context(cls(resources.options.sandbox.require_tier))

    def __init__(self, require_tier: int | Literal["best"] = 2, limits: Limits = LIMITS, at_most: int = 3) -> None:
        self._require, self._limits, self._at_most = require_tier, limits, at_most
        self._plan: IsolationPlan | None = None
        self._zygote: Zygote | None = None
        self._known: dict[str, int] = {}
        self._specs: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the zygote; harmless when repeated."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """See `Verifier.verify`."""
        for check in checks:
            if (name := digest(check["data"])) not in self._known:
                self._known[name] = len(self._specs)
                self._specs.append(check["data"])
                self.close()
        down = ""
        found: list[Verdict] = []
        for check, attempt in zip(checks, attempts, strict=True):
            answer = answer_of(attempt.text)
            if answer is None or len(answer) > MAX_CHARS:
                found.append(Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no answer found"))
                continue
            said = _Said(None, Outcome.ERROR, down) if down else self._scored(check, answer)
            down = said.reason if said.outcome is Outcome.ERROR else ""  # an outage is not waited for again and again
            found.append(self._verdict(check, answer, said))
        return found

    def _verdict(self, check: Check, answer: str, said: _Said) -> Verdict:
        details = {"tier": self._plan.tier if self._plan else 0}
        if said.score is None:
            return Verdict(verifier=NAME, outcome=said.outcome, reason=said.reason[:300], details=details)
        return Verdict(
            verifier=NAME,
            outcome=Outcome.PASS if said.score >= float(check.get("threshold", 1.0)) else Outcome.FAIL,
            reason=f"score {said.score:.2f}",
            score=said.score,
            evidence=f"answered {answer[:200]}",
            details=details,
        )

    def _scored(self, check: Check, answer: str) -> _Said:
        question = (self._known[digest(check["data"])], int(check["index"]), str(check.get("mark", "")), answer)
        calls = [("score", codec.dump((question, {})))]
        message = judge.message(_CODE, "calls", self._limits, 1, calls=calls)
        why = ""
        for _ in range(_TRIES):
            try:
                zygote = self._running()
                zygote.start(message)
                replies = judge.read_replies(zygote.finish(), self._limits, 1)
            except (ZygoteDied, Refused, OSError) as error:
                self.close()
                why = f"sandbox: {type(error).__name__}: {error}; see `selfplay doctor`"
                continue
            if replies.stop and replies.stop[0] in (Status.PROTOCOL_VIOLATION, Status.CRASHED):
                self.close()
            return _said(replies)
        return _Said(None, Outcome.ERROR, why)

    def _running(self) -> Zygote:
        if self._zygote is not None and self._zygote.programs >= RECYCLE:
            self.close()
        if self._zygote is None:
            self._plan = self._plan or probe.choose(self._require, self._at_most)
            self._zygote = Zygote(_plan_of(self._plan, self._specs), _FLAVOUR)
        return self._zygote


def answer_of(text: str) -> str | None:
    """The answer in a reply: what stands between the last `<answer>` tags, over several lines too, else as `extract_answer`."""
    tagged = _TAGGED.findall(visible_text(text))
    return tagged[-1].strip() if tagged else extract_answer(text)


def _plan_of(plan: IsolationPlan, specs: Sequence[dict[str, Any]]) -> IsolationPlan:
    """The same walls, with the installed packages to be read inside, and the data sets opened before they close."""
    found = places()
    inside = tuple(bind for bind in plan.binds if not bind.startswith(tuple(f"{place}/" for place in found)))
    text = _PRELUDE.format(text=WORKER.read_text(encoding="utf-8"), specs=list(specs))
    binds = tuple(sorted({*inside, *found}))
    path = tuple(dict.fromkeys((*plan.path, *found)))
    return replace(plan, path=path, binds=binds, prelude=text)


def _said(replies: judge.Replies) -> _Said:
    """What a scorer replied; anything but one number from 0 to 1 is no score."""
    if replies.stop is not None:
        status, why = replies.stop
        late = status in (Status.TIMEOUT_CPU, Status.TIMEOUT_WALL)
        return _Said(None, reason=f"the scorer did not come to an end on it: {why}" if late else f"{status}: {why}")
    if len(replies.calls) != 1:
        return _Said(None, reason="the scorer gave no score")
    [reply] = replies.calls
    if reply[0] == 1 and reply[1][:1] == ["AnotherEntry"]:
        return _Said(None, Outcome.ERROR, "the data set does not repeat: it made another entry than the task's")
    if reply[0] == 1:
        return _Said(None, reason=f"the scorer raised {judge.raised(reply)[1]}")
    value = reply[1]
    if type(value) is not float or not 0.0 <= value <= 1.0:  # NaN too
        return _Said(None, reason=f"the scorer gave {judge.short(value)}, which is no score from 0 to 1")
    return _Said(value)
