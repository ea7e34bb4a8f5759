"""Finds the tier that this machine reaches, by starting a zygote and running a program in it, never by reading flags."""

import platform
import sys
from dataclasses import dataclass
from typing import Literal

from selfplay.errors import SandboxUnavailable
from selfplay.sandbox import codec, isolation_plan, judge, syscalls
from selfplay.sandbox.isolation_plan import IsolationPlan
from selfplay.sandbox.jobs import Limits
from selfplay.sandbox.zygote import Refused, Zygote, ZygoteDied

_REMEDIES = {
    "namespaces": "give the container CAP_SYS_ADMIN, or allow user namespaces",
    "user namespace": "allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns=0), or run the container with a seccomp profile that lets `unshare` pass",
    "landlock": "use a kernel from 5.13 with `landlock` among its security modules (boot option lsm=landlock,...)",
    "seccomp": "use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
    "change of user": "keep CAP_SETUID and CAP_SETGID, or run as an ordinary user",
    "platform": "run on Linux (x86_64 or aarch64); on macOS only require_tier=0 works, which isolates nothing",
}


@dataclass(frozen=True)
class Reach:
    """The outcome of trying one tier; `missing` and `reason` are empty where it works."""

    tier: int
    missing: str = ""
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether a program ran at this tier."""
        return not self.missing

    @property
    def remedy(self) -> str:
        """How to get the missing layer."""
        return _REMEDIES.get(self.missing, "see docs/sandbox.md; run `selfplay doctor` for the whole table")


def try_tier(tier: int) -> Reach:
    """Start a zygote at this tier and run one right program in it."""
    if tier and (sys.platform != "linux" or not syscalls.numbers(platform.machine())):
        return Reach(tier, "platform", f"{sys.platform} on {platform.machine()}")
    how = isolation_plan.plan_for(tier)
    if tier == 2 and not how.landlock:
        return Reach(tier, "landlock", "the kernel has none")
    try:
        zygote = Zygote(how, "bare")
    except Refused as error:
        return Reach(tier, error.layer, error.reason)
    except (ZygoteDied, OSError) as error:
        return Reach(tier, "start", str(error))
    try:
        calls = [("f", codec.dump(((20,), {})))]
        zygote.start(judge.message("import heapq\ndef f(x): return x + 22", "calls", Limits(), 1, calls=calls))
        end = zygote.finish()
        verdict = judge.judge_cases(end, judge.read_replies(end, Limits(), 1), [42], 0.0)
    except ZygoteDied as error:
        return Reach(tier, "start", str(error))
    finally:
        zygote.close()
    return (
        Reach(tier) if verdict.status == "passed" else Reach(tier, "self-test", verdict.error or verdict.status.value)
    )


def choose(require: int | Literal["best"], at_most: int = 3) -> IsolationPlan:
    """The plan of the highest tier that works. Raises SandboxUnavailable, which names the missing layer, where that is below `require`."""
    tried: list[Reach] = []
    least = 0 if require == "best" else require
    for tier in range(at_most, -1, -1):
        if tier < least:
            break
        reach = try_tier(tier)
        if reach.holds:
            if require == "best":
                print(f"sandbox: isolation tier {tier} of 3 on this machine", file=sys.stderr)
            return isolation_plan.plan_for(tier)
        tried.append(reach)
    reasons = "; ".join(f"tier {r.tier} lacks {r.missing} ({r.reason}): {r.remedy}" for r in tried)
    raise SandboxUnavailable(f"sandbox: tier {least} is not reachable here: {reasons}; or lower require_tier knowingly")
