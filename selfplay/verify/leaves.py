"""Floor 3: two verifiers that need no reference and no model: steps that must hold, and form that must be fit.

Neither asks whether an answer is right, so each can fail an attempt and passes little: `steps` only where the task's known answer
follows from steps that hold; `heuristic` abstains where all is well, unless its check says `accepts: true`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from selfplay.errors import ConfigError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.heuristics import format_score, language_score, length_score, repetition_score
from selfplay.verify.math import StepOutcome, check_solution, equal
from selfplay.verify.routing import leaves

STEPS = "steps/1"
HEURISTIC = "heuristic/1"
MOST_STEPS = 200
"""Further lines of a solution are not read."""

_GRADERS: Mapping[str, Callable[..., float | None]] = {
    "format": format_score,
    "length": length_score,
    "repetition": repetition_score,
    "language": language_score,
}
_SETTINGS: Mapping[str, frozenset[str]] = {
    "format": frozenset({"answer", "code"}),
    "length": frozenset({"low", "high"}),
    "repetition": frozenset({"n"}),
    "language": frozenset({"script"}),
}


class Steps:
    """Verifier of `steps` checks: `{type: steps}`; each line of the solution is a step.

    Fails where a step claims a calculation that does not hold. Passes where some were checked, all of them hold, and the
    solution's final answer is both what the last calculation gives and the task's own: the `answer` of this check
    (`{type: steps, answer: "18"}`) or of a `math` check that stands beside it. Abstains else, so always where there is no such
    answer: right arithmetic about something else earns nothing. The answer that a replaced check keeps for the audit is not
    used. The evidence names the line, never what would have been right.
    """

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`."""
        return [
            _steps(attempt.text, _known_answers(check, task))
            for check, task, attempt in zip(checks, tasks, attempts, strict=True)
        ]


def _steps(text: str, answers: Sequence[str]) -> Verdict:
    lines = [line for line in text.splitlines() if line.strip()]
    said = check_solution(lines[:MOST_STEPS], answer=text)
    wrong = next((one for one in said.steps if one.outcome is StepOutcome.WRONG), None)
    right = sum(one.outcome is StepOutcome.RIGHT for one in said.steps)
    counts = {"right": right, "unchecked": sum(one.outcome is StepOutcome.UNCHECKED for one in said.steps)}
    if wrong is not None:
        return Verdict(
            verifier=STEPS,
            outcome=Outcome.FAIL,
            reason=f"step {wrong.index + 1} does not hold",
            evidence=lines[wrong.index][:240],
            details={**counts, "first_wrong": wrong.index, "calculated": wrong.evidence},
        )
    outcome, reason = Outcome.ABSTAIN, f"{right} steps hold"
    if not right:
        reason = "no step to check"
    elif said.answer_follows is not StepOutcome.RIGHT:
        reason += ", and the final answer is not shown to follow from them"
    elif not answers:
        reason += ", and the task has no answer to compare theirs with"
    elif all(equal(answer, text) is not Outcome.PASS for answer in answers):
        reason += ", and their answer is not shown to be the task's"
    else:
        outcome, reason = Outcome.PASS, f"{reason}, and the answer follows from them"
    return Verdict(verifier=STEPS, outcome=outcome, reason=reason, details=counts)


def _known_answers(check: Mapping[str, Any], task: Task) -> list[str]:
    """The answer that the check gives, and those of the `math` checks beside it."""
    beside = [leaf for leaf in leaves(task.check) if leaf["type"] == "math"]
    return [str(one["answer"]) for one in (check, *beside) if one.get("answer") is not None]


