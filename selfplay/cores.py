"""How many CPU cores this process may use. The only place that counts them."""

import os
from pathlib import Path

_MOUNT = "sys/fs/cgroup"


def usable_cores(root: Path = Path("/")) -> int:
    """The cores that this process is bound to, or fewer where its control group (cgroup) or one above it has a CPU quota.

    A part of a core counts as a core; the result is at least 1. `root`: where `proc` and `sys` lie.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *(-(-quota // period) for quota, period in _quotas(root))]))


def _quotas(root: Path) -> list[tuple[int, int]]:
    """(microseconds of CPU time, period in microseconds) of every quota on the way from this process's group to the top."""
    found: list[tuple[int, int]] = []
    places: list[tuple[Path, tuple[str, ...]]]
    for controllers, group in _groups(root):
        if controllers:  # version 1: a hierarchy for each set of controllers
            places = [
                (root / _MOUNT / name, ("cpu.cfs_quota_us", "cpu.cfs_period_us")) for name in (controllers, "cpu")
            ]
        else:  # version 2: one hierarchy, which may stand beside version 1
            places = [(root / _MOUNT, ("cpu.max",)), (root / _MOUNT / "unified", ("cpu.max",))]
        for mount, names in places:
            # in a container the path may be the host's, of which nothing is mounted but its end
            folders = [mount / group, *(mount / parent for parent in Path(group).parents)]
            found += [quota for folder in folders if (quota := _read(folder, names))]
    return found


def _groups(root: Path) -> list[tuple[str, str]]:
    """(controllers, path without its leading slash) of the groups that this process is in and that can bound its CPU time."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    split = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    return [(names, path.lstrip("/")) for _, names, path in split if not names or "cpu" in names.split(",")]


def _read(folder: Path, names: tuple[str, ...]) -> tuple[int, int] | None:
    """The quota of one group; None where it has none, which is written `max` or -1."""
    try:
        quota, period = " ".join((folder / name).read_text() for name in names).split()
        found = int(quota), int(period)
    except (OSError, ValueError):
        return None
    return found if min(found) > 0 else None
