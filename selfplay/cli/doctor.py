"""`selfplay doctor`: prints versions, devices, the sandbox tier of this machine, and the mode of W&B."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from selfplay.cores import usable_cores
from selfplay.models.vllm import installed
from selfplay.sandbox import Executor, IOTests, Job, Limits
from selfplay.sandbox.probe import Reach, try_tier

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "wandb", "numpy", "pyarrow", "pydantic")
_TESTS = IOTests("solve", [((3,), 16), ((5,), 32)])
_SOLVE = "\ndef solve(n):\n    act()\n    return n * n + 7\n"
# each program returns right answers only if its forbidden action succeeded
_ATTACKS = {
    "read a file": "def act(): open('/etc/passwd').read()" + _SOLVE,
    "write a file": "def act(): open('/tmp/selfplay-doctor', 'w').write('x')" + _SOLVE,
    "open a socket": "import socket\ndef act(): socket.socket().connect(('127.0.0.1', 9))" + _SOLVE,
    "start a process": "import os\ndef act():\n    if os.fork() == 0: os._exit(0)" + _SOLVE,
    "run a shell": "import os\ndef act():\n    if os.system('true'): raise OSError" + _SOLVE,
    "equal everything": "class A:\n    def __eq__(self, other): return True\ndef solve(n): return A()\n",
    "exit with 0": "import os\nos._exit(0)\n",
    "write the verdict": "import os\nos.write(3, b'[0,true,null]\\n' * 2 + b'[9]\\n')\nos._exit(0)\n",
}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "kernel": platform.release(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _devices() -> dict[str, Any]:
    found: dict[str, Any] = {"cores": usable_cores(), "cuda": 0}
    if importlib.util.find_spec("torch") is not None and (
        shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()
    ):
        import torch

        found["cuda"] = torch.cuda.device_count()
        found["names"] = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
    return found


def _attacks(tier: int) -> list[str]:
    """Names of the attacks that succeeded at this tier, and `right program` if a right program did not pass."""
    limits = Limits(cpu_seconds=1.0, wall_seconds=2.0)
    jobs = [Job(name, code, _TESTS, limits) for name, code in _ATTACKS.items()]
    jobs.append(Job("right program", "def solve(n): return n * n + 7\n", _TESTS, limits))
    with Executor(workers=1, require_tier=tier, at_most=tier) as executor:
        results = executor.run(jobs)
    through = [result.id for result in results[:-1] if result.passed is not False]
    return through + ([] if results[-1].passed else [results[-1].id])


def _sandbox() -> dict[str, Any]:
    reaches: list[Reach] = [try_tier(tier) for tier in (3, 2, 1, 0)]
    best = next((reach.tier for reach in reaches if reach.holds), -1)
    table = [
        {
            "tier": r.tier,
            "holds": r.holds,
            "missing": r.missing,
            "reason": r.reason,
            "remedy": r.remedy if r.missing else "",
        }
        for r in reaches
    ]
    return {
        "tier": best,
        "probes": table,
        "attacks": len(_ATTACKS),
        "got_through": _attacks(best) if best >= 0 else ["not run"],
    }


def _tracking() -> str:
    """The mode of W&B by the environment variables, without contacting W&B."""
    mode = os.environ.get("WANDB_MODE", "")
    if mode:
        return mode
    return "online, a key is set" if os.environ.get("WANDB_API_KEY") else "online if logged in (WANDB_MODE is not set)"


def doctor(as_json: bool) -> int:
    """Prints what this machine supports. Returns 0 if tier 2 works, no attack succeeded and no package is missing; otherwise 1."""
    report: dict[str, Any] = {
        "versions": _versions(),
        "devices": _devices(),
        "sandbox": _sandbox(),
        "wandb": _tracking(),
        "vllm": installed(),
    }
    sandbox = report["sandbox"]
    missing = [name for name, version in report["versions"].items() if version == "missing"]
    good = sandbox["tier"] >= 2 and not sandbox["got_through"] and not missing
    report["good"] = good
    if as_json:
        print(json.dumps(report, indent=1))
        return 0 if good else 1
    print("versions   " + ", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    print("devices    " + ", ".join(f"{name} {value}" for name, value in report["devices"].items()))
    print(f"wandb      {report['wandb']}")
    print(f"vllm       {report['vllm']}")
    for row in sandbox["probes"]:
        print(
            f"tier {row['tier']}     "
            + ("holds" if row["holds"] else f"lacks {row['missing']} ({row['reason']}): {row['remedy']}")
        )
    through = ", ".join(sandbox["got_through"]) or "none"
    print(f"sandbox    tier {sandbox['tier']} of 3; {sandbox['attacks']} attacks tried, got through: {through}")
    print(
        "good"
        if good
        else "not good: "
        + "; ".join(
            filter(None, [f"missing {missing}" * bool(missing), "see the sandbox lines" * (sandbox["tier"] < 2)])
        )
    )
    return 0 if good else 1
