"""The registry of metrics: one file and one line are enough to add one, and each has its definition."""

import sys
from pathlib import Path

import pytest

from selfplay.config.headline import ORDER, OTHERS, headline, headline_first
from selfplay.config.metrics import definition, definitions, is_headline, title
from selfplay.config.registry import METRICS
from selfplay.runtime.metrics import measure
from selfplay.runtime.metrics.base import rounded
from selfplay.tracking import Tracker
from tests.support.metrics import view
from tests.support.wandb_files import rows_of

ANSWER_WORDS = '''
"""How many words an answer has."""

from typing import ClassVar

from selfplay.collapse import mean_of
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import Measured, Metric, RoundView, interval


class AnswerWords(Metric):
    """`answers/words` and `answers/words_first`."""

    definitions: ClassVar = {
        "answers/words": Definition(
            "Words per answer",
            "Mean number of words in a greedy answer on the dev set.",
            "Mean over tasks with a 95 % interval.",
            "words, 0 or more",
            headline=True,
        ),
        "answers/words_first": Definition("Words at round 0", "The same of round 0.", "As kept.", "words, 0 or more"),
    }

    def compute(self, view: RoundView) -> Measured:
        """Keeps the mean of round 0."""
        mean = mean_of([len(row["text"].split()) for row in view.rows("dev")])
        first = {} if view.baseline is None else {"answers/words_first": view.baseline["answer_words"]}
        return Measured(interval("answers/words", mean) | first, {"answer_words": mean.value})
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric of one's own: a file, and a line in the registry."""
    (tmp_path / "answer_words.py").write_text(ANSWER_WORDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(METRICS.places, "answer_words", "answer_words:AnswerWords")  # type: ignore[arg-type]


def rows(*texts: str) -> list[dict[str, object]]:
    return [{"part": "dev", "task_id": f"t{n}", "outcome": "pass", "text": text} for n, text in enumerate(texts)]


@pytest.mark.usefixtures("added")
def test_a_metric_of_ones_own_is_computed_defined_and_sent(tmp_path: Path) -> None:
    first, kept = measure(view(rows("one two", "one two three four")))
    later, _ = measure(view(rows("one", "one two three"), kept))
    assert first["answers/words"] == 3.0 and "answers/words_first" not in first
    assert (later["answers/words"], later["answers/words_first"]) == (2.0, 3.0)
    assert "answers/words_lo" not in later, "two tasks give no interval"
    assert title("answers/words") == "Words per answer" and is_headline("answers/words")
    with Tracker(tmp_path, {}, privacy="none", system_metrics=False) as tracker:
        tracker.log_round({"round": 1, **later})
    assert {key: value for key, value in rows_of(tmp_path)[0].items() if "words" in key} == {"answers/words": 2.0}
    assert headline()[OTHERS] == ["answers/words"], "a prefix of one's own comes last"
    sys.modules.pop("answer_words", None)


def test_the_definition_of_a_key_is_its_own_or_the_first_pattern_that_fits() -> None:
    assert definition("answers/words") is None, "it was registered only for another test"
    assert definition("eval/pass_at_1") is definitions()["eval/pass_at_1"]
    assert definition("eval/pass_at_16") is definitions()["eval/pass_at_*"]
    assert definition("eval_difficulty/3") is definitions()["eval_*/*"]
    assert not is_headline("eval/pass_at_16") and not is_headline("eval/pass_at_1_lo")


def test_a_figure_that_is_not_a_number_names_its_key() -> None:
    with pytest.raises(ValueError, match="metric answers/words is nan; leave it out"):
        rounded("answers/words", float("nan"))


def test_headline_metrics_have_one_order_quality_first_and_alarms_last() -> None:
    groups = headline()
    assert list(groups) == list(ORDER), "every group has a metric, and there are no others"
    measured = [key for name, keys in groups.items() if not name.startswith("training") for key in keys]
    assert 25 <= len(measured) <= 36
    assert groups["quality"][:3] == ["eval/greedy_accuracy", "eval/best_unbiased", "test/greedy_accuracy"]
    assert groups["alarm"][0] == "collapse_alarm/level"
    assert all("verifier" in key or "canary" in key or "breakdown" in key for key in groups["verifier"])
    assert not any("verifier" in key or "canary" in key for key in groups["quality"])


def test_headline_keys_come_first_in_their_order_and_the_rest_stays() -> None:
    keys = ["cost/money", "b/b", "collapse_alarm/level", "a/a", "collapse_tails/support_retention", "eval/pass_at_1"]
    wanted = ["eval/pass_at_1", "collapse_tails/support_retention", "collapse_alarm/level", "cost/money", "b/b", "a/a"]
    assert headline_first(keys) == wanted
