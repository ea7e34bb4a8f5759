"""Functions of the user's own as verifiers: found beside the config, judged in a process of their own, and never the end of a run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.check import check_command
from selfplay.errors import ConfigError, OutageError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.runtime.attempts import is_outage
from selfplay.verify import verify
from selfplay.verify.python_function import RAISED, PythonFunction
from selfplay.verify.python_worker import with_folder
from tests.support import ROOT
from tests.support.runs import launch
from tests.support.strangers import CONFIG, folder_of, played

MODULE = """\
import fcntl, json, os, re, signal, stat, sys, time
from selfplay.records import Outcome, Verdict

calls = 0


def counted(task, text):
    global calls
    calls += 1
    return Verdict(verifier="mine/1", outcome=Outcome.PASS, details={"calls": calls, "process": os.getpid()})


def does(task, text):
    return eval(text)


def is_pipe(fd):
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode) and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_WRONLY
    except OSError:
        return False


def forked(task, text):
    if os.fork() == 0:
        return True
    return False


def inner(value):
    return int(value)


def nested(task, text):
    return inner(text) > 3


def loops(task, text):
    while text == "loop":
        pass
    return re.fullmatch("(a+)+b", text) is None  # text of many a: for ever, and it holds the interpreter's lock


def noisy(task, text):
    os.write(1, b"x" * 1_000_000)
    print(text, file=sys.stderr)
    print("\\ud800")
    return sys.stdin.read() == ""


def given(task, text):
    return task.check["floor"] == 90 and task.id == "t" and text == "caf\\u00e9 \\ud800"
