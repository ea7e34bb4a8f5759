"""Alarm levels of texts by round, from flat rows, by the rules in a file: `selfplay collapse FILE`.

Level 0 quiet; 1 an interval is bad in one round; 2 in two rounds running, or a hard rule at once. Decided on intervals,
never on points, with Holm's correction over the family of metrics. A row is a flat dict as in `metrics.jsonl`; keys that a
row lacks are not judged. Dev tasks with verdicts are judged by `dev_rules`.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from statistics import NormalDist
from typing import Any

from selfplay.collapse.estimate import Z95, Estimate, holm
from selfplay.errors import ConfigError

Row = Mapping[str, Any]
Alarm = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """The rule file, read and checked."""

    alpha: float
    """One-sided family-wise error of one round."""
    metrics: tuple[dict[str, Any], ...]
    hard_z: float = Z95
    """Half-width, in standard errors, of the intervals that hard rules look at: they act at once and alone."""
    hard: tuple[dict[str, Any], ...] = ()
    origin: str = field(default="rules.json", compare=False)


_FIELDS = {
    "metrics": {"key", "bad", "margin", "relative", "texts_only"},
    "hard": {"key", "below", "above", "below_ratio", "above_ratio", "below_delta", "above_delta", "say", "texts_only"},
}


def load_rules(text: str | None = None, origin: str = "rules.json") -> Rules:
    """Rules from JSON text, by default the package's own file. Raises ConfigError that names the entry at fault."""
    if text is None:
        text = files("selfplay.collapse").joinpath("rules.json").read_text(encoding="utf-8")
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{origin}:{error.lineno}: not JSON, {error.msg}; correct the file") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{origin}: not JSON, {error!s:.200}; correct the file") from None
    if not isinstance(data, dict) or not 0 < float(data.get("alpha", 0)) < 0.5:
        raise ConfigError(
            f"{origin}: alpha is missing or outside (0, 0.5); give the error a round is allowed, such as 0.01"
        )
    for part, allowed in _FIELDS.items():
        for i, rule in enumerate(data.get(part, ())):
            unknown = set(rule) - allowed
            if unknown or "key" not in rule:
                raise ConfigError(
                    f"{origin}: {part}[{i}] has {sorted(unknown) or 'no key'}; allowed: {sorted(allowed)}"
                )
            if part == "metrics" and rule.get("bad") not in ("up", "down"):
                raise ConfigError(f"{origin}: {part}[{i}].bad is {rule.get('bad')!r}; give up or down")
    parts = {part: tuple(data.get(part, ())) for part in _FIELDS}
    known = {name: float(data[name]) for name in ("alpha", "hard_z") if name in data}
    return Rules(**known, **parts, origin=origin)  # type: ignore[arg-type]


def alarms(rows: Sequence[Row], *, rules: Rules | None = None, reference: int | None = None) -> list[Alarm]:
    """One alarm a row: {"level", "n_active", "first_metric", "reasons", "smallest"}; each looks only at rows up to its own.

    `rows`: oldest first, each with `round` (else its place counts). A metric is compared by its paired change to the
    reference (`KEY_delta`, `_delta_lo`, `_delta_hi`) where the row has one, else with the reference row's interval.
    `reference`: the round that values are compared with (default: the first row); rows before it have only the hard
    rules that need no reference. `first_metric` is the key that was bad first, "" while none was. `smallest`: see `smallest_changes`.
    """
    rules = rules or load_rules()
    numbers = [int(row.get("round", i)) for i, row in enumerate(rows)]
    start = 0 if reference is None else _place(numbers, reference)
    before: list[str] = []
    first_metric, out = "", list[Alarm]()
    for i, row in enumerate(rows):
        compared = rows[start] if i > start else None
        bad = _bad_metrics(row, compared, rules) if compared is not None else {}
        hard = [text for rule in rules.hard if (text := _hard(rule, row, compared, rules.hard_z))]
        level, reasons = _level(bad, before, hard)
        first_metric = first_metric or next(iter(bad), "") or "".join(hard[:1]).partition(" ")[0]
        found = {"level": level, "n_active": len(bad) + len(hard), "first_metric": first_metric, "reasons": reasons}
        found["smallest"] = smallest_changes(row, compared, rules) if compared is not None else {}
        before = list(bad)
        out.append(found)
    return out


def _place(numbers: list[int], reference: int) -> int:
    if reference not in numbers:
        raise ConfigError(f"alarms: reference round {reference} is not among the rounds {numbers}; name one of these")
    return numbers.index(reference)


def _level(bad: Mapping[str, str], before: Sequence[str], hard: list[str]) -> tuple[int, list[str]]:
    twice = [key for key in bad if key in before] or (list(bad) if before else [])
    reasons = [f"{key} {bad[key]}{', the second round running' if key in twice else ''}" for key in bad] + hard
    return 2 if hard or twice else 1 if bad else 0, reasons


def _bad_metrics(row: Row, compared: Row, rules: Rules) -> dict[str, str]:
    """Keys bad beyond their margins, Holm-corrected, clearest first, with what to say of each."""
    judged: list[tuple[str, float]] = []
    for rule in rules.metrics:
        if rule.get("texts_only") and _has_verdicts(row):
            continue
        key = _resolve(rule["key"], row, compared)
        change = _change(key, row, compared) if key else None
        if key and change is not None:
            judged.append((key, _p_value(change, rule, _number(compared, key))))
    rejected = holm([p for _, p in judged], rules.alpha)
    order = sorted(zip(judged, rejected, strict=True), key=lambda entry: entry[0][1])
    return {key: f"{row[key]:.3g} against {compared.get(key, math.nan):.3g}" for (key, _), hit in order if hit}


