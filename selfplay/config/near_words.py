"""The known word that was most likely meant by an unknown one: a misspelling, a beginning, initials, or one of its parts."""

import difflib
from collections.abc import Iterable


def likeliest(word: str, known: Iterable[str]) -> list[str]:
    """The known words that `word` surely stands for, misspellings by likeness and others the shortest first, case aside; empty if there
    are none.

    A misspelling (`acton` for `action`), or else a beginning (`temp` for `temperature`), or else initials (`lr` for `learning_rate`).
    """
    names, asked = sorted(known, key=lambda name: (len(name), name)), word.lower()
    misspelt = sorted(
        (name for name in names if _likeness(asked, name.lower()) > 0.8),
        key=lambda name: -_likeness(asked, name.lower()),
    )
    ways = ([name for name in names if way(asked, name.lower())] for way in (_begins, _initials))
    return next((found for found in (misspelt, *ways) if found), [])


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is likest to `word`, case aside; None if none is like it.

    As `likeliest`; after these a word that is somewhat alike, or has whole parts in common (`num_epochs` for `epochs`).
    """
    names = {name.lower(): name for name in sorted(known, key=lambda name: (len(name), name))}
    if sure := likeliest(word, names.values()):
        return sure[0]
    if alike := difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6):
        return names[alike[0]]
    return next((name for lower, name in names.items() if _share_parts(word.lower(), lower)), None)


def _likeness(asked: str, name: str) -> float:
    return difflib.SequenceMatcher(None, asked, name).ratio()


def _begins(asked: str, name: str) -> bool:
    """Whether one of the two begins with the other, or a part of the name does."""
    return any(part.startswith(asked) for part in (name, *name.split("_"))) or (
        len(name) > 2 and asked.startswith(name)
    )


def _initials(asked: str, name: str) -> bool:
    return len(asked) > 1 and asked == "".join(part[:1] for part in name.split("_"))


def _share_parts(asked: str, name: str) -> bool:
    """Whether all parts of one are among those of the other."""
    mine, theirs = set(asked.split("_")), set(name.split("_"))
    return mine <= theirs or theirs <= mine
