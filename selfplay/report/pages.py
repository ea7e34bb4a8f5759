"""The report of one run: its sections and their order."""

from functools import lru_cache
from pathlib import Path

from selfplay.report import glance, html, photocopy, profile, sections, story, times
from selfplay.report.headline import headline
from selfplay.report.page_model import Section
from selfplay.report.run_data import RunData, read_run
from selfplay.report.trace_stats import Tally, TraceReader, tally


def write_report(run: Path, read_traces: TraceReader | None = None) -> Path:
    """Writes `report.html` and `report.json` into the run folder, each as a whole or not at all; returns the page's path.

    `read_traces` gives the rows of a traces.parquet (`selfplay.store.traces.skim_traces`); None leaves out what needs traces:
    outcomes that the rows do not count, and the examples. If rounds are missing, the page says so. Raises DataError if the
    folder is not a run, OSError if it cannot be written.
    """
    data = read_run(run)
    tallies = read_tallies(data, read_traces)
    copied = photocopy.of_run(data)
    told = headline(data) | {"story": story.story(data, tallies, copied), "remarks": story.remarks(data)}
    groups = _groups(data, tallies, copied)
    remarks = {str(number): commit.get("remarks", []) for number, commit in data.commits.items()}
    raw = {"rounds": data.rows, "notes": data.notes, "remarks": remarks}
    html.write_whole(run / "report.json", html.twin("report", data.name, told, groups, raw))
    target = run / "report.html"
    html.write_whole(target, html.page("report", data.name, told, groups, data.notes))
    return target


def read_tallies(data: RunData, read_traces: TraceReader | None) -> dict[int, Tally]:
    """One pass over each committed round's traces; a file that cannot be read is a note."""
    found: dict[int, Tally] = {}
    for number in data.rounds if read_traces else ():
        path = data.path / "rounds" / f"{number:03d}" / "traces.parquet"
        if read_traces is None or not path.is_file():
            continue
        try:
            found[number] = _tallied(number, path, path.stat().st_mtime_ns, read_traces)
        except (OSError, ValueError, KeyError, TypeError) as error:  # pyarrow's errors are ValueErrors
            data.notes.append(f"rounds/{number:03d}/traces.parquet could not be read ({type(error).__name__}).")
    return found


@lru_cache(maxsize=256)
def _tallied(number: int, path: Path, changed: int, read_traces: TraceReader) -> Tally:
    """Traces of a committed round no longer change: a run that writes its report every round reads each file once."""
    return tally(number, read_traces(path))


def _groups(data: RunData, tallies: dict[int, Tally], copied: Section) -> list[tuple[str, list[Section]]]:
    """At most 12 charts of them are open, the others unfold."""
    families = profile.families(data)
    collapse = [profile.balance(data), profile.alarms(data), profile.provenance(data), *families]
    return [
        ("Accuracy and what is left of round 0", [sections.accuracy(data), copied, glance.at_a_glance(data)]),
        ("Attempts", [sections.selection(data, tallies), sections.examples(tallies)]),
        ("Collapse profile", [p for p in collapse if not p.missing] + [p for p in collapse if p.missing]),
        ("Work and record", [times.training(data), times.time(data), sections.setup(data)]),
    ]