class Heuristic:
    """Verifier of `heuristic` checks: bars that scores in [0, 1] must reach, one a grader that the check names.

    `{type: heuristic, repetition: 0.5, length: {at_least: 0.8, low: 20, high: 300}}`: a number is the bar alone, a mapping
    has `at_least` and the grader's own settings. A score that cannot be had (a reply of two words repeats nothing) is no
    fault. `accepts: true` makes it pass where all is well.
    """

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`. Raises ConfigError on a grader or a setting that there is none of."""
        return [_heuristic(*item) for item in zip(checks, tasks, attempts, strict=True)]


def _heuristic(check: Mapping[str, Any], task: Task, attempt: Attempt) -> Verdict:
    bars = bars_of(check, task.id)
    scores = {name: _GRADERS[name](attempt.text, **settings) for name, (_, settings) in bars.items()}
    details = {"scores": scores}
    low = [name for name, (bar, _) in bars.items() if (score := scores[name]) is not None and score < bar]
    known = [score for score in scores.values() if score is not None]
    mean = sum(known) / len(known) if known else None
    if not attempt.text.strip():
        return Verdict(verifier=HEURISTIC, outcome=Outcome.INVALID, reason="no answer found")
    if low:
        reason = ", ".join(f"{name} {scores[name]:.2f} below {bars[name][0]:g}" for name in low)
        return Verdict(verifier=HEURISTIC, outcome=Outcome.FAIL, reason=reason, score=mean, details=details)
    outcome = Outcome.PASS if check.get("accepts") is True and known else Outcome.ABSTAIN
    return Verdict(verifier=HEURISTIC, outcome=outcome, reason="well formed", score=mean, details=details)


def bars_of(check: Mapping[str, Any], task_id: str) -> dict[str, tuple[float, dict[str, Any]]]:
    """Grader -> (bar, its settings). Raises ConfigError with the task where the check cannot be used."""
    if fault := heuristic_fault(check):
        raise ConfigError(f"task {task_id}: heuristic: {fault}")
    found = {}
    for name in _named(check):
        settings = dict(check[name]) if isinstance(check[name], Mapping) else {"at_least": check[name]}
        found[name] = (float(settings.pop("at_least")), settings)
    return found


def _named(check: Mapping[str, Any]) -> list[str]:
    """The graders that a check names, known or not."""
    return [name for name in check if name not in ("type", "accepts", "stronger", "near_misses")]


def heuristic_fault(check: Mapping[str, Any]) -> str:
    """What is wrong with a `heuristic` check: key, value and remedy; "" where nothing is."""
    if not isinstance(check.get("accepts", False), bool):
        return f"accepts is {check['accepts']!r:.60}, must be true or false"
    names = _named(check)
    if not names:
        return f"it names no grader; give one of {', '.join(_GRADERS)} with its bar"
    for name in names:
        given = check[name]
        settings = dict(given) if isinstance(given, Mapping) else {"at_least": given}
        bar = settings.pop("at_least", None)
        if name not in _GRADERS:
            return f"{name} is no grader; give one of {', '.join(_GRADERS)} with its bar"
        if not isinstance(bar, int | float) or isinstance(bar, bool) or not 0 <= bar <= 1:
            return f"{name} is {given!r:.60}; give a bar in [0, 1], alone or as at_least beside settings"
        if unknown := sorted(set(settings) - _SETTINGS[name]):
            return (
                f"{name} has {unknown[0]}, which it does not know; its settings: {', '.join(sorted(_SETTINGS[name]))}"
            )
        if fault := _setting_fault(settings):
            return f"{name}: {fault}"
        try:
            _GRADERS[name]("A text to try it on.", **settings)
        except ValueError as error:
            return f"{name}: {error}; mend its settings"
    return ""


def _setting_fault(settings: Mapping[str, Any]) -> str:
    """Whether a grader's settings are of the types that it takes: whole numbers, true or false, a word."""
    for key, value in settings.items():
        if key in ("answer", "code") and not isinstance(value, bool):
            return f"{key} is {value!r:.60}, must be true or false"
        if key == "script" and not isinstance(value, str):
            return f"{key} is {value!r:.60}, must be a word such as LATIN"
        if key in ("low", "high", "n") and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            return f"{key} is {value!r:.60}, must be a whole number from 0"
    return ""
