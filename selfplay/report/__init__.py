"""The pages of a run as self-contained HTML with the same numbers as JSON, and the charts in them."""

from selfplay.report.compare import write_compare
from selfplay.report.pages import write_report

__all__ = ["write_compare", "write_report"]
