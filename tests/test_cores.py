"""Cores are counted in one place, which follows the quota of the control group."""

import os
from pathlib import Path

import pytest

from selfplay.cores import usable_cores


def machine(root: Path, groups: str, **files: str) -> Path:
    """A root folder with the groups of a process and quota files, named by their path with `__` for each slash."""
    for name, text in {"proc__self__cgroup": groups, **{f"sys__fs__cgroup__{k}": v for k, v in files.items()}}.items():
        path = root / name.replace("__", "/").replace("-", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


def test_without_a_quota_all_cores_that_the_process_is_bound_to_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 16
    assert usable_cores(machine(tmp_path, "0::/\n", **{"cpu-max": "max 100000\n"})) == 16


@pytest.mark.parametrize(("quota", "cores"), [("400000 100000", 4), ("150000 100000", 2), ("5000 100000", 1)])
def test_a_quota_bounds_them_and_a_part_of_a_core_counts_as_one(tmp_path: Path, quota: str, cores: int) -> None:
    assert usable_cores(machine(tmp_path, "0::/\n", **{"cpu-max": quota + "\n"})) == cores


def test_the_smallest_quota_on_the_way_to_the_top_counts(tmp_path: Path) -> None:
    files = {"a__cpu-max": "300000 100000", "a__b__cpu-max": "max 100000", "other__cpu-max": "100000 100000"}
    assert usable_cores(machine(tmp_path, "0::/a/b\n", **files)) == 3


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    files = {"cpu,cpuacct__job__cpu-cfs_quota_us": "200000\n", "cpu,cpuacct__job__cpu-cfs_period_us": "100000\n"}
    assert usable_cores(machine(tmp_path, "4:memory:/job\n3:cpu,cpuacct:/job\n", **files)) == 2


def test_a_quota_of_minus_one_is_none_and_a_broken_file_is_not_believed(tmp_path: Path) -> None:
    files = {"cpu__cpu-cfs_quota_us": "-1\n", "cpu__cpu-cfs_period_us": "100000\n", "cpu-max": "oops"}
    assert usable_cores(machine(tmp_path, "3:cpu:/\n0::/\n", **files)) == 16


def test_a_path_of_the_host_that_is_not_mounted_here_falls_back_to_what_is(tmp_path: Path) -> None:
    assert usable_cores(machine(tmp_path, "0::/docker/0123\n", **{"cpu-max": "200000 100000"})) == 2


def test_a_quota_above_the_bound_cores_changes_nothing(tmp_path: Path) -> None:
    assert usable_cores(machine(tmp_path, "0::/\n", **{"cpu-max": "9900000 100000"})) == 16
