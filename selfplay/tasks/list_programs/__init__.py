"""List programs, a procedural source: a chain of list operations in English, and the Python function that does it.

`operations.py` has the operations, `programs.py` the tasks and their draws, `evolving.py` and `correcting.py` what is made from
them, `source.py` the settings and the source.
"""

from selfplay.tasks.list_programs.source import ListPrograms, ListProgramsSource

__all__ = ["ListPrograms", "ListProgramsSource"]
