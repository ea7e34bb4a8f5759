"""Cases after public bug reports of the field come out as they should; hostile programs as well."""

from pathlib import Path

import pytest

from selfplay.sandbox import Executor
from tests.support.reports import judged, read


@pytest.mark.parametrize(
    "kind", ["a mathematics", "a mathematics, steps", "b extraction", "c code", "g curation", "h judge"]
)
def test_cases_after_bug_reports_come_out_as_they_should(shared_data: Path, kind: str) -> None:
    rows = [row for row in read(shared_data / "reports" / "cases.jsonl") if row["kind"] == kind]
    with Executor(workers=1, require_tier="best") as executor:
        found = judged(rows, executor)
    assert len(found) > 20, "the file has more cases of each kind"
    assert [(row["id"], fault) for row, fault in found if fault] == []