"""


def task_of(function: str, **more: Any) -> Task:
    return Task(id="t", prompt="x", check={"type": f"python:{function}", **more})


def judged(verifier: PythonFunction, function: str, *texts: str, **more: Any) -> list[Verdict]:
    task = task_of(function, **more)
    attempts = [Attempt(task_id="t", attempt=n, round=1, text=text) for n, text in enumerate(texts)]
    return verifier.verify([task.check] * len(texts), [task] * len(texts), attempts)


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[PythonFunction]:
    (tmp_path / "mine.py").write_text(MODULE)
    with PythonFunction(tmp_path, seconds=2.0) as verifier:
        yield verifier


def test_function_gets_task_and_text_as_they_are(mine: PythonFunction) -> None:
    [verdict] = judged(mine, "mine:given", "caf\u00e9 \ud800", floor=90)
    assert verdict.outcome is Outcome.PASS and verdict.verifier == "python:mine:given/1"


def test_what_a_module_keeps_lives_from_item_to_item_and_between_batches(mine: PythonFunction) -> None:
    first = judged(mine, "mine:counted", "a", "b")
    second = judged(mine, "mine:counted", "c")
    assert [v.details["calls"] for v in (*first, *second)] == [1, 2, 3]
    assert {v.details["process"] for v in (*first, *second)} != {os.getpid()}
    mine.close()
    assert judged(mine, "mine:counted", "d")[0].details["calls"] == 1, "a closed one starts anew"


@pytest.mark.parametrize("text", ["loop", "a" * 60])
def test_item_that_hangs_is_an_error_by_its_deadline_and_the_next_ones_go_on(mine: PythonFunction, text: str) -> None:
    before, late, after = judged(mine, "mine:loops", "b", text, "b")
    assert (before.outcome, late.outcome, after.outcome) == (Outcome.PASS, Outcome.ERROR, Outcome.PASS)
    assert late.reason == "gave no answer within 2 s (verify.custom_seconds) (mine:loops; task t)"
    assert late.details[RAISED] == "deadline"


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("os._exit(3)", "crash", "its process ended with exit code 3"),
        ("os.kill(os.getpid(), 11)", "crash", "its process was ended by SIGSEGV"),
        ("os.kill(os.getpid(), 9)", "crash", "its process was killed"),
        ("os.closerange(3, 100)", "crash", "its process"),
        (
            "[os.write(fd, b'{}\\n') for fd in range(3, 100) if is_pipe(fd)]",
            "crash",
            "wrote what is no reply to the question",
        ),
        ("sys.exit(0)", "SystemExit", "SystemExit: 0 (mine.py, line 14, in does"),
        ("[].pop()", "IndexError", "IndexError: pop from empty list"),
        ("(_ for _ in ()).throw(MemoryError)", "MemoryError", "MemoryError ("),
        ("(lambda f: f(f))(lambda f: f(f))", "RecursionError", "RecursionError"),
        ("(_ for _ in ()).throw(ValueError('a' * 10**6))", "ValueError", "aaa ..."),
        ("(_ for _ in ()).throw(ValueError('\\x1b[2J\\n\\n.'))", "ValueError", "ValueError: ?[2J ."),
        ("(_ for _ in ()).throw(type('Odd', (Exception,), {'__str__': lambda s: 1})())", "Odd", "Odd ("),
    ],
)
def test_exception_or_crash_is_an_error_of_that_item_alone(
    mine: PythonFunction, text: str, name: str, says: str
) -> None:
    broken, after = judged(mine, "mine:does", text, "True")
    assert broken.outcome is Outcome.ERROR and broken.details[RAISED] == name and says in broken.reason
    assert broken.reason.endswith("; task t)") and len(broken.reason) < 600 and "\n" not in broken.reason
    assert after.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "'maybe'",
            "returned 'maybe' (str), which is no outcome; return one of pass, fail, invalid, abstain, error, True",
        ),
        ("1", "returned 1 (int)"),
        ("0.5", "returned 0.5 (float)"),
        ("{'outcome': 'pass'}", "(dict), which is no outcome"),
        ("'x' * 10**7", "(str), which is no outcome"),
        ("[[]] * 10**6", "(list), which is no outcome"),
        ("type('Odd', (), {'__repr__': lambda s: 1 / 0})()", "(Odd), which is no outcome"),
        ("Verdict(verifier='m', outcome='pass', score=float('nan'))", "with score nan; give one from 0 to 1"),
        ("Verdict(verifier='m', outcome='pass', score=7)", "with score 7"),
        ("Verdict(verifier='m', outcome='pass', reason='x' * 10**7)", "the most is 65536"),
        ("Verdict(verifier='m', outcome='pass', details={'a': float('inf')})", "NaN or an infinity"),
        ("Verdict(verifier='m', outcome='pass', details={'a': object()})", "cannot be read"),
        ("Verdict(verifier='m', outcome='pass', details={'a': 10**5000})", "no JSON"),
        ("Verdict(verifier='m', outcome='pass', details={'a': [0] * 20_000})", "more than 10000 values"),
        ("Verdict(verifier='m', outcome='pass', details=(lambda d: d.update(a=d) or d)({}))", "deeper than 20 levels"),
        ("Verdict.model_construct(verifier='m', outcome='good', details={})", "whose outcome cannot be used"),
    ],
)
def test_value_that_is_no_verdict_is_an_error_of_that_item_alone(mine: PythonFunction, text: str, says: str) -> None:
    broken, after = judged(mine, "mine:does", text, "True")
    assert broken.outcome is Outcome.ERROR and says in broken.reason and len(broken.reason) < 600
    assert broken.details[RAISED] == "no outcome" and "task t)" in broken.reason
    assert after.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("True", Outcome.PASS),
        ("False", Outcome.FAIL),
        ("None", Outcome.ABSTAIN),
        ("'invalid'", Outcome.INVALID),
        ("Outcome.FAIL", Outcome.FAIL),
        ("__import__('numpy').bool_(True)", Outcome.PASS),
        ("__import__('numpy').all([1, 0])", Outcome.FAIL),
    ],
)
def test_every_allowed_answer_is_taken(mine: PythonFunction, text: str, outcome: Outcome) -> None:
    assert judged(mine, "mine:does", text)[0].outcome is outcome


def test_whole_verdict_crosses_with_all_its_fields(mine: PythonFunction) -> None:
    text = (
        "Verdict(verifier='m/2', outcome='fail', score=0.5, evidence='e', reason='r', details={'a': [1, {'b': None}]})"
    )
    [verdict] = judged(mine, "mine:does", text)
    assert verdict == Verdict(
        verifier="m/2", outcome=Outcome.FAIL, score=0.5, evidence="e", reason="r", details={"a": [1, {"b": None}]}
    )


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        ("ConnectionRefusedError('no')", True),
        ("TimeoutError()", True),
        ("OSError(101, 'Network is unreachable')", True),
        ("__import__('socket').gaierror(-2, 'Name or service not known')", True),
        ("__import__('urllib.error').error.URLError('down')", True),
        ("__import__('urllib.error').error.HTTPError('u', 503, 'busy', {}, None)", True),
        ("__import__('urllib.error').error.HTTPError('u', 404, 'gone', {}, None)", False),
        ("__import__('selfplay.errors').errors.OutageError('teacher')", True),
        ("FileNotFoundError(2, 'gone')", False),
        ("PermissionError()", False),
        ("__import__('subprocess').TimeoutExpired('cmd', 3)", False),
        ("ValueError('97.')", False),
    ],
)
def test_only_a_service_that_is_down_is_an_outage(mine: PythonFunction, error: str, outage: bool) -> None:
    task = task_of("mine:does")
    attempt = Attempt(task_id="t", attempt=0, round=1, text=f"(_ for _ in ()).throw({error})")
    [found] = verify([task], [attempt], {"python": mine})
    assert found.outcome is Outcome.ERROR and is_outage(found) is outage


def test_exception_raised_from_one_that_says_a_service_is_down_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def told(task, text):\n    try:\n        raise ConnectionResetError('grader')\n"
        "    except OSError as error:\n        raise RuntimeError('no grade') from error\n\n\n"
        "def hid(task, text):\n    try:\n        raise ConnectionResetError('grader')\n"
        "    except OSError:\n        return int('97.')\n"
    )
    with PythonFunction(tmp_path) as verifier:
        assert RAISED not in judged(verifier, "mine:told", "x")[0].details
        assert judged(verifier, "mine:hid", "x")[0].details[RAISED] == "ValueError"


def test_child_that_a_function_forks_answers_for_nobody(mine: PythonFunction) -> None:
    words = judged(mine, "mine:forked", *"abcdefgh")
    assert {verdict.outcome for verdict in words} == {Outcome.FAIL}


def test_reason_names_the_deepest_line_of_the_users_own_file(mine: PythonFunction) -> None:
    [verdict] = judged(mine, "mine:nested", "97.")
    assert verdict.reason == (
        "ValueError: invalid literal for int() with base 10: '97.' (mine.py, line 31, in inner; task t)"
    )
    [verdict] = judged(mine, "mine:does", "json.loads('{')")
    assert verdict.reason.endswith("(mine.py, line 14, in does; task t)"), "not a line of the library"


def test_what_it_prints_and_reads_disturbs_nobody(mine: PythonFunction, capfd: pytest.CaptureFixture[str]) -> None:
    assert judged(mine, "mine:noisy", "\ud800")[0].outcome is Outcome.PASS
    assert capfd.readouterr() == ("", "")


def test_each_kind_is_told_apart_and_every_item_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    told: list[tuple[str, str]] = []
    with PythonFunction(tmp_path, say=lambda kind, text: told.append((kind, text))) as verifier:
        judged(verifier, "mine:nested", "a", "b", "4")
        judged(verifier, "mine:does", "[].pop()")
    assert len(told) == 3 and len({kind for kind, _ in told}) == 2
    assert "verifier python:mine:nested: ValueError: invalid literal" in told[0][1]


# ---- where it is found ----


def test_module_beside_the_config_takes_no_librarys_place(tmp_path: Path) -> None:
    for name in ("json", "checks", "verify", "statistics", "selfplay", "pydantic"):
        (tmp_path / f"{name}.py").write_text(
            "import random, statistics\nfrom helper import same\n\n\ndef grade(task, text):\n    return same(text, __file__)\n"
        )
    (tmp_path / "helper.py").write_text("def same(text, file):\n    return file.endswith('/' + text)\n")
    with PythonFunction(tmp_path) as verifier:
        for name in ("json", "checks", "verify", "statistics", "selfplay", "pydantic"):
            assert judged(verifier, f"{name}:grade", f"{name}.py")[0].outcome is Outcome.PASS, name
    assert str(tmp_path) not in sys.path and "checks" not in sys.modules


def test_package_beside_the_config_may_import_relatively(tmp_path: Path) -> None:
    (tmp_path / "logging").mkdir()
    (tmp_path / "logging/__init__.py").touch()
    (tmp_path / "logging/words.py").write_text("GOOD = 'good'\n")
    (tmp_path / "logging/grade.py").write_text(
        "from .words import GOOD\n\n\nclass Grader:\n    @staticmethod\n    def grade(task, text):\n        return text == GOOD\n"
    )
    with PythonFunction(tmp_path) as verifier:
        assert judged(verifier, "logging.grade:Grader.grade", "good")[0].outcome is Outcome.PASS


def test_folder_stands_behind_the_standard_library_and_before_what_is_installed() -> None:
    library = str(Path(os.__file__).parent)
    path = ["/here", library, f"{library}/lib-dynload", f"{library}/site-packages"]
    assert with_folder(path, "/config") == [*path[:3], "/config", path[3]]
    assert with_folder(path, None) == path and with_folder(path, "/here") == path


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (None, r"cannot be imported \(ModuleNotFoundError: No module named 'mine'\); .*PYTHONPATH or into "),
        ("def grade(:\n", r"cannot be imported \(SyntaxError: .*; mine.py, line 1\)"),
        ("import no_such_library\n", r"ModuleNotFoundError: No module named 'no_such_library'; mine.py, line 1\)"),
        ("x = 1\nraise ValueError('no key')\n", r"ValueError: no key; mine.py, line 2\)"),
        ("raise SystemExit(4)\n", r"SystemExit: 4; mine.py, line 1\)"),
        ("import os\nos._exit(4)\n", "while mine was imported, its process ended with exit code 4; correct the module"),
        ("def other(): ...\n", r"AttributeError: .*no attribute 'grade'"),
        ("grade = 3\n", "is int, which cannot be called; name a function"),
    ],
)
def test_function_that_cannot_be_imported_is_a_fault_of_the_set_up(
    tmp_path: Path, module: str | None, says: str
) -> None:
    if module is not None:
        (tmp_path / "mine.py").write_text(module)
    with PythonFunction(tmp_path) as verifier, pytest.raises(ConfigError, match=says):
        verifier.load("python:mine:grade")


def test_process_that_does_not_start_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.verify.python_function.WORKER", "selfplay.no_such_module")
    with PythonFunction(tmp_path) as verifier, pytest.raises(OutageError, match="did not start"):
        judged(verifier, "mine:grade", "x")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("97", "pass"), ("It is 97.", "pass"), ("91", "fail"), ("89", "fail"), ("none", "invalid"), ("\u00b2", "invalid")],
)
def test_verifier_of_the_readme_judges_what_a_student_may_write(tmp_path: Path, text: str, outcome: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [module] = [part for part in readme.split("```python\n")[1:] if part.startswith("# checks.py")]
    (tmp_path / "my_checks.py").write_text(module.partition("```")[0])
    with PythonFunction(tmp_path) as verifier:
        [verdict] = judged(verifier, "my_checks:prime_above", text, floor=90)
    assert verdict.outcome.value == outcome, verdict.reason


# ---- its end ----


@pytest.mark.parametrize("busy", ["while True: pass", "import time; time.sleep(600)", "pow(7, 10**10)"])
def test_parent_that_is_killed_leaves_no_process_behind(tmp_path: Path, busy: str) -> None:
    (tmp_path / "mine.py").write_text(
        f"import os, pathlib\n\n\ndef grade(task, text):\n    pathlib.Path(text).write_text(str(os.getpid()))\n    {busy}\n"
    )
    program = (
        "import sys\nfrom pathlib import Path\nfrom selfplay.records import Attempt, Task\n"
        "from selfplay.verify.python_function import PythonFunction\nfolder = Path(sys.argv[1])\n"
        "task = Task(id='t', prompt='x', check={'type': 'python:mine:grade'})\n"
        "attempt = Attempt(task_id='t', attempt=0, round=1, text=str(folder / 'pid'))\n"
        "PythonFunction(folder, 3600).verify([task.check], [task], [attempt])\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        process = int(awaited(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""))
        assert alive(process)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert awaited(lambda: not alive(process))


def awaited(condition: Any) -> Any:
    """The first true value, asked again and again for a minute."""
    for _ in range(1200):
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it never came")


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_process_that_is_gone_between_two_items_is_started_again(mine: PythonFunction) -> None:
    first = judged(mine, "mine:counted", "a")[0].details["process"]
    os.kill(first, signal.SIGKILL)
    awaited(lambda: not alive(first))
    [again] = judged(mine, "mine:counted", "b")
    assert again.outcome is Outcome.PASS and again.details["process"] != first


# ---- in a run ----

CHECKS = """\
def grade(task, text):
    if task.id == "t5":
        raise ConnectionError("down") if "service" in text else KeyError(text)
    return int(text) == task.check["value"]
