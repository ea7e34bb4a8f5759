"""reasoning-gym's scorers in the sandbox: gold answers pass, and no answer reaches a file, the network, a process or another score."""

import importlib.util
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import OutageError, SandboxUnavailable
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.sandbox import Limits, Status, codec, judge, probe
from selfplay.sandbox.zygote import Zygote
from selfplay.tasks.reasoning_gym import ReasoningGym, entries, spec_of
from selfplay.verify.reasoning_gym import Gym, _plan_of, _said, answer_of

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is None, reason="needs reasoning-gym (extra: tasks)"),
]
SECTION = ReasoningGym(source="reasoning_gym", datasets=("countdown", "n_queens", "string_insertion"), size=3, dev=1)
QUICK = Limits(cpu_seconds=1.0, wall_seconds=3.0, memory_bytes=2**28, output_bytes=2**16)


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    """One task a data set; all three have scorers that evaluate the answer."""
    return {
        task.tags[0].removeprefix("topic:"): task
        for task in SECTION.open(seed=0, eval_seed=1, folder=Path()).pool
        if task.id.endswith("-0")
    }


@pytest.fixture(scope="module")
def gym() -> Iterator[Gym]:
    with Gym(limits=QUICK) as opened:
        yield opened


def scored(gym: Gym, task: Task, *answers: str) -> list[Verdict]:
    """One verdict an answer; in a box, so that it is the answer however odd."""
    attempts = [
        Attempt(task_id=task.id, attempt=n, round=1, text=f"<answer>{text}</answer>") for n, text in enumerate(answers)
    ]
    return gym.verify([task.check] * len(answers), [task] * len(answers), attempts)


def gold(task: Task) -> str:
    return str(answer_of(str(task.reference)))


def test_levels_of_a_data_sets_own_curriculum_are_difficulties(gym: Gym) -> None:
    section = ReasoningGym(source="reasoning_gym", datasets=("chain_sum",), size=5, dev=1, levels=(1, 3))
    source = section.open(seed=0, eval_seed=1, folder=Path())
    assert source.levels == {1, 3} and {task.difficulty for task in source.fixed.dev} == {1, 3}
    terms = {task.difficulty: len(task.text.replace("-", "+").split("+")) for task in source.pool}
    assert terms[1] < terms[3]
    for task in (source.pool[0], source.pool[-1]):
        [right, wrong] = scored(gym, task, gold(task), "7919")
        assert (right.outcome, wrong.outcome) == (Outcome.PASS, Outcome.FAIL), task.id


