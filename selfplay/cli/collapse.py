"""`selfplay collapse FILE`: computes metrics and alarms for any file of texts by round, without a run or a model."""

import html as escaping
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, DataError
from selfplay.jsonlines import read_json_objects

Row = dict[str, Any]
SHOWN = {
    "pass@1": "eval/pass_at_1",
    "unique@n": "collapse_diversity/unique_correct_at_n",
    "dist2": "collapse_diversity/distinct_2_fixed",
    "char4": "collapse_diversity/char_distinct_4_fixed",
    "Vendi": "collapse_diversity/vendi_fixed_n",
    "dup": "collapse_diversity/exact_dup_rate",
    "rare": "collapse_tails/rare_item_coverage",
    "lost": "collapse_tails/ref_ngram_lost",
}
"""Columns of the table. docs/collapse.md defines each key."""
RIGHT = {"pass": True, "fail": False, "accepted": True, "dropped": False, "true": True, "false": False}


def collapse(
    file: Path,
    *,
    round_field: str = "round",
    text_field: str = "text",
    reference: str | None = None,
    group_field: str | None = None,
    correct_field: str | None = None,
    as_json: bool = False,
    html: Path | None = None,
    rules: Path | None = None,
) -> int:
    """Measures each round of a JSONL(.gz) or parquet file and prints a table, or one JSON object.

    `reference`: a round number, or a file of texts (JSONL(.gz) or parquet with the same text field, or plain text with one per line)
    with which all rounds are compared; None: the first round. `group_field` (the task) and `correct_field` (true/false, 1/0, pass/fail)
    add pass@k and the other metrics of right answers. `rules`: a file of alarm rules; None: those of the package. `html`: also writes
    the profile as one self-contained page. Returns 0; bad input raises DataError or ConfigError with position and remedy.
    """
    from selfplay.collapse.rounds import RoundTexts, profile

    rounds: dict[int, RoundTexts] = {}
    own_rules, named = _rules(rules), False
    for place, row in _rows(file, [f for f in (round_field, text_field, group_field, correct_field) if f]):
        number = _round_of(row, round_field, place)
        text = _text(row, text_field, place)
        correct = _right(row.get(correct_field), correct_field, place) if correct_field else None
        group = _group(row, group_field, place) if group_field else None
        rounds.setdefault(number, RoundTexts(seed=number)).add(text, group, correct)
        named = named or correct_field in row
    if rounds and correct_field and not named:
        raise DataError(f"{file}: no row has the field {correct_field!r}; give the right name with --correct-field")
    if not rounds:
        raise DataError(f"{file}: has no row; give a JSONL file with a round and a text per line")
    against = _reference(reference, text_field)
    rows = profile(rounds, reference=against, rules=own_rules)
    if as_json:
        print(json.dumps(_report(file, rows, against, rounds), ensure_ascii=False))
    else:
        _print(rows)
    if html is not None:
        octaves = _octaves(rounds)
        html.write_text(page(file.name, rows, octaves), encoding="utf-8")
    return 0


def _rules(file: Path | None) -> Any:
    """The rules of a file; None: those of the package."""
    from selfplay.collapse import load_rules

    if file is None:
        return None
    try:
        return load_rules(file.read_text(encoding="utf-8-sig"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--rules {file}: cannot be read, {error}; give a JSON file of alarm rules") from None


def _rows(file: Path, fields: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Rows with their position `file:line`. Lines are read one at a time; of parquet only `fields` are read."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; give a JSONL(.gz) or parquet file")
    if file.suffix == ".parquet":
        from selfplay.store.traces import read_parquet

        for number, row in enumerate(read_parquet(file, fields), 1):
            yield f"{file}: row {number}", row
        return
    yield from read_json_objects(file, "replace")


MAX_ROUND = 1_000_000
"""Largest round number; a larger one is probably a time or an id."""


def _round_of(row: Mapping[str, Any], field: str, place: str) -> int:
    value = row.get(field)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float) and value.is_integer()):
        had = f"{value!r:.40} is not a whole number" if field in row else f"it has fields {sorted(row)!s:.200}"
        raise DataError(f"{place}: no round in field {field!r}, {had}; give --round-field")
    if not 0 <= value <= MAX_ROUND:  # type: ignore[operator]
        raise DataError(
            f"{place}: the round in field {field!r} is {value!r:.40}, but rounds count from 0 to {MAX_ROUND}; "
            "fix the row, or give --round-field"
        )
    return int(value)  # type: ignore[arg-type]


def _text(row: Mapping[str, Any], field: str, place: str) -> str:
    text = row.get(field)
    if isinstance(text, str):
        return text
    had = f"it is a {type(text).__name__}" if field in row else f"it has fields {sorted(row)!s:.200}"
    raise DataError(f"{place}: no text in field {field!r}, {had}; give --text-field")


