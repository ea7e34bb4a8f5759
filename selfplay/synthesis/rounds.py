"""Floor 4: the makers inside a round: tasks on top of the drawn ones, in chunks that are resumed like any other's.

A lot is what one chunk works on: some parents, draws, topics or texts of one maker. What is made is held to its own verifier
there and then; what is refused stands in the chunk too, so that asked is always made plus refused.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfplay.config.synthesis import MakeTasks
from selfplay.errors import ConfigError
from selfplay.records import Attempt, Task, Trace, digest
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.round_tasks import write_tasks
from selfplay.seeds import rng_of, seed_of
from selfplay.store import Chunk, ChunkFolder, FinishedChunks, write_json
from selfplay.synthesis import rare
from selfplay.synthesis.admission import answer_of
from selfplay.synthesis.batch import Batch
from selfplay.synthesis.makers import SELF_CHECKED, Material, Tools, admitted, ask
from selfplay.synthesis.textbook import leaves_of
from selfplay.tasks import Evolver
from selfplay.tasks.base import is_procedural
from selfplay.tasks.list_programs import ListPrograms, ListProgramsSource
from selfplay.verify import admit

MAKER = "maker"
"""Name of the tag that a made task carries."""
SHARPNESS = 4.0
"""Of the weights by which a run's own gaps are drawn: many strata fall a little short, and the worst ones are meant."""
_OF_TASKS = ("procedural", "evolve", "variants", "backtranslate")


@dataclass(frozen=True)
class Stock:
    """What a round's makers start from."""

    parents: Sequence[Task]
    """Tasks that earlier rounds solved, and the anchor."""
    drawn: Collection[str] = frozenset()
    """Ids of the round's drawn tasks: what is made is none of them."""
    gaps: Sequence[rare.Gap] = ()
    """Of all axes."""
    texts: Sequence[tuple[str, str]] = ()
    shares: Mapping[int, float] | None = None
    """The draw's shares by difficulty, for `rare` list programs; None: the source's own."""
    level: int | None = None
    """The curriculum's: parents at it or above come first in procedural evolution."""
    longest: int | None = None
    """No step is added beyond this difficulty."""


@dataclass(frozen=True)
class Lot:
    """What one chunk works on."""

    maker: str
    items: tuple[Any, ...]
    """Ids of parents or texts, draws, topics, or plain numbers where the maker draws for itself."""
    inputs: str = ""


@dataclass
class Made:
    """What a round's makers came to."""

    tasks: list[Task] = field(default_factory=list)
    """Sorted by id, each once."""
    asked: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, float]:
        """Flat figures of the round."""
        by_maker = Counter(task.tag(MAKER) for task in self.tasks)
        return {
            "data/made": len(self.tasks),
            "data/made_asked": self.asked,
            **{f"data/made_{maker}": count for maker, count in sorted(by_maker.items(), key=str)},
            **{f"data/refused_{_word(why)}": count for why, count in sorted(self.refused.items())},
        }


def make_tasks(
    section: MakeTasks,
    stock: Stock,
    *,
    open_tools: Callable[[], AbstractContextManager[Tools]],
    max_error_share: float,
    seed: int,
    round: int,
    out: Path,
    ranks: Ranks,
    progress: Progress,
) -> None:
    """Writes chunks of made and refused tasks; rank 0 then tasks.jsonl and metrics.json."""
    lots = lots_of(section, stock, seed_of(seed, round, "make"))
    known = {task.id: task for task in stock.parents}

    def work(tools: Tools, chunk: Chunk) -> list[Json]:
        lot = lots[chunk.id]
        with progress.timed("make"):
            batch = _held(section, lot, tools, _made(section, lot, stock, known, tools, chunk.seed), chunk.seed)
        lost = sum(one.reason == "outage" for one in batch.refused)
        refuse_outage("make", chunk, lost, batch.asked, max_error_share, f"{lot.maker}: replies or verdicts were lost")
        return [
            *({"task": _tagged(task, lot.maker).model_dump(mode="json", by_alias=True)} for task in batch.tasks),
            *({"refused": one.reason, "parent": one.parent, "text": one.text} for one in batch.refused),
        ]

    chunks = [
        Chunk(n, tuple(map(str, lot.items)), seed_of(seed, round, "make", n), digest([lot.maker, lot.inputs]))
        for n, lot in enumerate(lots)
    ]
    folder = ChunkFolder(out, chunks)
    run_chunks(
        "synthesize", folder, open_tools, work, ranks=ranks, progress=progress, accepted=lambda row: "task" in row
    )
    if ranks.is_main:
        made = _collected(FinishedChunks(out), {*stock.drawn, *known})
        write_tasks(out, made.tasks)
        write_json(out / "metrics.json", made.figures())
    ranks.barrier("made")