def smallest_changes(row: Row, compared: Row, rules: Rules) -> dict[str, float | None]:
    """For each metric that is judged: the value beyond which the rules would call the row bad with POWER, at intervals as wide as these.

    By the normal law: the value of the compared row, its margin, and the quantiles of POWER and of `alpha`, shared by all metrics, times
    the standard error of the change. None: the metric can take no such value, or there is too little text for it, so the rule is blind
    to any change.
    """
    judged, found = [], dict[str, float | None]()
    for rule in rules.metrics:
        key = None if rule.get("texts_only") and _has_verdicts(row) else _resolve(rule["key"], row, compared)
        if key and not key.startswith("eval/"):  # without verdicts there is nothing to be blind to
            found[key] = None
        change = _change(key, row, compared) if key else None
        then = _number(compared, key) if key else None
        if key and change is not None and then is not None:
            judged.append((key, rule, change, then))
    z = NormalDist().inv_cdf(POWER) + (NormalDist().inv_cdf(1 - rules.alpha / len(judged)) if judged else 0.0)
    for key, rule, change, then in judged:
        sign = -1 if rule["bad"] == "down" else 1
        half = change.hi - change.value if sign < 0 else change.value - change.lo
        margin = float(rule.get("margin", 0.0)) * (abs(then) if rule.get("relative") else 1.0)
        value = then + sign * (margin + z * half / Z95)
        found[key] = value if half > 0 and value > 0 and (value < 1 or sign < 0) else None
    return found


POWER = 0.8
"""Chance with which a change is seen that counts as one that can be shown."""


def _has_verdicts(row: Row) -> bool:
    """Whether the row knows what is right: a student that learns gives up wrong variety, which is no collapse."""
    return _number(row, "eval/pass_at_1") is not None


def _resolve(pattern: str, *rows: Row) -> str | None:
    """The key itself, or for a `*` the match with the largest number that all rows have."""
    if "*" not in pattern:
        return pattern
    form = re.compile(re.escape(pattern).replace(r"\*", r"(\d+)"))
    found = [(int(m[1]), key) for key in rows[0] if (m := form.fullmatch(key)) and all(key in row for row in rows)]
    return max(found)[1] if found else None


def _number(row: Row, key: str) -> float | None:
    value = row.get(key)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable and value is not None else None


def _estimate(row: Row, key: str) -> Estimate | None:
    """Value and interval; without `_lo` and `_hi` the value has no interval and cannot be judged."""
    value, lo, hi = (_number(row, key + end) for end in ("", "_lo", "_hi"))
    return Estimate(value, lo, hi) if value is not None and lo is not None and hi is not None else None


def _change(key: str, row: Row, compared: Row) -> Estimate | None:
    """Paired change where the row has one, else the difference of two independent estimates."""
    paired = _estimate(row, f"{key}_delta")
    if paired is not None:
        return paired
    now, then = _estimate(row, key), _estimate(compared, key)
    if now is None or then is None:
        return None
    down = math.hypot(now.value - now.lo, then.hi - then.value)
    up = math.hypot(now.hi - now.value, then.value - then.lo)
    delta = now.value - then.value
    return Estimate(delta, delta - down, delta + up)


def _p_value(change: Estimate, rule: Mapping[str, Any], reference: float | None) -> float:
    """One-sided normal p of "the change is not beyond the margin", from the side of the interval that faces it."""
    margin = float(rule.get("margin", 0.0)) * (abs(reference or 0.0) if rule.get("relative") else 1.0)
    if rule["bad"] == "down":
        excess, half = -change.value - margin, change.hi - change.value
    else:
        excess, half = change.value - margin, change.value - change.lo
    if half <= 0:  # an interval without width says that the spread is not known
        return 1.0
    return 0.5 * math.erfc(excess / (half / Z95) / math.sqrt(2))


def _hard(rule: Mapping[str, Any], row: Row, compared: Row | None, z: float) -> str:
    """What a rule that holds at once says, or "": it holds where the whole interval of z errors lies beyond its bar."""
    key = None if rule.get("texts_only") and _has_verdicts(row) else _resolve(rule["key"], row)
    value = _number(row, key) if key else None
    if key is None or value is None:
        return ""
    now = _widened(_estimate(row, key) or Estimate(value, value, value), z)
    then = _estimate(compared, key) if compared is not None else None
    change = _change(key, row, compared) if compared is not None else None
    change = _widened(change, z) if change is not None else None
    held = (
        ("below" in rule and now.hi < rule["below"])
        or ("above" in rule and now.lo > rule["above"])
        or ("below_ratio" in rule and _ratio_beyond(change, then, rule["below_ratio"], down=True))
        or ("above_ratio" in rule and _ratio_beyond(change, then, rule["above_ratio"], down=False))
        or ("below_delta" in rule and change is not None and change.hi < rule["below_delta"])
        or ("above_delta" in rule and change is not None and change.lo > rule["above_delta"])
    )
    return f"{key} {value:.3g}: {rule.get('say', 'beyond its bar')}" if held else ""


def _widened(e: Estimate, z: float) -> Estimate:
    """The same estimate with its 95 % interval scaled to z standard errors."""
    return Estimate(e.value, e.value - (e.value - e.lo) * z / Z95, e.value + (e.hi - e.value) * z / Z95, e.n)


def _ratio_beyond(change: Estimate | None, then: Estimate | None, ratio: float, *, down: bool) -> bool:
    """Whether the change's whole interval says now < ratio * then (or >, for up)."""
    if change is None or then is None or then.value <= 0:
        return False
    bar = (ratio - 1) * then.value
    return change.hi < bar if down else change.lo > bar
