"""Which traces are trained on, and why each of the others is not. Pure: no torch, network, clock or global generator.

`select` decides on one round's traces; `screen` finds evaluation text and personal data in them. The parts can be used alone:
`decontaminate`, `privacy`, `dedup`, `quotas`, `pairs`, `difficulty_weights`. Nothing here reads or writes files.
"""

from selfplay.curate.dedup import Archive, Entry
from selfplay.curate.quotas import Quota, QuotaLine
from selfplay.curate.selection import REASONS, Selection, SelectRules, archive_entries, curate, select

__all__ = [
    "REASONS", "Archive", "Entry", "Quota", "QuotaLine", "SelectRules", "Selection", "archive_entries", "curate",
    "select",
]  # fmt: skip
