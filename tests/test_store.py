"""The store: whole files, chunks that are there or pending, one driver per run folder, and COMMITs that make rounds."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay import open_run
from selfplay.errors import ConfigError, StoreError
from selfplay.records import SCHEMA_VERSION, Attempt, Decision, Outcome, Record, Row, Task, Trace, Verdict
from selfplay.store import (
    Chunk,
    ChunkFolder,
    Commit,
    FinishedChunks,
    Lease,
    RunFolder,
    read_json,
    sha256_of,
    write_json,
    write_whole,
)
from selfplay.store.run import chain
from selfplay.store.traces import (
    ROWS,
    Stacked,
    read_rows,
    read_traces,
    write_rows,
    write_traces,
    writing_rows,
)


class Outcomes(Record):
    """A record of the tests."""

    id: int
    words: tuple[str, ...]


JSON_ROWS = st.lists(
    st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=3), max_size=5
)


def folder_of(path: Path, count: int = 3) -> ChunkFolder:
    return ChunkFolder(path, [Chunk(n, (f"t{n}",), n) for n in range(count)])


@settings(derandomize=True, deadline=None, max_examples=50)
@given(rows=JSON_ROWS)
def test_chunk_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    folder = folder_of(tmp_path_factory.mktemp("chunks"))
    folder.write(folder.chunks[1], rows)
    read = folder.read(folder.chunks[1])
    assert read is not None and read.json() == rows


@settings(derandomize=True, deadline=None, max_examples=120)
@given(cut=st.integers(0, 400), rows=JSON_ROWS)
def test_half_written_chunk_is_pending_again(
    tmp_path_factory: pytest.TempPathFactory, cut: int, rows: list[dict[str, object]]
) -> None:
    folder = folder_of(tmp_path_factory.mktemp("torn"), 1)
    chunk = folder.chunks[0]
    folder.write(chunk, rows)
    whole = folder.path(chunk).read_bytes()
    folder.path(chunk).write_bytes(whole[: min(cut, len(whole) - 1)])
    assert folder.read(chunk) is None and folder.pending() == [chunk]


@settings(derandomize=True, deadline=None, max_examples=80)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_edited_chunk_is_pending_again(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    folder = folder_of(tmp_path_factory.mktemp("edited"), 1)
    chunk, rows = folder.chunks[0], [{"text": "abc", "n": 1}, {"text": "def", "n": 2}]
    folder.write(chunk, rows)
    data = bytearray(folder.path(chunk).read_bytes())
    data[place % len(data)] = byte
    folder.path(chunk).write_bytes(data)
    read = folder.read(chunk)
    assert read is None or read.json() == rows


def test_chunk_of_other_inputs_or_another_seed_is_pending(tmp_path: Path) -> None:
    folder = ChunkFolder(tmp_path, [Chunk(0, ("a",), 1, "x")])
    folder.write(folder.chunks[0], [])
    for other in (Chunk(0, ("a",), 1, "y"), Chunk(0, ("a",), 2, "x"), Chunk(0, ("b",), 1, "x")):
        assert ChunkFolder(tmp_path, [other]).pending() == [other]


def finished(path: Path) -> ChunkFolder:
    """A phase that is done, with three chunks of two records each."""
    folder = folder_of(path)
    for chunk in folder.chunks:
        folder.write(chunk, [Outcomes(id=2 * chunk.id + n, words=("a", "b")) for n in range(2)])
    folder.finish({"figure": 1})
    return folder


def test_done_counts_only_for_its_own_plan(tmp_path: Path) -> None:
    done = finished(tmp_path).done()
    assert done is not None and done["figure"] == 1 and done["schema_version"] == SCHEMA_VERSION
    assert folder_of(tmp_path, 4).done() is None


def test_done_lists_number_and_hash_of_the_rows_without_the_chunk_files(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    read = [folder.read(chunk) for chunk in folder.chunks]
    for chunk in folder.chunks:
        folder.path(chunk).unlink()
    listed = FinishedChunks(tmp_path)
    assert listed.summary["figure"] == 1
    assert [(one.id, one.rows, one.sha256) for one in listed.chunks] == [
        (n, 2, rows.sha256) for n, rows in enumerate(read) if rows is not None
    ]


def test_a_phase_that_is_not_done_cannot_be_read(tmp_path: Path) -> None:
    folder_of(tmp_path).write(folder_of(tmp_path).chunks[0], [])
    with pytest.raises(StoreError, match=r"DONE: is missing"):
        FinishedChunks(tmp_path)


def test_a_phase_with_a_pending_chunk_does_not_become_done(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    folder.write(folder.chunks[0], [])
    with pytest.raises(StoreError, match=r"chunk-00001\.jsonl: was written but cannot be read back; check the disk"):
        folder.finish({})
    assert folder.done() is None and folder.pending() == list(folder.chunks[1:])


def test_records_and_json_are_read_chunk_by_chunk_in_order(tmp_path: Path) -> None:
    finished(tmp_path)
    chunks = FinishedChunks(tmp_path)
    assert [row.id for rows in chunks.iter_records(Outcomes) for row in rows] == list(range(6))
    assert [row for rows in chunks.iter_json() for row in rows] == [{"id": n, "words": ["a", "b"]} for n in range(6)]


@pytest.mark.parametrize("fault", ["missing", "torn", "edited", "of other content"])
def test_a_chunk_that_is_not_the_one_that_done_lists_is_an_error_with_the_remedy(tmp_path: Path, fault: str) -> None:
    folder = finished(tmp_path)
    path = folder.path(folder.chunks[2])
    if fault == "missing":
        path.unlink()
    elif fault == "torn":
        path.write_bytes(path.read_bytes()[:-20])
    elif fault == "edited":
        path.write_bytes(path.read_bytes().replace(b'"a"', b'"c"'))
    else:
        folder.write(folder.chunks[2], [Outcomes(id=9, words=())])
    with pytest.raises(
        StoreError, match=r"chunk-00002\.jsonl: is missing or has changed .*remove .*DONE and rerun the same command"
    ):
        list(FinishedChunks(tmp_path).iter_records(Outcomes))


def test_failed_write_keeps_the_old_content_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    """A full disk, by the kernel's own limit on file size, in a process of its own."""
    path = tmp_path / "kept.json"
    write_json(path, {"old": True})
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from selfplay.store import write_whole; from selfplay.errors import StoreError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: write_whole(Path(sys.argv[1]), b'x' * 5000)\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "cannot be written (File too large)" in done.stdout and "no committed round is lost" in done.stdout
    assert read_json(path) == {"old": True} and list(tmp_path.iterdir()) == [path]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_second_driver_on_one_run_is_refused_by_name(tmp_path: Path) -> None:
    with (
        Lease(tmp_path),
        pytest.raises(StoreError, match=rf"is in use by process {os.getpid()} on .*under another --name"),
        Lease(tmp_path),
    ):
        pass
    assert not (tmp_path / "lease.json").exists()