# ---- what is worked on ----


def lots_of(section: MakeTasks, stock: Stock, seed: int) -> list[Lot]:
    """The lots of a round, the same at every start and on every rank."""
    found = []
    for maker, count in section.makers.items():
        rng, weights = rng_of(seed, maker), [vars(gap) for gap in stock.gaps]
        items, told = _items(maker, section, stock, count, rng)
        for start in range(0, len(items), section.chunk_tasks):
            end = start + section.chunk_tasks
            found.append(Lot(maker, tuple(items[start:end]), digest([told[start:end], weights])))
    return found


def _items(
    maker: str, section: MakeTasks, stock: Stock, count: int, rng: random.Random
) -> tuple[Sequence[Any], Sequence[Any]]:
    """What a maker works on this round, and what its lots are known by."""
    if maker in _OF_TASKS:
        able = sorted((task for task in stock.parents if _fit(maker, task, section.depth)), key=lambda task: task.id)
        rng.shuffle(able)
        if maker == "procedural" and stock.level is not None:
            able.sort(key=lambda task: (task.difficulty or 0) < (stock.level or 0))
        chosen = able[:count]
        return [task.id for task in chosen], [task.model_dump(mode="json") for task in chosen]
    found: Sequence[Any]
    if maker == "textbook":
        topics = [" > ".join(path) for path in leaves_of(section.textbook.topics if section.textbook else {})]
        found = rng.sample(topics, min(count, len(topics)))
    elif maker == "instruct":
        found = [name for name, _ in rng.sample(list(stock.texts), min(count, len(stock.texts)))]
    elif section.rare is not None:
        gaps = [gap for gap in stock.gaps if gap.axis in section.rare.taxonomy]
        found = rare.draw(
            section.rare.taxonomy,
            count,
            gaps=gaps,
            boost=section.boost,
            sharpness=SHARPNESS,
            seed=rng.randrange(2**31),
        )
    else:
        found = list(range(count))
    return found, found


def _fit(maker: str, task: Task, depth: int) -> bool:
    """Whether a maker may work on a task. Only evolution goes on from what was made, so that nothing drifts far."""
    if "correction" in task.tags:
        return False
    if maker in ("procedural", "evolve"):
        return int(task.tag("depth") or 0) < depth and (maker == "evolve" or is_procedural(task))
    return task.tag(MAKER) is None and (maker != "variants" or bool(task.check["type"] == "math" and answer_of(task)))


# ---- making ----


def _made(section: MakeTasks, lot: Lot, stock: Stock, known: Mapping[str, Task], tools: Tools, seed: int) -> Batch:
    if lot.maker == "procedural":
        return _evolved(section, [known[name] for name in lot.items], stock, tools, seed)
    if lot.maker == "rare" and section.rare is None:
        return _drawn(section, len(lot.items), stock, tools, seed)
    material = Material(
        tasks=[known[name] for name in lot.items] if lot.maker in _OF_TASKS else (),
        draws=lot.items if lot.maker == "rare" else (),
        kind=section.rare.kind if section.rare else "math",
        topics=dict.fromkeys(lot.items, ()) if lot.maker == "textbook" else {},
        texts=[one for one in stock.texts if one[0] in lot.items] if lot.maker == "instruct" else (),
    )
    return ask(lot.maker, section, tools, material, seed)


