"""The tests of a real vLLM on the CPU, with the time of each: `python benchmarks/vllm_cpu.py OUT.json [JUNIT.xml ...]`.

Runs tests/test_vllm_real.py, or reads the reports of runs of its parts. It needs an environment with vLLM (scripts/vllm_cpu_env.py).
"""

import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from selfplay.cores import usable_cores
from selfplay.models.vllm import engine_python, version_of

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Writes OUT.json."""
    out, reports = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as scratch:
        if not reports:
            reports = [Path(scratch) / "junit.xml"]
            tests = [str(ROOT / "tests" / "test_vllm_real.py"), "--junitxml", str(reports[0])]
            subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT, check=False)
        cases = [case for report in reports for case in ET.parse(report).iter("testcase")]
    rows = [
        {
            "test": case.get("name"),
            "seconds": round(float(case.get("time", "0")), 1),
            "outcome": next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"),
        }
        for case in cases
    ]
    found = {"vllm": version_of(engine_python()), "cores": usable_cores(), "load": os.getloadavg()[1], "tests": rows}
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{out}: {sum(row['outcome'] == 'passed' for row in rows)} of {len(rows)} passed")


if __name__ == "__main__":
    main()
