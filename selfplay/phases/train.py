"""Floor 5: the train phase as the loop calls it: which trainer a student needs, and its warm-up in round 0."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfplay.config.training import Train
from selfplay.config.tree import Config
from selfplay.models.scripted import ScriptedStudent, read_scripted, terms_of, write_scripted
from selfplay.models.student import weights_of
from selfplay.phases.curate.pairs import FILE as PAIRS
from selfplay.records import Preference, Row
from selfplay.runtime.context import RoundContext
from selfplay.runtime.progress import Progress
from selfplay.runtime.resources import RunResources
from selfplay.store import read_json, sha256_of, write_json
from selfplay.store.traces import read_pairs, read_rows
from selfplay.training.pair_schedule import fitting
from selfplay.training.schedule import ONLY_FOR_PAIRS, fits

if TYPE_CHECKING:
    from selfplay.training import TrainReport


def train(ctx: RoundContext) -> None:
    """Leaves the round's weights in the phase's folder, and DONE with the `train/` figures. On all ranks."""
    if ctx.ranks.broadcast("train/done", (ctx.at("train") / "DONE").is_file()):
        return
    ctx.progress.phase("train", 1)
    first = ctx.run.round(0) / "initial"
    curated = read_json(ctx.at("curate") / "DONE")["metrics"]
    report = train_student(
        ctx.config,
        ctx.run.round(ctx.number) / "train.parquet",
        accepted=int(curated.get("data/accepted", 0)),
        start=start_of(ctx),
        student=ctx.student if ctx.number else first,
        out=ctx.at("train"),
        seed=ctx.seed("train"),
        round=ctx.number,
        step_offset=ctx.commits[-1].train_steps if ctx.commits else 0,
        resources=ctx.resources,
        progress=ctx.progress,
    )
    if ctx.ranks.is_main:
        write_json(ctx.at("train") / "DONE", {"metrics": report, "weights": sha256_of(ctx.at("train") / "model")})
    ctx.ranks.barrier("train")
    ctx.progress.end("train")


def start_of(ctx: RoundContext) -> Path:
    """The weights that training starts from: as `train.start` says; in round 0 the initial ones."""
    first = ctx.run.round(0) / "initial"
    if ctx.number == 0:
        return first
    if ctx.config.train.start == "continue":
        return ctx.student
    return ctx.run.model(0) if ctx.config.train.warmup else first


def train_student(
    config: Config,
    rows: Path,
    *,
    accepted: int,
    start: Path,
    student: Path,
    out: Path,
    seed: int,
    round: int,
    step_offset: int,
    resources: RunResources,
    progress: Progress,
) -> dict[str, Any]:
    """Leaves the round's weights in `out/model`; the `train/` figures of its row. On all ranks.

    `rows`: train.parquet, pairs.parquet beside it. `accepted`: how many attempts of this round are among them. `student`: the
    parent's weights, which a round keeps where it has no pairs to train on, or too few rows (`train.min_accepted`).
    """
    section = config.train if round else warmup_of(config.train)
    if section is None:
        return keep(start, out, resources)
    paired = section.method != "sft"
    pairs = _pairs(rows.with_name(PAIRS)) if paired else []
    if paired and not fitting(section, pairs):
        progress.note(f"round {round}: the weights stay as they are: {len(pairs)} pairs, and none can be trained on")
        return {
            **keep(student, out, resources),
            "train/weights_kept": 1,
            "train/pairs": 0,
            "train/rows_left_out": len(pairs),
        }
    read = [] if paired else read_rows(rows)
    if round and not paired and (few := too_few(section, accepted, read)):
        progress.note(f"round {round}: the weights stay as they are: {few}")
        return {**keep(student, out, resources), "train/weights_kept": 1}
    if isinstance(config.student, ScriptedStudent):
        return train_scripted(config.student, read, start=start, out=out, resources=resources)
    from selfplay.training import train as train_rows

    def stepped(step: int, steps: int) -> None:
        progress.total(steps, step - 1)  # a resumed training begins anywhere, and a back-off begins again
        progress.advance(1)

    began = time.perf_counter()
    report = train_rows(
        section,
        pairs if paired else read,
        start=weights_of(start),
        out=out,
        seed=seed,
        round=round,
        step_offset=step_offset,
        ranks=resources.ranks,
        device=config.launch.device,
        threads=resources.threads,
        on_step=stepped,
        stop=lambda: progress.stop_requested,
    )
    progress.count("train", min(report.seconds_in_train, time.perf_counter() - began))  # not loading, not saving
    return {**_figures(report), **({"train/pairs": report.rows} if paired else {})}


def _figures(report: "TrainReport") -> dict[str, Any]:
    return {
        "train/steps": report.steps,
        "train/tokens": report.tokens,
        "train/rows_left_out": report.left_out,
        "train/loss_first": report.loss_first,
        "train/loss_last": report.loss_last,
        **{f"train/{name}": value for name, value in report.rewards.items()},
        "cost/train_micro_batch_rows": report.micro_batch_rows,
        "cost/train_oom_backoffs": report.oom_backoffs,
    }


def too_few(section: Train, accepted: int, rows: Sequence[Row]) -> str:
    """Why a round has too little to train on; "" where it has enough. `accepted`: its own attempts; repeats of them, older
    rounds and the anchor teach nothing new.
    """
    if accepted < section.min_accepted:
        return (
            f"{accepted} of its attempts were accepted, and train.min_accepted is {section.min_accepted}; "
            "`selfplay traces` shows why the others were dropped"
        )
    if not rows:
        return "none of its attempts was accepted, and there is no anchor"
    if not any(fits(section, row) for row in rows):
        return f"all {len(rows)} training rows are longer than train.max_length = {section.max_length}; raise it"
    return ""


def warmup_of(section: Train) -> Train | None:
    """The settings of round 0; None where it keeps the base model."""
    if section.warmup is None:
        return None
    changed: dict[str, Any] = {
        "steps": section.warmup.steps,
        "epochs": None,
        "learning_rate": section.warmup.learning_rate,
    }
    if section.method != "sft":
        changed |= {"method": "sft", "args": {k: v for k, v in section.args.items() if k not in ONLY_FOR_PAIRS}}
    return section.model_copy(update={**changed, "lora": None, "warmup": None})


def _pairs(file: Path) -> list[Preference]:
    return [pair for group in read_pairs(file) for pair in group]


def keep(start: Path, out: Path, resources: RunResources) -> dict[str, Any]:
    """Round 0 without warm-up, or a round with too little to train on: its weights are the ones it was given."""
    import shutil

    if resources.ranks.is_main:
        whole = out / ".model.tmp"
        shutil.rmtree(whole, ignore_errors=True)
        shutil.copytree(start, whole)
        shutil.rmtree(out / "model", ignore_errors=True)
        whole.rename(out / "model")
    resources.ranks.barrier("kept")
    return {"train/steps": 0}


def train_scripted(
    student: ScriptedStudent, rows: list[Row], *, start: Path, out: Path, resources: RunResources
) -> dict[str, Any]:
    """A scripted student's training: it moves from its skill toward the share of its new rows that are right."""
    new = [row for row in rows if row.kind == "new"]
    right = sum(_is_right(row) for row in new) / len(new) if new else 1.0
    before = read_scripted(start)
    after = before + student.gain * (right - before) if new else before
    if resources.ranks.is_main:
        write_scripted(out / "model", after)
    resources.ranks.barrier("practised")
    return {"train/steps": len(rows), "train/loss_last": round(1 - after, 6)}


def _is_right(row: Row) -> bool:
    """Whether a row of bytes answers its own sum: `1 + 2` with `A: 3`."""
    prompt = bytes(token for token, label in zip(row.input_ids, row.labels, strict=True) if label == -100).decode()
    prompt = prompt.partition("\n")[0]  # a correction's prompt goes on with what was tried
    answer = bytes(label for label in row.labels if 0 <= label < 256).decode().rpartition("A:")[2].strip()
    return answer == str(sum(int(term) for term in terms_of(prompt)))