def test_lease_of_a_dead_process_is_taken_over_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path; from selfplay.store import Lease\n"
        "Lease(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "lease.json").exists()
    with Lease(tmp_path) as lease:
        assert lease.held()


def test_lease_of_another_host_is_taken_over_only_when_stale(tmp_path: Path) -> None:
    other = {"nonce": "n", "host": "elsewhere", "pid": 1, "started": "1", "renewed": time.time()}
    write_json(tmp_path / "lease.json", other)
    with pytest.raises(StoreError, match="elsewhere"), Lease(tmp_path):
        pass
    write_json(tmp_path / "lease.json", {**other, "renewed": time.time() - 100})
    with Lease(tmp_path) as lease:
        assert lease.held()


def test_torn_lease_file_does_not_lock_the_run_for_ever(tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text('{"nonce": "a')
    with Lease(tmp_path) as lease:
        assert lease.held()


def commit(number: int, parent: int | None) -> Commit:
    return Commit(round=number, parent=parent, next_parent=number, metrics={"eval/greedy_accuracy": number / 10})


def test_other_science_is_refused_with_the_changed_keys_and_operation_is_free(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "r")
    run.open({"seed": 0, "generate.temperature": 0.7}, {"tasks.jsonl": "a" * 64}, "x: 1\n")
    run.commit(commit(0, None))
    run.open({"seed": 0, "generate.temperature": 0.7}, {"tasks.jsonl": "a" * 64}, "x: 2\n")
    with pytest.raises(
        ConfigError,
        match=r"started with another config \(generate\.temperature 0\.7 -> 1\.0; tasks\.jsonl a+\.\.\. -> b+",
    ):
        run.open({"seed": 0, "generate.temperature": 1.0}, {"tasks.jsonl": "b" * 64}, "x: 3\n")
    assert (run.path / "config.yaml").read_text() == "x: 2\n"


def test_run_without_a_committed_round_is_started_anew_with_another_config(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "r")
    run.open({"seed": 0}, {"tasks.jsonl": "a"}, "x: 1\n")
    run.open({"seed": 1}, {"tasks.jsonl": "a"}, "x: 2\n")
    write_json(run.phase(0, "generate") / "chunk.json", {"text": "of seed 1"})
    run.open({"seed": 1}, {"tasks.jsonl": "a"}, "x: 2\n")
    assert (run.phase(0, "generate") / "chunk.json").is_file()
    run.open({"seed": 2}, {"tasks.jsonl": "b", "more.jsonl": "c"}, "x: 3\n")
    assert not (run.path / "rounds").exists() and (run.path / "rounds.left/000/generate/chunk.json").is_file()
    assert read_json(run.path / "fingerprint.json")["science"] == {"seed": 2}
    assert (run.path / "config.yaml").read_text() == "x: 3\n"
    run.commit(commit(0, None))
    with pytest.raises(ConfigError, match="started with another config"):
        run.open({"seed": 3}, {"tasks.jsonl": "b", "more.jsonl": "c"}, "x: 4\n")


@pytest.mark.parametrize("version", [1, 99])
def test_a_run_of_another_version_is_refused_and_nothing_is_touched(tmp_path: Path, version: int) -> None:
    run = RunFolder(tmp_path)
    run.open({}, {}, "")
    run.commit(commit(0, None))
    for place in (run.round(0) / "COMMIT", tmp_path / "fingerprint.json"):
        write_json(place, {**read_json(place), "schema_version": version})
    before = sha256_of(tmp_path)
    refusal = (
        rf"another version of selfplay \(schema_version {version}, this version reads 2\); .* or start a new run under"
    )
    for use in (run.commits, lambda: run.open({}, {}, "x: 1"), lambda: open_run(tmp_path)):
        with pytest.raises(StoreError, match=refusal):
            use()
    assert sha256_of(tmp_path) == before


def test_metrics_are_rebuilt_from_the_commits(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.open({}, {}, "")
    run.commit(commit(0, None))
    run.commit(commit(1, 0))
    before = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_text("{torn")
    run.rebuild_metrics()
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    assert [json.loads(line)["round"] for line in before.decode().splitlines()] == [0, 1]


def test_missing_commit_in_the_middle_is_an_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.open({}, {}, "")
    for number in range(3):
        run.commit(commit(number, number - 1 if number else None))
    (run.round(1) / "COMMIT").unlink()
    with pytest.raises(StoreError, match="a COMMIT is missing"):
        run.commits()


def test_chain_follows_parents_past_an_abandoned_round() -> None:
    commits = [commit(0, None), commit(1, 0), commit(2, 1), commit(3, 1)]
    assert [c.round for c in chain(commits, 3)] == [0, 1, 3]
    assert chain(commits, None) == []


def test_pruning_keeps_named_weights_and_drops_checkpoints_of_committed_rounds(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.open({}, {}, "")
    for number in range(3):
        for name in ("model", "train/checkpoints/step-5"):
            (run.round(number) / name).mkdir(parents=True)
        run.commit(commit(number, None))
    (run.round(3) / "train" / "checkpoints" / "step-5").mkdir(parents=True)
    run.prune({0, 2})
    assert [run.round(n).joinpath("model").exists() for n in range(3)] == [True, False, True]
    assert not list(tmp_path.glob("rounds/00[012]/train/checkpoints"))
    assert (run.round(3) / "train" / "checkpoints" / "step-5").is_dir(), "a round in hand keeps its checkpoint"


def test_a_restart_never_writes_into_the_log_of_the_crash(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert [run.new_log_folder().name for _ in range(11)][-2:] == ["attempt-10", "attempt-11"]


TASK = Task(id="t", prompt="p", check={"type": "math", "answer": "1"}, tags=("a:b",))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(text=st.text(), ids=st.lists(st.integers(0, 2**31 - 1), max_size=4), decided=st.booleans())
def test_trace_survives_parquet(
    tmp_path_factory: pytest.TempPathFactory, text: str, ids: list[int], decided: bool
) -> None:
    trace = Trace(
        task=TASK,
        attempt=Attempt(
            task_id="t", attempt=0, round=1, text=text, completion_ids=tuple(ids), sampler={"temperature": 1.0}
        ),
        verdicts=(Verdict(verifier="v/1", outcome=Outcome.FAIL, evidence="e", score=0.5),),
        outcome=Outcome.FAIL,
        decision=Decision(decision="dropped", reason="failed", rank=0) if decided else None,
    )
    path = tmp_path_factory.mktemp("traces") / "traces.parquet"
    assert write_traces(path, [[trace], []]) == 1
    row = next(read_traces(path))
    assert {name: row[name] for name in ("text", "completion_ids", "sampler", "outcome", "verdicts", "task")} == {
        "text": text,
        "completion_ids": ids,
        "sampler": {"temperature": 1.0},
        "outcome": "fail",
        "verdicts": [verdict.model_dump(mode="json") for verdict in trace.verdicts],
        "task": TASK.model_dump(mode="json", by_alias=True),
    }
    assert (row["decision"], row["reason"], row["rank"]) == (("dropped", "failed", 0) if decided else (None,) * 3)


def test_lone_surrogates_and_odd_newlines_are_stored(tmp_path: Path) -> None:
    attempt = Attempt(task_id="t", attempt=0, round=1, text="a\ud800\u2028\r\nb")
    write_traces(tmp_path / "t.parquet", [[Trace(task=TASK, attempt=attempt)]])
    assert next(read_traces(tmp_path / "t.parquet"))["text"] == "a?\u2028\r\nb"


def test_gathered_rows_come_in_the_order_asked_and_only_their_kind_changes(tmp_path: Path) -> None:
    first = [Row(input_ids=(n, n + 1), labels=(-100, n + 1), source=f"a{n}", difficulty=n) for n in range(3)]
    second = [Row(input_ids=(90 + n,), labels=(90 + n,), weight=0.5, kind="anchor", source=f"b{n}") for n in range(2)]
    files = [tmp_path / "a.parquet", tmp_path / "none.parquet", tmp_path / "b.parquet"]
    for path, rows in zip(files, (first, [], second), strict=True):
        write_rows(path, rows)
    with Stacked(files, ROWS) as stack:
        assert stack.rows_of(0, 2) == range(3) and stack.rows_of(2, 3) == range(3, 5) and not stack.rows_of(1, 2)
        assert stack.column("difficulty") == [0, 1, 2, None, None]
        stack.write(tmp_path / "out.parquet", [4, 2, 2, 0], {4: "anchor", 2: "older", 0: "new"}.__getitem__)
        stack.write(tmp_path / "none.parquet", [], str)
    older = first[2].model_copy(update={"kind": "older"})
    assert read_rows(tmp_path / "out.parquet") == [second[1], older, older, first[0]]
    assert read_rows(tmp_path / "none.parquet") == []


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=4), st.data())
def test_stacked_rows_are_those_of_the_files_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[int]], data: st.DataObject
) -> None:
    folder, made, files = tmp_path_factory.mktemp("stack"), list[Row](), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selfplay.store.traces.READ_ROWS", 4)
        for number, sizes in enumerate(groups):  # a file of several pieces, of one or more groups of rows each
            files.append(folder / f"{number}.parquet")
            with writing_rows(files[-1]) as add:
                for size in sizes:
                    rows = [Row(input_ids=(len(made) + n,), labels=(n,), source=f"{number}") for n in range(size)]
                    add(rows)
                    made += rows
        asked = data.draw(st.lists(st.sampled_from(range(len(made))), max_size=30)) if made else []
        with Stacked(files, ROWS) as stack:
            stack.write(folder / "out.parquet", asked, lambda row: "older")
    assert read_rows(folder / "out.parquet") == [made[n].model_copy(update={"kind": "older"}) for n in asked]


