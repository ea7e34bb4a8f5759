"""Weights & Biases, the only user of `wandb`. Offline without a key; it never prompts and never ends a run.

One W&B run per run folder: its id is fixed at creation (`tracking.json`), its files are in the run folder. A row is a
committed round (x axis `round`) or a line of a training curve (x axis `train/step`); each gets a W&B step of its own and
is sent once. `tracking_sent.jsonl` notes a row before it is sent; on resume the rows that arrived are read from W&B's own
files (and, online, from the server's last step), and only the missing ones are sent. `metrics.jsonl` has every row.
A round's model, data set and traces are artifacts (`lineage`). `panels` and `workspace` make the pages that show the series there.

All text passes the privacy filter first. Console output, git remotes, source code and host details are not sent.
"""

from selfplay.tracking.follower import Follower
from selfplay.tracking.mode import choose_mode
from selfplay.tracking.tracker import COLUMNS, TABLE_ROWS, Privacy, Tracker, history

__all__ = ["COLUMNS", "TABLE_ROWS", "Follower", "Privacy", "Tracker", "choose_mode", "history"]
