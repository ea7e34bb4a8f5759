"""Which traces are trained on, and why each of the others is not. Pure: no torch, network, clock or global generator.

`select` decides on one round's traces; `screen` finds evaluation text and personal data in them. The parts can be used alone:
`decontaminate`, `privacy`, `dedup`, `quotas`. Nothing here reads or writes files.
"""

from selfplay.curate.dedup import Archive, Entry
from selfplay.curate.selection import REASONS, SelectRules, archive_entries, select

__all__ = ["REASONS", "Archive", "Entry", "SelectRules", "archive_entries", "select"]
