"""The prompt for a second attempt: the task, the failed attempt, and the evidence of what is wrong with it. Pure.

The evidence is what a user of the program could see: which input failed and what came back, which step does not hold, why a
judge refused. It never holds the expected value.
"""

import re
from collections.abc import Sequence
from typing import Literal

from selfplay.prompts import one_line, printable
from selfplay.records import Message, Outcome, Request, Task, Verdict

WRONG = "# wrong: "
AGAIN = "# again:\n"
"""The marks of the plain form; short, so that a small student can learn them."""
EVIDENCE_CHARS = 240
"""Default bound on the evidence: a longer list of numbers does not help a model."""
FIRST_CHARS = 8000
"""How much of the first attempt is shown, from its beginning."""

LAST_CALL = "; the last call: "
"""As `selfplay.sandbox` writes it: the text after it comes from the program, the text before it may hold the expected value."""
_RAISED = re.compile(r"tests, line \d{1,9}: (?P<kind>\w{1,80})")
_ASSERTED = re.compile(r"assert\b|an assert failed|.*\(tests, line \d{1,9}\)$", re.DOTALL)
_CASE = re.compile(r"case (\d{1,6}): (.*)", re.DOTALL)


def request_of(
    task: Task, attempt: int, first: str, evidence: str, template: Literal["chat", "plain"] = "plain"
) -> Request:
    """The request for a second attempt; its `task_id` names the attempt that it corrects, so that each has a draw of its own."""
    name = f"{task.id}/{attempt}"
    shown = first[:FIRST_CHARS]
    if template == "plain":
        return Request(task_id=name, prompt=plain(task.text, shown, evidence))
    before = task.messages or (Message(role="user", content=task.text),)
    ask = f"That is wrong ({evidence}). Solve the task again. Give the whole corrected solution and nothing else."
    return Request(
        task_id=name,
        messages=(*before, Message(role="assistant", content=shown or "(nothing)"), Message(role="user", content=ask)),
    )


def plain(task: str, first: str, evidence: str) -> str:
    """The compact form for a model without a chat template: task, attempt, `# wrong:` with the evidence, `# again:`."""
    lines = [printable(line) for line in first.strip().splitlines()]
    # a first attempt that contains our marks must not be mistaken for the frame
    tried = "\n".join(line.replace("# ", "#", 1) if line.startswith((WRONG, AGAIN.strip())) else line for line in lines)
    return f"{task}{'' if task.endswith(chr(10)) else chr(10)}{tried}\n{WRONG}{evidence}\n{AGAIN}"


def evidence_of(
    task: Task, verdicts: Sequence[Verdict], wrong_step: str | None = None, limit: int = EVIDENCE_CHARS
) -> str:
    """What is known to be wrong, on one line: never empty, and never with the expected value.

    It comes from the first verdict that is fail or invalid. `wrong_step`: a line of the attempt that does not hold.
    """
    said = next((v for v in verdicts if v.outcome in (Outcome.FAIL, Outcome.INVALID)), None)
    if said is None:
        return "not accepted"
    kind = said.verifier.partition("/")[0]
    reason = one_line(said.reason, limit)
    if kind == "code_tests":
        text = _of_code(task, reason, said.evidence)
    elif kind == "math":
        text = _of_answer(reason, said.evidence, wrong_step)
    else:
        text = f"{reason}: {said.evidence}" if said.evidence else reason
    return one_line(text, limit) or "not accepted"


def _of_code(task: Task, reason: str, evidence: str) -> str:
    """The status, the arguments of the case that failed, and what came back."""
    check = next((c for c in leaves(task.check) if c.get("type") == "code_tests"), {})
    found, cases = _CASE.fullmatch(evidence), check.get("cases")
    if found and isinstance(cases, list) and int(found[1]) < len(cases):
        arguments = ", ".join(map(repr, cases[int(found[1])][0]))
        came = found[2].partition(", expected")[0].replace("got ", "gave ", 1)
        return f"{check.get('entry_point', 'f')}({arguments}) {came}"
    rows = check.get("stdio")
    if found and isinstance(rows, list) and int(found[1]) < len(rows):
        given, came = str(rows[int(found[1])][0])[:FIRST_CHARS], found[2].partition(", expected")[0]
        return f"given {given!r} it {came}"
    if "source" in check:
        evidence = of_source(evidence)
    evidence = evidence.partition(", expected")[0]
    return f"{reason}: {evidence}" if evidence else reason


def of_source(evidence: str) -> str:
    """What test code found, without what it expected: the call and what came back, or the kind of the exception.

    Assertions, their messages and the texts of exceptions that the tests raise are left out, since they may hold values; an
    exception that the program raised is kept. Applying it twice changes nothing.
    """
    before, mark, call = evidence.rpartition(LAST_CALL)
    raised = _RAISED.match(before if mark else evidence)
    said = f"the tests raised {raised['kind']}" if raised else ""
    if mark:
        return f"{call}; {said}" if said else call
    if said or _ASSERTED.match(evidence):
        return said or "an assert failed"
    return evidence.partition(", expected")[0]


def _of_answer(reason: str, evidence: str, wrong_step: str | None) -> str:
    step = f"; this step does not hold: {one_line(wrong_step, 120)}" if wrong_step else ""
    return f"{evidence or reason}{step}"


def leaves(check: dict[str, object]) -> list[dict[str, object]]:
    """The single verifiers of a check, with combinations taken apart; at most 100."""
    found, left = list[dict[str, object]](), [check]
    while left and len(found) < 100:
        one = left.pop(0)
        parts = one.get("of")
        if one.get("type") in ("all", "any", "first") and isinstance(parts, list):
            left += [part for part in parts if isinstance(part, dict)]
        else:
            found.append(one)
    return found