def test_small_groups_of_rows_come_into_one_piece_of_the_file(tmp_path: Path) -> None:
    rows = [Row(input_ids=(n,), labels=(n,)) for n in range(7)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("selfplay.store.traces.READ_ROWS", 4)
        with writing_rows(tmp_path / "rows.parquet") as add:
            for start, end in ((0, 2), (2, 3), (3, 6), (6, 6), (6, 7)):
                add(rows[start:end])
    about = pq.ParquetFile(tmp_path / "rows.parquet").metadata
    assert [about.row_group(n).num_rows for n in range(about.num_row_groups)] == [6, 1]
    assert read_rows(tmp_path / "rows.parquet") == rows


def test_stacked_rows_of_a_file_from_before_a_column_was_added_have_none_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", [Row(input_ids=(1,), labels=(1,), difficulty=3)])
    old = pq.read_table(tmp_path / "a.parquet").drop_columns(["difficulty"])
    pq.write_table(old, tmp_path / "old.parquet")
    with Stacked([tmp_path / "a.parquet", tmp_path / "old.parquet"], ROWS) as stack:
        assert stack.column("difficulty") == [3, None]
        stack.write(tmp_path / "out.parquet", [1, 0], lambda row: "new")
    assert [row.difficulty for row in read_rows(tmp_path / "out.parquet")] == [None, 3]


def test_rows_survive_parquet_and_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    rows = [Row(input_ids=(1, 2), labels=(-100, 2), source="s"), Row(input_ids=(), labels=(), kind="anchor")]
    for name in ("a", "b"):
        write_rows(tmp_path / name, rows)
    assert read_rows(tmp_path / "a") == rows
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")


def test_hash_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    write_whole(tmp_path / "a" / "x", "1")
    write_whole(tmp_path / "b" / "y", "1")
    write_whole(tmp_path / "c" / "x", "1")
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "c") != sha256_of(tmp_path / "b")


