"""Synthesis of tasks and traces. A method asks a teacher (or none), filters the replies and reports what became of each.

A method takes records and a `Backend` and returns a `MethodResult`: tasks with a check, a reference and their parents, and every
refused reply with a reason. The filters are pure functions (`text_filters`, and those in `backtranslate` and `variants`);
`method_result.admit_tasks` then tests each new task with its own verifier before anything is trained on it. The package is optional: only the
phase `synthesize` and the command of the same name import it.
"""