def _right(value: Any, field: str | None, place: str) -> bool | None:
    """True or False; None for texts that were not judged (null, NaN, abstain, error)."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if math.isnan(value):
            return None
        if value in (0, 1):
            return bool(value)
    word = str(value).lower()
    if word in RIGHT:
        return RIGHT[word]
    if word in ("abstain", "error", "invalid", ""):
        return False if word == "invalid" else None
    raise DataError(
        f"{place}: {field} is {value!r:.40}, must be true or false, 1 or 0, pass or fail; name the right field"
    )


def _group(row: Mapping[str, Any], field: str, place: str) -> str:
    if row.get(field) is None:
        raise DataError(f"{place}: no task in field {field!r}, it has fields {sorted(row)!s:.200}; give --group-field")
    return str(row[field])


def _reference(given: str | None, text_field: str) -> int | list[str] | None:
    if given is None:
        return None
    if given.strip().isdigit():
        return int(given)
    file = Path(given)
    if not file.is_file():
        raise ConfigError(f"--reference {given}: is neither a round number nor a file; give one of these")
    if file.suffix in (".jsonl", ".gz", ".json", ".parquet"):
        return [_text(row, text_field, place) for place, row in _rows(file, [text_field])]
    try:
        return [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); give a UTF-8 file of texts") from None


def _report(file: Path, rows: Sequence[Row], against: int | list[str] | None, rounds: Mapping[int, Any]) -> Row:
    from selfplay.collapse.rounds import default_reference

    named = (
        "texts given" if isinstance(against, list) else default_reference(list(rounds)) if against is None else against
    )
    clean = [{k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in row.items()} for row in rows]
    return {
        "file": file.name,
        "reference": named,
        "level": max(r["collapse_alarm/level"] for r in rows),
        "rounds": clean,
    }


def _print(rows: Sequence[Row]) -> None:
    from selfplay.cli.terminal import print_table

    shown = {name: key for name, key in SHOWN.items() if any(key in row for row in rows)}
    table = [
        [
            str(row["round"]),
            str(row["collapse_data/texts_seen"]),
            *(_cell(row, key) for key in shown.values()),
            str(row["collapse_alarm/level"]),
        ]
        for row in rows
    ]
    print_table("Collapse profile", ["round", "texts", *shown, "level"], table)
    before = 0
    for row in rows:
        level = row["collapse_alarm/level"]
        if level > before:
            print(f"round {row['round']}: level {level}: {'; '.join(row['reasons'])}")
        before = level
    if before == 0 and rows[-1]["smallest_changes"]:
        print("no alarm in the last round")
    print(_sight(rows))
    for row in rows:
        if why := row.get("collapse_alarm/blind"):
            print(f"round {row['round']} is not judged by its verdicts: {why}")


NAMES = {
    "eval/pass_at_1": "pass@1",
    "collapse_diversity/char_distinct_4_fixed": "char4",
    "collapse_diversity/char_distinct_5_fixed": "char5",
    "collapse_diversity/distinct_2_fixed": "dist2",
    "collapse_diversity/exact_dup_rate": "dup",
    "collapse_drift/len_mean": "mean length",
    "collapse_tails/rare_item_coverage": "rare",
    "collapse_tails/ref_ngram_lost": "lost",
}
"""Names of the metrics that the alarm of texts looks at, as in the table."""


def _sight(rows: Sequence[Row]) -> str:
    """What the alarm could see in the last round, metric by metric, and to what it is blind."""
    row = rows[-1]
    found = row["smallest_changes"]
    if not found:
        return "nothing was compared: the file has one round, or the others have too little text"
    seen = [f"{NAMES.get(key, key)} at {value:.3g}" for key, value in found.items() if value is not None]
    blind = [NAMES.get(key, key) for key, value in found.items() if value is None]
    told = f"{row['collapse_data/texts']} texts in round {row['round']} show a change (80 % power) only from here on: {', '.join(seen) or 'none'}"
    return f"{told}; blind to any change of: {', '.join(blind)}" if blind else told


def _cell(row: Mapping[str, Any], key: str) -> str:
    """The value of a cell; its interval is in the JSON and on the page."""
    return f"{row[key]:.3f}"[:5] if key in row else "-"


def _octaves(rounds: Mapping[int, Any]) -> dict[int, list[float]]:
    """Rank-octave shares of up to five evenly spaced rounds, with the first and the last."""
    from selfplay.collapse.texts import budget_of, rank_octaves

    filled = {n: r.texts for n, r in sorted(rounds.items()) if r.texts}
    numbers = sorted(filled)
    chosen = sorted({numbers[round(i * (len(numbers) - 1) / 4)] for i in range(5)})
    budget = budget_of(list(filled.values()))
    return {n: rank_octaves(filled[n], budget) for n in chosen}


CHARTS: dict[str, dict[str, str]] = {
    "Variety at equal draws": {
        "distinct-2": "collapse_diversity/distinct_2_fixed",
        "character 4-grams": "collapse_diversity/char_distinct_4_fixed",
        "character 5-grams": "collapse_diversity/char_distinct_5_fixed",
    },
    "Effective number of texts": {
        "Vendi, fixed n": "collapse_diversity/vendi_fixed_n",
        "RKE, unbiased": "collapse_diversity/rke_u",
    },
    "Tails": {
        "rare tokens kept": "collapse_tails/rare_item_coverage",
        "common tokens lost": "collapse_tails/ref_ngram_lost",
        "rare tasks solved": "collapse_tails/rare_strata_pass_at_n",
    },
    "Copies": {
        "exact duplicates": "collapse_diversity/exact_dup_rate",
        "near duplicates": "collapse_diversity/near_dup_rate",
        "self-BLEU": "collapse_diversity/self_bleu_fixed",
    },
    "Quality": {"pass@1": "eval/pass_at_1", "pass@n": "eval/pass_at_n"},
    "Right and different": {
        "unique correct@n": "collapse_diversity/unique_correct_at_n",
        "unique correct@4": "collapse_diversity/unique_correct_at_4",
    },
    "Jensen-Shannon divergence from the reference, bits": {"": "collapse_drift/js_to_reference_bits"},
    "Length (tokens)": {"mean": "collapse_drift/len_mean", "95th percentile": "collapse_drift/len_p95"},
    "Alarm level": {"level": "collapse_alarm/level"},
}


def page(name: str, rows: Sequence[Row], octaves: Mapping[int, Sequence[float]]) -> str:
    """The profile as one HTML page with inline SVG, without scripts or external files; all text from the file is escaped."""
    from selfplay.report.svg import STYLE, line_chart, scatter

    charts = []
    pictures = {f"round {n}": [(float(i), y, None, None) for i, y in enumerate(ys)] for n, ys in octaves.items() if ys}
    charts.append(line_chart(pictures, "Tokens by rank, round by round", "octave of rank, 0 = commonest", "share"))
    for title, keys in CHARTS.items():
        series = {n: points for n, key in keys.items() if (points := _points(rows, key))}
        if series:
            charts.append(line_chart(series, title, "round", "", y_range=(0, 3) if title == "Alarm level" else None))
    judged = [
        (r["eval/pass_at_1"], r.get("collapse_diversity/unique_correct_at_n"), f"round {r['round']}")
        for r in rows
        if "eval/pass_at_1" in r
    ]
    pairs = [(float(x), float(y), w) for x, y, w in judged if y is not None]
    if pairs:
        charts.append(scatter({"": pairs}, "Quality against diversity", "pass@1", "unique correct@n", connect=True))
    level = max(row["collapse_alarm/level"] for row in rows)
    first = next((row["collapse_alarm/first_metric"] for row in rows if row["collapse_alarm/first_metric"]), "none")
    rows_html = "".join(
        f"<tr><td>{row['round']}</td><td>{row['collapse_alarm/level']}</td><td>{'<br>'.join(_in_words(row))}</td></tr>"
        for row in rows
        if row["reasons"]
    )
    reasons = (
        f"<table><tr><th>round</th><th>level</th><th>because</th></tr>{rows_html}</table>"
        if rows_html
        else "<p>None.</p>"
    )
    title = escaping.escape(name)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Collapse profile: {title}</title>'
        f"<style>{STYLE}{_PAGE_STYLE}</style></head><body><h1>Collapse profile: {title}</h1>"
        f"<p>Highest alarm level {level}; first metric to move: {escaping.escape(_named(first))}. {len(rows)} rounds, one draw of "
        f"{rows[-1].get('collapse_data/compared_tokens', 0)} tokens a round; bands are 95 % intervals.</p>"
        f"<p>{escaping.escape(_sight(rows))}.</p>"
        f"<main>{''.join(f'<figure>{chart}</figure>' for chart in charts)}</main>"
        f"<h2>Alarms</h2>{reasons}</body></html>\n"
    )


_PAGE_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:1040px;padding:0 1rem;color-scheme:light dark}"
    "main{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:1rem}figure{margin:0}"
    "svg{max-width:100%;height:auto}table{border-collapse:collapse}td,th{padding:.3rem 1rem .3rem 0;text-align:left;"
    "vertical-align:top;border-bottom:1px solid #8886}"
)


def _named(key: str) -> str:
    """The name of a key in the charts; the key itself if no chart shows it."""
    return next((n for keys in CHARTS.values() for n, k in keys.items() if k == key and n), key)


def _in_words(row: Row) -> list[str]:
    """The reasons of an alarm, escaped, with the names of the charts in place of keys."""
    keys = {key: name for keys in CHARTS.values() for name, key in keys.items() if name}
    parts = [reason.partition(" ") for reason in row["reasons"]]
    return [escaping.escape(f"{keys.get(key, key)} {rest}") for key, _, rest in parts]


def _points(rows: Sequence[Row], key: str) -> list[tuple[float, float, float | None, float | None]]:
    found = [(row["round"], row[key], row.get(f"{key}_lo"), row.get(f"{key}_hi")) for row in rows if key in row]
    return [(float(x), float(y), _shown(lo, y), hi) for x, y, lo, hi in found if math.isfinite(y)]


def _shown(lo: float | None, value: float) -> float | None:
    """The lower end of an interval as drawn: that of a jackknife can be below 0, which no metric can."""
    return lo if lo is None or value < 0 else max(lo, 0.0)
