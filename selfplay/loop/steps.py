"""Floor 6: hands each phase its section, its inputs and its folder. Phases know none of this, nor one another."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from selfplay.config import Config
from selfplay.curate import Archive
from selfplay.loop.round import Round
from selfplay.models import Backend
from selfplay.phases import audit, correct, curate, evaluate, generate, propose, synthesize, verify
from selfplay.phases.curate.mixing import Frontier
from selfplay.phases.evaluate import measures
from selfplay.phases.train import train_student
from selfplay.records import Sampling
from selfplay.runtime.timing import timed
from selfplay.seeds import seed_of
from selfplay.store import ChunkFolder, read_json, sha256_of, write_json
from selfplay.training.rows import operations_of

PHASES = ("propose", "make", "generate", "verify", "correct", "audit", "curate", "train", "evaluate")
"""In order; `phases_of` says which of them a round has."""


def phases_of(config: Config, number: int) -> tuple[str, ...]:
    """The phases of a round: round 0 has the last three; `make`, `correct`, `audit` are there where they are asked for."""
    if number == 0:
        return PHASES[-3:]
    asked = {
        "make": config.propose.make is not None,
        "correct": config.correct.attempts > 0,
        "audit": bool(config.audit.canaries or config.audit.share),
    }
    return tuple(name for name in PHASES if asked.get(name, True))


def run_phase(this: Round, name: str) -> None:
    """One phase of a round in this process."""
    steps: dict[str, Callable[[Round], None]] = {
        "propose": _propose,
        "make": lambda this: synthesize.make(this, _edge(this)),
        "generate": _generate,
        "verify": _verify,
        "correct": _correct,
        "audit": _audit,
        "curate": _curate_anchor if this.number == 0 else _curate,
        "train": _train,
        "evaluate": _evaluate,
    }
    with timed(this.at(name), this.progress, write=this.ranks.is_main):
        if name not in ("propose", "generate"):  # the student that was evaluated writes the next round's attempts
            this.resources.release()
        steps[name](this)
    this.progress.check_stop()


def _whole(this: Round, name: str, action: Callable[[], None]) -> None:
    """A phase that rank 0 plays alone."""
    if this.ranks.is_main and not (this.at(name) / "DONE").is_file():
        this.progress.phase(name, 1)
        action()
        this.progress.end(name)
    this.ranks.barrier(name)


def _propose(this: Round) -> None:
    section, edge, seed = this.config.propose, _edge(this), this.seed("propose")

    def action() -> None:
        foreseen = this.beside.drawn(edge, seed) if this.beside else None
        drawn = propose.draw(section, this.resources.source, edge, seed) if foreseen is None else foreseen
        propose.propose(drawn, this.at("propose"))
        for notice in read_json(this.at("propose") / "DONE")["notices"]:
            this.progress.note(f"round {this.number}: {notice}")

    _whole(this, "propose", action)


def _foresee(this: Round) -> None:
    """Has the next round's tasks drawn while this one trains: its edge is known unless the gate rolls back."""
    if this.beside is None or not this.ranks.is_main or this.number >= this.config.rounds:
        return
    curriculum, later = this.config.propose.curriculum, this.number + 1
    knobs = {**this.knobs, **edge_after(this, read_json(this.at("curate") / "DONE")["by_operations"])}
    edge = None if curriculum is None else propose.edge_in(curriculum, later, knobs)
    this.beside.foresee(this.resources.source, edge, seed_of(this.config.seed, later, "propose"))


