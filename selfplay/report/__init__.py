"""Floor 2: the pages a run leaves behind, as self-contained HTML with a JSON twin, and the charts they are made of."""

from selfplay.report.compare import write_compare
from selfplay.report.pages import write_report

__all__ = ["write_compare", "write_report"]
