"""Floor 6: what a person sees in a terminal: tables and progress. The only file that imports rich.

Plain text where the output is no terminal or NO_COLOR is set.
"""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One table on stdout; cells are shown as they are, never read as markup."""
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", expand=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console(sys.stdout).print(table)


def console(stream: object = None) -> Console:
    """A console on a stream (stderr by default) that stays plain in pipes and files."""
    return Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)  # type: ignore[arg-type]