def edge_after(this: Round, by_operations: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The knob that tells later rounds where the curriculum's edge is; none without a curriculum."""
    curriculum = this.config.propose.curriculum
    if curriculum is None:
        return {}
    counts = {int(n): (right, of) for n, (right, of) in by_operations.items()}
    edge = int(this.knobs.get("edge", curriculum.start))
    return {"edge": propose.next_edge(curriculum, edge, counts) if this.number else curriculum.start}


def _generate(this: Round) -> None:
    section = this.config.generate
    generate.generate(
        section,
        this.tasks,
        sampling=_sampling(this),
        student=this.identity("generate"),
        open_backend=_sampler(this),
        origin=this.resources.origin,
        max_error_share=this.config.verify.max_error_share,
        seed=this.config.seed,
        round=this.number,
        out=this.at("generate"),
        ranks=this.ranks,
        progress=this.progress,
        mastered=_mastered(this),
    )


def _edge(this: Round) -> int | None:
    """The largest operation count that is mastered; None without a curriculum."""
    curriculum = this.config.propose.curriculum
    return None if curriculum is None else propose.edge_in(curriculum, this.number, this.knobs)


def _mastered(this: Round) -> frozenset[str]:
    """Tasks up to the curriculum's edge."""
    edge = _edge(this)
    if edge is None:
        return frozenset()
    return frozenset(task.id for task in this.tasks if (operations_of(task) or 0) <= edge)


def _frontier(this: Round) -> Frontier | None:
    edge, section = _edge(this), this.config.train
    return None if edge is None or section.steps is None else Frontier(edge, section.steps * section.batch_rows)


def _sampling(this: Round) -> Sampling:
    section = this.config.generate
    return Sampling(
        temperature=section.temperature + float(this.knobs.get("temperature_add", 0.0)),
        top_p=section.top_p,
        top_k=section.top_k,
        max_new_tokens=section.max_new_tokens,
        stop=section.stop,
    )


def _sampler(this: Round) -> Callable[[], AbstractContextManager[Backend]]:
    identity = this.identity("generate")
    return lambda: this.resources.sampler(this.student, identity)


def _attempts(this: Round) -> ChunkFolder:
    return generate.folder_of(
        this.config.generate, this.tasks, this.identity("generate"), this.config.seed, this.number, this.at("generate")
    )


def _verify(this: Round) -> None:
    verify.verify_attempts(
        this.config.verify,
        this.tasks,
        _attempts(this),
        open_verifiers=this.resources.verifiers,
        out=this.at("verify"),
        ranks=this.ranks,
        progress=this.progress,
    )


def _judged(this: Round) -> ChunkFolder:
    return verify.folder_of(_attempts(this), this.at("verify"))


def _correct(this: Round) -> None:
    section, sampling = this.config.correct, _sampling(this)
    changed = {
        "temperature": section.temperature if section.temperature is not None else sampling.temperature,
        "max_new_tokens": section.max_new_tokens or sampling.max_new_tokens,
    }
    correct.correct(
        section,
        this.tasks,
        _attempts(this),
        _judged(this),
        sampling=sampling.model_copy(update=changed),
        template=_template(this.config),
        student=this.identity("correct"),
        open_backend=_sampler(this),
        origin=this.resources.origin,
        open_verifiers=this.resources.verifiers,
        max_error_share=this.config.verify.max_error_share,
        seed=this.config.seed,
        round=this.number,
        out=this.at("correct"),
        ranks=this.ranks,
        progress=this.progress,
    )


def _audit(this: Round) -> None:
    def action() -> None:
        audit.audit(
            this.config.audit,
            this.proposed,
            this.tasks,
            _attempts(this),
            _judged(this),
            source=this.resources.source,
            route=this.resources.routed,
            open_auditors=this.resources.auditors,
            max_error_share=this.config.verify.max_error_share,
            seed=this.config.seed,
            round=this.number,
            out=this.at("audit"),
            progress=this.progress,
        )

    _whole(this, "audit", action)


def _corrections(this: Round) -> ChunkFolder | None:
    section = this.config.correct
    if not section.attempts:
        return None
    synthesize, said, identity = _attempts(this), _judged(this), this.identity("correct")
    out, template = this.at("correct"), _template(this.config)
    return correct.folder_of(
        section, this.tasks, synthesize, said, template, identity, this.config.seed, this.number, out
    )


def _template(config: Config) -> Literal["chat", "plain"]:
    """How a second try is asked for: as its writer is spoken to."""
    writer = config.generate.backend
    if writer.kind == "http":
        return "chat" if writer.mode == "chat" else "plain"
    if writer.kind == "pretrained":
        return writer.template
    return "plain" if config.student.kind == "scripted" else config.student.template


def _curate_anchor(this: Round) -> None:
    from selfplay.models.student import make_initial

    fixed, initial = this.resources.source.fixed, this.run.round(0) / "initial"

    def action() -> None:
        make_initial(this.resources.student_section, fixed.anchor, initial, seed_of(this.config.seed, "student"))
        curate.curate_anchor(fixed.anchor, this.resources.encoder(initial), this.at("curate"))

    _whole(this, "curate", action)


def _curate(this: Round) -> None:
    section = this.config.curate
    grown = {
        "anchor_share": None
        if section.anchor_share is None
        else min(0.95, section.anchor_share + float(this.knobs.get("anchor_add", 0.0))),
        "cap": None if section.cap is None else max(1, round(section.cap * float(this.knobs.get("cap_scale", 1.0)))),
    }
    rounds = [commit.round for commit in this.chain if commit.round]

    def action() -> None:
        curate.curate(
            section.model_copy(update=grown),
            curate.grouped(this.tasks, _attempts(this), _judged(this), _corrections(this)),
            encoder=lambda: this.resources.encoder(this.student),
            archive=_archive(this, rounds) if section.across_rounds else None,
            screen=this.resources.screen,
            older=[this.run.phase(number, "curate") / "new.parquet" for number in rounds],
            anchor=this.run.phase(0, "curate") / "anchor.parquet",
            refused=int(read_json(this.at("propose") / "DONE")["refused"]),
            seed=this.seed("curate"),
            frontier=_frontier(this),
            out=this.at("curate"),
            corrections=this.config.correct.format,
        )
        synthesize.note_quotas(this)
        for notice in read_json(this.at("curate") / "DONE")["notices"]:
            this.progress.note(f"round {this.number}: {notice}")

    _whole(this, "curate", action)


def _archive(this: Round, rounds: list[int]) -> Archive:
    lines = [line for n in rounds for line in (this.run.phase(n, "curate") / "archive.jsonl").read_text().splitlines()]
    return Archive.from_lines(lines)


def _train(this: Round) -> None:
    if this.ranks.broadcast("train/done", (this.at("train") / "DONE").is_file()):
        return
    first = this.run.round(0) / "initial"
    base = this.run.model(0) if this.config.train.warmup and this.number else first
    start = first if this.number == 0 else (this.student if this.config.train.start == "continue" else base)
    offset = this.commits[-1].train_steps if this.commits else 0
    this.progress.phase("train", 1)
    this.forget_tasks()
    curated = read_json(this.at("curate") / "DONE")["metrics"]
    report = train_student(
        this.config,
        this.run.round(this.number) / "train.parquet",
        accepted=int(curated.get("data/accepted", 0)),
        start=start,
        student=this.student if this.number else first,
        out=this.at("train"),
        seed=this.seed("train"),
        round=this.number,
        step_offset=offset,
        resources=this.resources,
        progress=this.progress,
        meanwhile=lambda: _foresee(this),
    )
    if this.ranks.is_main:
        write_json(this.at("train") / "DONE", {"metrics": report, "weights": sha256_of(this.at("train") / "model")})
    this.ranks.barrier("train")
    this.progress.end("train")


def _evaluate(this: Round) -> None:
    section, fixed, model = this.config.eval, this.resources.source.fixed, this.run.model(this.number)
    identity = this.identity("evaluate")
    evaluate.evaluate(
        section,
        fixed,
        student=identity,
        max_new_tokens=section.max_new_tokens or this.config.generate.max_new_tokens,
        stop=this.config.generate.stop,
        open_backend=lambda: this.resources.student(model, identity, keep=True),
        open_verifiers=this.resources.verifiers,
        open_encoder=lambda: this.resources.encoder(model),
        max_error_share=this.config.verify.max_error_share,
        round=this.number,
        out=this.at("evaluate"),
        ranks=this.ranks,
        progress=this.progress,
        first=this.run.phase(0, "evaluate") / "dev.json" if this.number else None,
    )
    if this.ranks.is_main:
        folder = evaluate.folder_of(section, fixed, identity, this.at("evaluate"))
        first = read_json(this.run.phase(0, "evaluate") / "dev.json") if this.number else None
        rows = (row for _, chunk in folder.each() for row in chunk)
        figures, frozen = measures.measure(section, fixed, rows, first, this.config.verify.max_error_share)
        write_json(this.at("evaluate") / "dev.json", frozen)
        write_json(this.at("evaluate") / "metrics.json", figures)
        if lost := [f"{figures[key]} of {key.partition('_')[0]}" for key in measures.ERRORS if figures.get(key)]:
            this.progress.note(
                f"round {this.number}: evaluation could not judge {', '.join(lost)}; they are left out, and above "
                f"verify.max_error_share = {this.config.verify.max_error_share} there is no figure"
            )
    this.ranks.barrier("measured")
