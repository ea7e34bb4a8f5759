"""Real programs: the verdicts that the data sets state, and references that must all pass, also in a crowd."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.sandbox import CheckTests, Executor, Job, Limits, Result, StdioTests


def rows(path: Path) -> list[dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode("utf-8").split("\n") if line]


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=2) as opened:
        yield opened


def disagreements(executor: Executor, chosen: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    limits = Limits(cpu_seconds=5.0, memory_bytes=2**30)
    results = executor.run([Job(row["id"], row["program"], CheckTests(row["test"]), limits) for row in chosen])
    pairs = zip(chosen, results, strict=True)
    return [(r.id, row["verdict"], r.status) for row, r in pairs if r.passed is not (row["verdict"] == "pass")]


def test_planted_faults_and_references_have_the_stated_verdicts(executor: Executor, shared_data: Path) -> None:
    chosen = [row for row in rows(shared_data / "programs" / "dev.jsonl.gz") if row["verdict"] != "timeout"]
    assert disagreements(executor, chosen[::3]) == []


@pytest.mark.prove
def test_all_planted_faults_and_references_have_the_stated_verdicts(executor: Executor, shared_data: Path) -> None:
    assert disagreements(executor, rows(shared_data / "programs" / "dev.jsonl.gz")) == []


def case_result(executor: Executor, case: dict[str, Any]) -> Result:
    given = case["limits"]
    limits = Limits(1.0, 1.0, given["memory_mb"] * 2**20, given["output_bytes"])
    tests: Any = CheckTests(case["test"], "add") if case["test"] else StdioTests([(case["stdin"], "42\n")])
    (result,) = executor.run([Job(case["id"], case["program"], tests, limits)])
    return result


def test_the_executor_cases_come_out_as_stated(executor: Executor, shared_data: Path) -> None:
    documented = {"exec-main-guard": True}  # docs/sandbox.md: the guard does not run
    for case in rows(shared_data / "own" / "executor_cases" / "cases.jsonl"):
        result = case_result(executor, case)
        assert result.passed is documented.get(case["id"], case["accept"]), (case["id"], result)
        assert len(result.stdout_tail.encode()) <= 65536


def test_the_smoke_test_of_humaneval_has_its_verdicts(executor: Executor, shared_data: Path) -> None:
    listed = rows(shared_data / "humaneval" / "example.jsonl")
    limits = Limits(1.0, 1.0)
    jobs = [
        Job("", row["prompt"] + row["completion"], CheckTests(row["test"], row["entry_point"]), limits)
        for row in listed
    ]
    assert [result.passed for result in executor.run(jobs)] == [row["verdict"] == "pass" for row in listed]


def references(folder: Path) -> list[Job]:
    jobs = [
        Job(row["task_id"], row["prompt"] + row["canonical_solution"], CheckTests(row["test"], row["entry_point"]))
        for row in rows(folder / "humaneval" / "HumanEval_000-099.jsonl.gz")
    ]
    for row in rows(folder / "mbpp" / "prompt_train_validation.jsonl.gz"):
        source = "\n".join([row["test_setup_code"], *row["test_list"], *row["challenge_test_list"]])
        jobs.append(Job(f"Mbpp/{row['task_id']}", row["code"], CheckTests(source)))
    return jobs


def test_references_pass_outside_or_are_found_to_need_the_process(executor: Executor, shared_data: Path) -> None:
    jobs = references(shared_data)
    found = dict(zip([job.id for job in jobs], executor.trusts(jobs), strict=True))
    assert [name for name, trust in found.items() if trust == "broken"] == []
    assert len([name for name, trust in found.items() if trust == "in_process"]) <= 4


@pytest.mark.prove
def test_references_pass_ten_times_with_eight_workers_a_core(shared_data: Path) -> None:
    with Executor(workers=2) as executor:
        jobs = references(shared_data)
        sound = [job for job, trust in zip(jobs, executor.trusts(jobs), strict=True) if trust == "outside"]
    with Executor(workers=16) as executor:
        for repeat in range(10):
            again = [Job(job.id, f"{job.code}\n# {repeat}\n", job.tests, Limits(cpu_seconds=1.0)) for job in sound]
            assert [(result.id, result.status) for result in executor.run(again) if not result.passed] == []