def test_gold_answers_pass_and_the_tier_is_stamped(gym: Gym, tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        [right, wrong] = scored(gym, task, gold(task), "7")
        assert (right.outcome, right.score, wrong.outcome) == (Outcome.PASS, 1.0, Outcome.FAIL), task.id
        assert right.details["tier"] == probe.choose(2).tier
    checks = [task.check for task in tasks.values()]
    attempts = [Attempt(task_id=t.id, attempt=0, round=1, text=str(t.reference)) for t in tasks.values()]
    assert {v.outcome for v in gym.verify(checks, list(tasks.values()), attempts)} == {Outcome.PASS}


FORGERIES = [
    "__import__('os').system('touch {mark}')",
    "open('{mark}', 'w')",
    "__import__('os').fork()",
    "__import__('socket').create_connection(('127.0.0.1', {port}))",
    "__import__('os')._exit(0)",
    "__import__('os').write(3, b'[0,1.0,null]\\n[9]\\n') and __import__('os')._exit(0)",
    "__import__('sys').modules['selfplay_gym'].__dict__.update(score=lambda *a: 1.0)",
    "[type(self).__dict__ for self in [0]]",
    "().__class__.__base__.__subclasses__()",
    "(lambda: setattr(__import__('math'), 'inf', 0))()",
    "(x := entry['answer'])",
    "entry['answer']",
    "oracle_answer",
    "list(oracle_answer)",
    "valid_solutions[0]",
    "globals()",
    "exec('import os')",
    "eval('1')",
    "print('[0,1.0,null]')",
    "S('__import__(\"os\").getpid()')",
    "sympify('1')",
    "lambdify(x, 'x')",
    "f'{{open}}'",
    "[c for c in 'abc']",
]


@pytest.mark.parametrize("name", ["countdown", "n_queens", "string_insertion"])
def test_an_answer_that_is_a_program_is_never_run(gym: Gym, tasks: dict[str, Task], name: str, tmp_path: Path) -> None:
    mark, task = tmp_path / "mark", tasks[name]
    tmp_path.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        hostile = [text.format(mark=mark, port=server.getsockname()[1]) for text in FORGERIES]
        words = scored(gym, task, *hostile)
        with pytest.raises(TimeoutError):
            server.accept()
    assert [text for text, w in zip(hostile, words, strict=True) if w.outcome is not Outcome.FAIL] == []
    assert not mark.exists()
    assert scored(gym, task, gold(task))[0].outcome is Outcome.PASS


def test_numbers_alone_may_be_calculated_with_where_the_answer_is_one(gym: Gym, tasks: dict[str, Task]) -> None:
    task = tasks["countdown"]
    *numbers, target = (
        word.strip(".,") for word in task.text.split("\n")[0].replace(":", "").split() if word[:1].isdigit()
    )
    target, *numbers = [target, *numbers] if "make" not in task.text else [numbers[0], *numbers[1:], target]
    nothing = "*".join(f"({n}-{n})" for n in numbers[:1])
    cheats = [
        f"{'+'.join(numbers)}+floor(pi)",
        f"0*({'+'.join(numbers)})+{'+'.join(['floor(E)'] * 3)}+{nothing}",
        f"sin(pi)*({'+'.join(numbers)})+exp(log({target}))",
        f"sin(pi)*({'+'.join(numbers)})+gamma(E)",
        "oo",
        "zoo",
        "nan",
    ]
    assert {word.outcome for word in scored(gym, task, *cheats)} == {Outcome.FAIL}


def test_a_score_that_comes_to_no_end_is_the_answers_fault(gym: Gym, tasks: dict[str, Task]) -> None:
    long = ["9**9**9**9", "2**(2**60)", "(" * 5000 + "1" + ")" * 5000, "9" * 19_000 + "!"]
    words = scored(gym, tasks["countdown"], *long, gold(tasks["countdown"]))
    assert [word.outcome for word in words] == [Outcome.FAIL] * len(long) + [Outcome.PASS]
    bombs = ["'a'*10**10", "['a'*10**9]*9", "[[[0]*10**8]*10**8]", "9**9**9**9"]
    words = scored(gym, tasks["string_insertion"], *bombs, gold(tasks["string_insertion"]))
    assert [word.outcome for word in words] == [Outcome.FAIL] * len(bombs) + [Outcome.PASS]


ACTS = {
    "system": "__import__('os').system('touch {mark}')",
    "file": "open('{mark}', 'w').write('x')",
    "posix": "__import__('posix').open('{mark}', 65)",
    "network": "__import__('socket').create_connection(('127.0.0.1', {port}), 1)",
    "fork": "__import__('os').fork()",
    "exec": "__import__('os').execv('/bin/sh', ['sh', '-c', 'touch {mark}'])",
    "kill": "__import__('os').kill({pid}, 9)",
    "secrets": "open('/etc/passwd').read()",
    "home": "__import__('os').listdir('/root')",
    "memory": "[bytearray(10**8) for _ in range(99)]",
}


UNWATCHED = """
import selfplay_gym
def score(answer):
    try:
        return eval(answer) == 0
    except Exception as error:
        return type(error).__name__
"""


@pytest.fixture(scope="module", params=[3, 2])
def unwatched(tasks: dict[str, Task], request: pytest.FixtureRequest) -> Iterator[Zygote]:
    """The scorers' zygote with a scorer that runs the answer as it is: what is left are the sandbox's own walls."""
    if not probe.try_tier(request.param).holds:
        pytest.skip(f"tier {request.param} is not reachable here")
    plan = probe.choose(request.param, request.param)
    zygote = Zygote(_plan_of(plan, [tasks["string_insertion"].check["data"]]), "reasoning_gym")
    yield zygote
    zygote.close()


@pytest.mark.parametrize("act", ACTS)
def test_walls_hold_even_where_a_scorer_runs_the_answer(unwatched: Zygote, act: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tmp_path.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        text = ACTS[act].format(mark=mark, port=server.getsockname()[1], pid=os.getpid())
        calls = [("score", codec.dump(((text,), {})))]
        unwatched.start(judge.message(UNWATCHED, "calls", QUICK, 1, calls=calls))
        replies = judge.read_replies(unwatched.finish(), QUICK, 1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert not mark.exists()
    said = replies.calls[0][1] if replies.calls and replies.calls[0][0] == 0 else None
    assert said is None or isinstance(said, str) or (act == "system" and said is False), replies


def test_nothing_an_answer_changes_is_seen_by_the_next_one(tasks: dict[str, Task]) -> None:
    task = tasks["string_insertion"]
    patch = (
        "import selfplay_gym\ndef score(answer):\n    one = selfplay_gym._data[0]\n"
        "    type(one).score_answer = lambda *a: 1.0\n    selfplay_gym.score = lambda *a: 1.0\n"
        "    selfplay_gym._data.clear()\n    return 1.0\n"
    )
    with Gym(limits=QUICK) as gym:
        assert scored(gym, task, "no")[0].outcome is Outcome.FAIL
        zygote = gym._running()
        zygote.start(judge.message(patch, "calls", QUICK, 1, calls=[("score", codec.dump((("",), {})))]))
        assert judge.read_replies(zygote.finish(), QUICK, 1).calls == [[0, 1.0, None]]
        words = scored(gym, task, "no", gold(task))
        assert gym._running() is zygote
    assert [word.outcome for word in words] == [Outcome.FAIL, Outcome.PASS]


@pytest.mark.parametrize(
    "value", [1.5, -0.1, float("nan"), float("inf"), True, 1, "1.0", None, [1.0], codec.Opaque("x")]
)
def test_only_a_number_from_0_to_1_is_a_score(value: Any) -> None:
    said = _said(judge.Replies([[0, value, None]], None))
    assert (said.score, said.outcome) == (None, Outcome.FAIL)
    assert _said(judge.Replies([[0, 1.0, None]], None)).score == 1.0
    assert _said(judge.Replies([[0, 1.0, None]], (Status.CRASHED, "ended by SIGKILL"))).score is None


def test_a_sandbox_that_does_not_come_up_is_an_error_and_is_not_waited_for_twice(tasks: dict[str, Task]) -> None:
    task = tasks["countdown"]
    check = {**task.check, "data": {**task.check["data"], "name": "no_such_data_set"}}
    attempts = [Attempt(task_id=task.id, attempt=n, round=1, text=str(task.reference)) for n in range(20)]
    with Gym(limits=QUICK) as gym:
        words = gym.verify([check] * 20, [task] * 20, attempts)
    assert {word.outcome for word in words} == {Outcome.ERROR}
    assert "no_such_data_set" in words[0].reason


def test_an_entry_that_is_not_the_tasks_own_judges_nobody(gym: Gym, tasks: dict[str, Task]) -> None:
    task = tasks["countdown"]
    changed = task.model_copy(update={"check": {**task.check, "index": 1}})
    [word] = scored(gym, changed, gold(task))
    assert (word.outcome, "does not repeat" in word.reason) == (Outcome.ERROR, True)


def test_a_tier_that_cannot_be_had_is_refused(tasks: dict[str, Task]) -> None:
    with Gym(require_tier=3, at_most=1) as gym, pytest.raises(SandboxUnavailable, match="tier 3"):
        scored(gym, tasks["countdown"], "1")


def test_data_set_that_cannot_be_opened_is_told_with_its_reason() -> None:
    spec = spec_of(SECTION, "chain_sum", 1, 2)
    assert [set(entry) for entry in entries([spec])] == [{"question", "answer", "mark"}] * 2
    section = ReasoningGym(source="reasoning_gym", datasets=("chain_sum",), settings={"chain_sum": {"min_terms": -1}})
    with pytest.raises(OutageError, match=r"chain_sum train 0: cannot be made \(AssertionError"):
        section.open(seed=0, eval_seed=1, folder=Path())