def _evolved(section: MakeTasks, parents: Sequence[Task], stock: Stock, tools: Tools, seed: int) -> Batch:
    """One step of procedural evolution; operations that fall short are drawn more often."""
    batch, source = Batch("procedural", len(parents)), tools.source
    if not isinstance(source, Evolver):
        raise ConfigError("propose.make.makers: procedural evolves tasks of procedural sources alone; leave it out")
    for one in source.evolve(parents, weights=_weights(section, stock), longest=stock.longest, seed=seed):
        if one.task is None:
            batch.refuse(one.parent.id, one.reason, one.parent.text)
        else:
            batch.take(one.task.model_copy(update={"reference": source.solution(one.task)}))
    return batch


def _drawn(section: MakeTasks, count: int, stock: Stock, tools: Tools, seed: int) -> Batch:
    """List programs whose operations are drawn by what falls short."""
    source = tools.source
    if not isinstance(source, ListProgramsSource):
        raise ConfigError(
            "propose.make.makers: rare without a taxonomy draws list programs alone; add propose.make.rare"
        )
    found = source.propose(count, stock.shares, seed, _weights(section, stock))
    batch = Batch("rare", count + found.refused)
    for _ in range(found.refused + count - len(found.tasks)):
        batch.refuse("", "held_out")
    for task in found.tasks:
        batch.take(task.model_copy(update={"reference": source.solution(task)}))
    return batch


def _weights(section: MakeTasks, stock: Stock) -> dict[str, float] | None:
    """Weights of the list operations; None where nothing was measured, and all are equally likely."""
    gaps = [gap for gap in stock.gaps if gap.axis == "operation"]
    return (
        rare.weights({"operation": ListPrograms.axes["operation"]}, gaps, section.boost, SHARPNESS)["operation"]
        if gaps
        else None
    )


def _held(section: MakeTasks, lot: Lot, tools: Tools, batch: Batch, seed: int) -> Batch:
    """The tasks whose verifier works, and that repeat nothing held out."""
    if lot.maker == "procedural" or (lot.maker == "rare" and section.rare is None):
        batch = _admitted(tools, batch)
    elif lot.maker not in SELF_CHECKED:
        batch = admitted(section, tools, batch, seed_of(seed, "admission"))
    if tools.screen is None or not batch.tasks:
        return batch
    shown = [Attempt(task_id=t.id, attempt=0, round=0, text=t.reference or "", origin="teacher") for t in batch.tasks]
    flags = tools.screen([Trace(task=t, attempt=a) for t, a in zip(batch.tasks, shown, strict=True)]).flags
    return _sifted(batch, [flags.get(attempt.id, "") for attempt in shown])


def _admitted(tools: Tools, batch: Batch) -> Batch:
    """Made by program: the solution passes the task's own tests, near misses fail."""
    misses = [tools.source.near_misses(task) for task in batch.tasks]
    found = admit(batch.tasks, misses, tools.verifiers) if batch.tasks else []
    words = ("outage" if "error verdict" in one.problem else "not_admitted" if one.problem else "" for one in found)
    return _sifted(batch, list(words))


def _sifted(batch: Batch, faults: Sequence[str]) -> Batch:
    found = Batch(batch.maker, batch.asked, [], list(batch.refused))
    for task, fault in zip(batch.tasks, faults, strict=True):
        if fault:
            found.refuse(task.parents[0] if task.parents else task.id, fault, task.text)
        else:
            found.take(task)
    return found


def _tagged(task: Task, maker: str) -> Task:
    tags = (*(tag for tag in task.tags if not tag.startswith(f"{MAKER}:")), f"{MAKER}:{maker}")
    return task.model_copy(update={"tags": tags, "source": f"made/{maker}", "split": "train"})


def _collected(folder: FinishedChunks, known: Collection[str]) -> Made:
    """All chunks together; a task that was drawn, made or solved already is refused as `known`."""
    made, met = Made(), set(known)
    for rows in folder.iter_json():
        for row in rows:
            made.asked += 1
            if "task" not in row:
                made.refused[row["refused"]] += 1
            elif row["task"]["id"] in met:
                made.refused["known"] += 1
            else:
                met.add(row["task"]["id"])
                made.tasks.append(Task.model_validate(row["task"]))
    made.tasks.sort(key=lambda task: task.id)
    return made


def _word(reason: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", reason)