"""


def tasks_of(count: int = 8) -> list[dict[str, Any]]:
    return [
        {
            "id": f"t{n}",
            "prompt": f"{n} + 90\n",
            "verifier": {"type": "python:my_checks:grade", "value": n + 90},
            "reference": str(n + 90),
        }
        for n in range(count)
    ]


REPLIES = {f"t{n}": f"{n + 90}" for n in range(8)} | {"t6": "96.", "t7": "97."}


@pytest.mark.parametrize("more", ["", pytest.param("phase_subprocess: true\n", marks=pytest.mark.prove)])
def test_run_with_a_careless_verifier_ends_and_says_task_function_and_line_once(tmp_path: Path, more: str) -> None:
    folder = folder_of(tmp_path / "own", tasks_of(), REPLIES, config=CONFIG + more)
    (folder / "my_checks.py").write_text(CHECKS)
    for name in ("json", "random", "verify"):
        (folder / f"{name}.py").write_text("raise RuntimeError('this is no library')\n")
    ended = played(folder)
    assert ended.code == 0, ended.said
    said = "ValueError: invalid literal for int() with base 10: '97.' (my_checks.py, line 4, in grade; task t7)"
    other = said.replace("97.", "96.").replace("t7", "t6")
    assert (said in ended.said) + (other in ended.said) == 1, ended.said
    assert "verify: 4 attempts of this round without an outcome: ValueError of python:my_checks:grade" in ended.said
    row = ended.rows()[1]
    assert row["data/outcome_error"] >= 4 and row["data/accepted"] > 0
    assert "Traceback" not in ended.said


def test_two_ranks_find_the_function_and_one_of_them_says_what_it_raised(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "own", tasks_of(), REPLIES, config=CONFIG.replace("{samples: 2,", "{samples: 2, chunk_tasks: 1,")
    )
    (folder / "my_checks.py").write_text(CHECKS)
    (tmp_path / "elsewhere").mkdir()
    done = launch(
        tmp_path / "elsewhere",
        2,
        [str(ROOT / "scripts" / "run.py")],
        str(folder / "config.yaml"),
        "--runs-dir",
        str(tmp_path / "runs"),
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("ValueError: invalid literal") == 1, done.stderr


@pytest.mark.prove
def test_same_run_goes_on_with_more_time_for_the_function(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", tasks_of(4), REPLIES)
    (folder / "my_checks.py").write_text(
        "import time\n\n\ndef grade(task, text):\n    time.sleep(3 if task.id == 't1' else 0)\n    return True\n"
    )
    ended = played(folder, "run", "verify.custom_seconds=1")
    assert ended.code == 0, ended.said
    assert "gave no answer within 1 s (verify.custom_seconds) (my_checks:grade; task t1)" in ended.said
    more = played(folder, "run", "verify.custom_seconds=300", "rounds=2")
    assert more.code == 0 and "gave no answer" not in more.said, more.said
    assert [row.get("data/outcome_error") for row in more.rows()] == [None, 2, None]


# ---- selfplay check ----


def test_check_says_what_a_function_raised_and_where_and_is_content_where_it_judges_all_the_same(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "own", tasks_of(4), {})
    (folder / "my_checks.py").write_text(CHECKS)
    ended = played(folder, "check")
    assert ended.code == 0, ended.said
    assert "python:my_checks:grade: no verdict in 4 of 8 tries: ValueError: invalid literal" in ended.said
    assert "(my_checks.py, line 4, in grade; task t0)" in ended.said


@pytest.mark.parametrize("referenced", [True, False])
def test_check_refuses_a_function_that_never_judges(tmp_path: Path, referenced: bool) -> None:
    rows = tasks_of(4) if referenced else [{k: v for k, v in row.items() if k != "reference"} for row in tasks_of(4)]
    folder = folder_of(tmp_path / "own", rows, {})
    (folder / "my_checks.py").write_text("def grade(text):\n    return True\n")
    ended = played(folder, "check")
    assert ended.code == 1
    assert (
        "TypeError: grade() takes 1 positional argument but 2 were given (my_checks.py, line 1, in grade; task"
        in ended.said
    )
    assert "python:my_checks:grade is not sound: it gave no verdict in any try" in ended.said
    told = json.loads(played(folder, "check", "--json").said)
    assert told["functions"][0]["kind"] == "python:my_checks:grade"


def wrong(folder: Path, returns: str, capsys: pytest.CaptureFixture[str], **check: Any) -> str:
    """What `selfplay check` says of a function on line 2 that returns the same on every reply."""
    rows = [{**row, "verifier": {**row["verifier"], **check}} for row in tasks_of(12)]
    own = folder_of(
        folder / "own", [{k: v for k, v in row.items() if k != "reference"} for row in rows[:-1]] + rows[-1:], {}
    )
    (own / "my_checks.py").write_text(f"import re\ndef grade(task, text):\n    return {returns}\n")
    check_command(own / "config.yaml", [], as_json=False)
    said = capsys.readouterr()
    return said.err + said.out


def test_check_names_task_line_function_and_near_miss_of_a_function_that_passes_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = wrong(tmp_path, "True", capsys, near_misses=["nine", "10"])
    assert (
        "tasks.jsonl:1: task 't0': near miss 0 is judged pass by python:my_checks:grade (my_checks.py, line 2): \"nine\"; "
        "correct the function, or remove the near miss if it is right" in said
    )
    assert (
        'python:my_checks:grade (my_checks.py, line 2) judged all 15 tries pass, "", "42", "I do not know." among them'
        in said
    )


def test_check_shows_the_reference_that_a_function_fails_and_the_tasks_that_lack_near_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = wrong(tmp_path, "'invalid'", capsys)
    assert (
        "tasks.jsonl:12: task 't11': the gold answer is judged invalid by python:my_checks:grade (my_checks.py, line 2): \""
        in said
    )
    assert (
        "12 tasks have no near miss, so it is not tested that a wrong reply fails; give near_misses: t0 (tasks.jsonl:1), "
        in said
    )
    assert "11 tasks have no reference and no answer" in said and "t4 (tasks.jsonl:5), ...\n" in said


def test_check_refuses_a_function_that_cannot_be_imported(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", tasks_of(4), {})
    ended = played(folder, "check")
    assert ended.code == 2 and "No module named 'my_checks'" in ended.said and str(folder) in ended.said
