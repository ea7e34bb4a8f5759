"""Tasks whose prompts leave the student no room to reply. They are skipped and named: no prompt is cut, and none counts as a wrong answer."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from selfplay.models.base import Encoder
from selfplay.records import Request, Task

if TYPE_CHECKING:
    from selfplay.runtime.resources import RunResources

TEMPLATE_TOKENS = 1000
"""Most tokens that a chat template is taken to add; a text of fewer bytes than the limit less these has room."""


class Limit(NamedTuple):
    """The longest sequence that the student takes."""

    tokens: int
    name: str
    """What sets it, for messages."""


class Fitting(NamedTuple):
    """Tasks with room for a reply, and what is said of the others."""

    tasks: list[Task]
    skipped: int
    note: str
    """"" where none is skipped."""


def limits_of(context: int | None, max_length: int | None = None) -> Limit | None:
    """The smaller of the student's context and `train.max_length`, a limit for training tasks alone; None if neither is known."""
    known = [(context, "tokens of the student's context"), (max_length, "tokens of train.max_length")]
    found = [Limit(tokens, name) for tokens, name in known if tokens is not None]
    return min(found, key=lambda limit: limit.tokens) if found else None


def fitting(tasks: Sequence[Task], limit: Limit | None, open_encoder: Callable[[], Encoder]) -> Fitting:
    """The tasks whose prompts have fewer tokens than the limit. The encoder is opened only if a prompt is long enough to matter."""
    if limit is None or not any(_may_be_long(task, limit) for task in tasks):
        return Fitting(list(tasks), 0, "")
    encoder = open_encoder()
    lengths = {task.id: len(encoder.prompt(Request.of(task))) for task in tasks if _may_be_long(task, limit)}
    kept = [task for task in tasks if lengths.get(task.id, 0) < limit.tokens]
    long = {name: tokens for name, tokens in lengths.items() if tokens >= limit.tokens}
    return Fitting(kept, len(long), said(long, len(tasks), limit))


def said(long: dict[str, int], count: int, limit: Limit, *, least: bool = False) -> str:
    """A sentence on the tasks that are too long, by their tokens, with one example; "" for none. `least`: the tokens are a lower bound."""
    if not long:
        return ""
    name, tokens = next(iter(long.items()))
    return (
        f"{len(long)} of {count} tasks are skipped, since their prompts leave no room in the {limit.tokens} {limit.name}, such as task "
        f"{name[:80]!r} with {'at least ' if least else ''}{tokens} tokens; shorten the prompts, or take a student that holds more"
    )


def _may_be_long(task: Task, limit: Limit) -> bool:
    return len(task.text.encode("utf-8", "replace")) + TEMPLATE_TOKENS >= limit.tokens


def length_notes(resources: "RunResources") -> list[str]:
    """What `validate` and `check` say of the tasks' prompts before any is sampled, with the place of an example; [] where nothing is known.

    The counts are without the template's tokens, so that a prompt at the very limit is found when the run starts.
    """
    config, student, source = resources.config, resources.student_section, resources.source
    context, train = student.context(), getattr(config, "train", None)
    parts: Iterable[tuple[Sequence[Task], Limit | None]] = (
        (source.pool, limits_of(context, train.max_length if train is not None else None)),
        ((*source.fixed.dev, *source.fixed.test), limits_of(context)),
    )
    notes = []
    for tasks, limit in parts:
        asked = [] if limit is None else [t for t in tasks if len(t.text.encode("utf-8", "replace")) >= limit.tokens]
        found = student.least_tokens([task.text for task in asked]) if asked else []
        long = {task.id: n for task, n in zip(asked, found, strict=False) if limit is not None and n >= limit.tokens}
        if limit is not None and long:
            place = source.fixed.places.get(next(iter(long)), "")
            notes.append(f"{place}: {said(long, len(tasks), limit, least=True)}".removeprefix(": "))
    return notes
