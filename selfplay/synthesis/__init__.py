"""Floor 4: makers of data: each asks a teacher (or none), filters what comes back, and says what became of every reply.

A maker takes records and a `Backend` and gives a `Batch`: tasks with a check, a reference and their parents; and every reply
that was refused, with a reason. Filters are pure functions (`faults`, `translation`, `formulas`); `admission` then holds each
new task to its own verifier before anybody trains on it.
"""
