"""Where the tasks of a run come from, in the words of a card."""

import re

from selfplay.publish import markdown as md
from selfplay.publish.facts import RoundFacts
from selfplay.publish.public import public_name
from selfplay.report.page_model import listed

_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(:.+)?")
_KEYS = ("train", "path", "anchor", "dev", "test")
"""Keys of a task source that may name a file or a data set of the hub."""


def source_ids(facts: RoundFacts) -> list[str]:
    """Names on the hub of the data sets that the tasks were read from; empty if they come from files or from a program."""
    named = (getattr(facts.config.tasks, key, None) for key in _KEYS)
    found = [_HUB_NAME.fullmatch(value) for value in named if isinstance(value, str)]
    ids = [match[1] for match in found if match and match[1].rpartition("/")[2] not in facts.files]
    return list(dict.fromkeys(ids))


def source_words(facts: RoundFacts) -> str:
    """The source of the tasks: its name, and the files or data sets that it reads."""
    tasks, ids = facts.config.tasks, source_ids(facts)
    if ids:
        return listed([f"[{one}](https://huggingface.co/datasets/{one})" for one in ids])
    named = (getattr(tasks, key, None) for key in _KEYS)
    files = list(dict.fromkeys(public_name(value) for value in named if isinstance(value, str)))
    if tasks.source == "jsonl":
        return f"the publisher's own ({listed(map(md.code, files))})"
    return f"the source {md.code(tasks.source)}" + (
        f" ({listed(map(md.code, files))})" if files else ", written by a program"
    )