TEXTS = (
    st.text()
    | st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
    | st.sampled_from(["NaN", "-Infinity\n", "\u2028\x85"])
)


@given(
    text=TEXTS,
    logprobs=st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False)).map(tuple),
    sampler=st.dictionaries(TEXTS, TEXTS | st.integers() | st.booleans() | st.none(), max_size=3),
)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_a_record_reads_back_from_its_line(
    text: str, logprobs: tuple[float, ...] | None, sampler: dict[str, Any]
) -> None:
    attempt = Attempt(task_id="t", attempt=0, round=1, text=text, logprobs=logprobs, sampler=sampler)
    line, plain = attempt.to_line(), json.dumps(attempt.model_dump(mode="json"))
    assert "\n" not in line and json.loads(line) == json.loads(plain)  # JSON itself joins two surrogates to a character
    assert Attempt.from_line(line.encode()) == Attempt.model_validate(json.loads(plain))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_no_json_is_refused_when_a_record_is_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Attempt(task_id="t", attempt=0, round=1, text="Infinity", logprobs=(value,)).to_line()


def test_rows_and_records_stand_in_a_chunk_alike(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 1)
    attempt = Attempt(task_id="t", attempt=0, round=1, text="\ud800 é")
    folder.write(folder.chunks[0], [attempt, {"text": "é"}])
    rows = folder.read(folder.chunks[0])
    assert rows is not None and rows.json() == [attempt.model_dump(mode="json"), {"text": "é"}]
    assert Attempt.from_line(rows.lines[0]) == attempt
