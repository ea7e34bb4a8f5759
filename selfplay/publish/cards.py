"""The cards of a published model and of its data set, true to what the run recorded; what is not known is said."""

from collections.abc import Mapping
from typing import Any

from selfplay.publish import markdown as md
from selfplay.publish.accepted import COLUMNS, Written
from selfplay.publish.facts import RoundFacts
from selfplay.publish.hub import Accuracy, data_head, model_head
from selfplay.publish.public import public_name
from selfplay.publish.sections import (
    DEV,
    TEST,
    limits,
    lineage,
    reproduction,
    results,
    screening,
    verification,
)
from selfplay.publish.sources import source_ids, source_words
from selfplay.report.page_model import cell, counted, listed, signed
from selfplay.report.run_data import triple

OWN = "own-tasks"
"""Stands for a data set without a name: the publisher's own tasks."""
UNKNOWN = "unknown"
"""The hub's word for a licence that nobody has declared."""


def model_card(facts: RoundFacts, dtype: str) -> str:
    """The card of the round's model. `dtype`: the data type of the exported weights."""
    title = facts.names.model.rpartition("/")[2]
    body = [
        f"# {title}",
        _summary(facts),
        _use(facts),
        results(facts),
        md.section("Base model and licence", _base(facts), _model_license(facts)),
        lineage(facts),
        _training(facts, dtype),
        verification(facts),
        screening(facts),
        reproduction(facts),
        md.section("Known limits", md.bullets([*_model_limits(facts, dtype), *limits(facts)])),
    ]
    return _document(model_head(title, _model_fields(facts), _accuracy(facts)), body)


def data_card(facts: RoundFacts, written: Written) -> str:
    """The card of the accepted attempts that the round's model comes from."""
    name = (facts.names.data or f"{facts.names.model}-data").rpartition("/")[2]
    body = [
        f"# {name}",
        _data_summary(facts, written),
        _data_use(facts),
        md.section("Columns", md.bullets(f"`{key}`: {said}" for key, said in COLUMNS.items())),
        _origin(facts, written),
        md.section("Licence", _data_license(facts)),
        lineage(facts),
        verification(facts),
        screening(facts),
        md.section("Privacy of this data set", _scrubbed(written)),
        reproduction(facts),
        md.section("Known limits", md.bullets([*_data_limits(facts), *limits(facts)])),
    ]
    return _document(data_head(_data_fields(facts, written)), body)


def _document(head: str, body: list[str]) -> str:
    return head + "\n" + "\n\n".join(part for part in body if part) + "\n"


# ---- front matter ----


def _model_fields(facts: RoundFacts) -> dict[str, Any]:
    base = facts.base_id
    return {
        "license": facts.names.license or facts.base_license or UNKNOWN,
        "language": facts.config.tasks.language,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": base,
        "base_model_relation": None if base is None else "finetune",
        "datasets": [*([facts.names.data] if facts.names.data else []), *source_ids(facts)] or None,
        "tags": ["selfplay", "self-improvement", "trl", facts.config.train.method],
    }


def _accuracy(facts: RoundFacts) -> Accuracy | None:
    row = facts.commit.row()
    if TEST not in row:
        return None
    name = f"Greedy accuracy on {row['test/greedy_accuracy_n']} test tasks"
    source = next(iter(source_ids(facts)), OWN if facts.config.tasks.source == "jsonl" else facts.config.tasks.source)
    return Accuracy(float(row[TEST]), name, f"Test tasks of {source}", source)


def _data_fields(facts: RoundFacts, written: Written) -> dict[str, Any]:
    limits = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((word for most, word in limits if written.rows < most), "1M<n<10M")
    return {
        "license": facts.data_license or UNKNOWN,
        "language": facts.config.tasks.language,
        "pretty_name": f"Accepted attempts of {facts.config.name}",
        "task_categories": ["text-generation"],
        "size_categories": [size],
        "source_datasets": source_ids(facts) or None,
        "tags": [
            "selfplay",
            "self-improvement",
            "synthetic",
            "verified" if facts.config.curate.verified_only else "unverified",
        ],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train.parquet"}]}],
    }


# ---- the model ----


def _summary(facts: RoundFacts) -> str:
    row, then = facts.commit.row(), facts.first.row()
    start = md.code(facts.base_name) if facts.base_name else "A model from random weights"
    run = f"the `selfplay` run `{facts.config.name}`"
    own = f"{'verified' if facts.config.curate.verified_only else 'unfiltered'} solutions of its own"
    given = "given solutions (the anchor)" if facts.config.train.warmup or row.get("data/anchor_share") else ""
    on = listed(filter(None, (own if facts.total("data/accepted") else "", given)))
    said = f"{start}, trained on {on}: round {facts.number} of {run}."
    if not facts.number:
        said = f"{start}: round 0 of {run}, before any self-improvement."
    key, name = (TEST, "test") if TEST in row else (DEV, "dev")
    if key in row and facts.number:
        change = signed(*triple(row, f"{key}_delta"))
        said += f" Greedy accuracy on the {name} tasks: {cell(then, key)} in round 0, {cell(row, key)} in this round, paired change {change}."
    refused = "\n\n> **The gate of the run refused this round.** See Known limits." if facts.refused else ""
    return f"{said} It was measured on tasks of {source_words(facts)}, and on nothing else.{refused}"


def _use(facts: RoundFacts) -> str:
    if facts.config.student.prompt_form == "chat":
        prompt = (
            "tokenizer.apply_chat_template(\n"
            '    [{"role": "user", "content": task}], add_generation_prompt=True, return_tensors="pt", return_dict=True\n)'
        )
        form = "It was asked with the chat template of its tokenizer, one user message per task."
    else:
        prompt = 'tokenizer(task, return_tensors="pt")'
        form = "It was asked with the plain text of a task, without a chat template."
    lines = (
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n",
        f'name = "{facts.names.model}"',
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        "model = AutoModelForCausalLM.from_pretrained(name)",
        'task = "..."',
        f"inputs = {prompt}",
        f"output = model.generate(**inputs, max_new_tokens={facts.config.generate.max_new_tokens}, do_sample=False)",
        'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
        "```",
    )
    example = "\n".join(lines)
    data = facts.names.data
    shown = f" The prompts of [{data}](https://huggingface.co/datasets/{data}) are such tasks." if data else ""
    return md.section("Use", form + shown, example)


def _base(facts: RoundFacts) -> str:
    if not facts.base_name:
        return "There is no base model: the run made the weights at random, and the tokenizer from the anchor's texts."
    if facts.base_id is None:
        return (
            f"The base model is {md.code(facts.base_name)}, which the run read from a folder; its name on the hub is unknown. "
            f"Base model's licence: {facts.base_license or 'unknown'}."
        )
    known = facts.base_license
    revision = getattr(facts.config.student, "revision", None)
    read = "which the run read from a folder and the publisher names so; " if facts.names.base else ""
    at = f" at revision {md.code(revision)}" if revision else ""
    declared = f"its card declares the licence `{known}`" if known else "its licence is unknown here; see its own card"
    return (
        f"The base model is [{md.text(facts.base_id)}](https://huggingface.co/{facts.base_id}){at}, {read}{declared}."
    )


def _model_license(facts: RoundFacts) -> str:
    if facts.names.license:
        return f"Licence of this model, as its publisher declares it: `{facts.names.license}`."
    if facts.base_license:
        return f"Nobody declared a licence for this model; the card's `{facts.base_license}` is that of the base model."
    return "Nobody declared a licence for this model, so it is unknown."


def _training(facts: RoundFacts, dtype: str) -> str:
    train, row = facts.config.train, facts.commit.row()
    length = f"{train.steps} steps" if train.steps else f"{train.epochs:g} epochs"
    what = f"a LoRA adapter of rank {train.lora.rank}, merged into the base here" if train.lora else "all weights"
    base = "the model of round 0" if train.warmup else "the base model"
    start = base if train.start == "from_base" else "its parent's weights"
    regime = {
        "accumulate": "the accepted attempts of all its rounds",
        "replace": "the accepted attempts of its own round alone",
        "accumulate_subsample": f"{facts.config.curate.max_rows} rows drawn from all its rounds",
    }[facts.config.curate.regime]
    said = [
        f"Method: `{train.method}` with TRL, {what}; each round starts from {start}, and trains {length} at batch size {train.batch_size} "
        f"and a peak learning rate of {train.learning_rate:g}, on {regime}.",
        f"Round 0 was warmed up for {train.warmup.steps} steps on the anchor." if train.warmup else "",
        _rows(row) if facts.number else "",
        f"The weights are stored as {dtype}.",
    ]
    return md.section("Training", " ".join(filter(None, said)))


def _rows(row: Mapping[str, Any]) -> str:
    if "data/train_rows" not in row:
        return ""
    shares = [
        f"{row[f'data/{kind}_share']:.0%} {said}"
        for kind, said in (
            ("new", "of this round"),
            ("older", "of earlier rounds"),
            ("anchor", "anchor (not written by the student)"),
        )
        if row.get(f"data/{kind}_share")
    ]
    return f"This round trained on {counted(row['data/train_rows'], 'row')}: {listed(shares)}."


def _model_limits(facts: RoundFacts, dtype: str) -> list[str]:
    base = facts.base_name
    return [
        f"It was trained and measured on tasks of {source_words(facts)}. What it lost elsewhere was not measured"
        + (f"; neither was the base model {md.code(base)} beside it on other tasks." if base else "."),
        f"The figures were measured on the weights as the run held them, which the export may round to {dtype}."
        if dtype not in ("float32",)
        else "",
        "What the base model was trained on is not known here, so that base and test tasks may overlap."
        if base
        else "",
    ]


# ---- the data ----


def _data_summary(facts: RoundFacts, written: Written) -> str:
    model = facts.names.model
    link = f"[{model}](https://huggingface.co/{model})" if "/" in model else md.code(model)
    return (
        f"{counted(written.rows, 'accepted attempt')} at {counted(written.tasks, 'task')}, from {counted(len(facts.data_rounds), 'round')} of the "
        f"`selfplay` run `{facts.config.name}`: the self-made training data of {link}. Attempts of rounds that were rolled back are not in it, "
        "nor are rejected attempts, dev tasks and test tasks."
    )


def _data_use(facts: RoundFacts) -> str:
    name = facts.names.data or "this folder"
    form = (
        "a list of chat messages, as TRL reads it"
        if facts.config.student.prompt_form == "chat"
        else "text, as TRL reads it"
    )
    return md.section(
        "Use",
        f"Prompt and completion are {form}.",
        f'```python\nfrom datasets import load_dataset\n\ndata = load_dataset("{name}", split="train")\n```',
    )


def _origin(facts: RoundFacts, written: Written) -> str:
    words = {"student": "the student", "teacher": "a teacher model", "human": "people"}
    who = [f"{count} by {words.get(name, name)}" for name, count in sorted(written.authors.items())]
    per = md.table(
        ("round", "attempts", "tasks"), [[str(n), str(rows), str(tasks)] for n, rows, tasks in written.by_round]
    )
    anchor = facts.first.row().get("data/anchor_rows")
    teacher = _teacher(facts)
    return md.section(
        "Where the rows come from",
        f"The tasks come from {source_words(facts)}. The solutions were written: {listed(who)}." if who else "",
        per,
        f"The {counted(anchor, 'row')} of the anchor, solutions that the student did not write, were replayed in training and are not part of "
        "this data set."
        if anchor
        else "",
        teacher,
    )


def _teacher(facts: RoundFacts) -> str:
    """Which models of others wrote something in the data: their terms may bind whoever trains on it."""
    synthesis = facts.config.propose.synthesize
    given = synthesis.teacher.backend if synthesis is not None and synthesis.teacher is not None else None
    writer = facts.config.generate.backend
    names = [public_name(engine.name) for engine in (given, writer) if engine is not None and not engine.is_student]
    if not names:
        return ""
    return f"Models that wrote tasks or solutions beside the student: {listed(map(md.code, names))}. Their terms may limit the use of this data."


def _data_license(facts: RoundFacts) -> str:
    tasks = facts.config.tasks
    if facts.names.data_license:
        return f"Licence, as the publisher declares it: `{facts.names.data_license}`."
    if tasks.license:
        return (
            f"The prompts are tasks under the licence `{tasks.license}`, as the configuration says (`tasks.license`)."
        )
    if tasks.known_license:
        return (
            f"The prompts are tasks of {source_words(facts)}, which `selfplay` takes to be under `{tasks.known_license}`; nobody declared "
            "another licence."
        )
    return "The licence of the tasks is unknown, and nobody declared one for this data set. Ask its publisher before using it."


def _scrubbed(written: Written) -> str:
    return (
        "Before writing, prompts, completions and evidence were searched for personal identifiers that have a pattern, and each was replaced by "
        f"a made-up one: in {counted(written.scrubbed, 'row')}. Such a row differs from what the model was trained on."
    )


def _data_limits(facts: RoundFacts) -> list[str]:
    correction = facts.config.correct
    return [
        "The solutions are a model's. An accepted one can be right by luck, or right with wrong reasoning.",
        "A row's weight, how often it was repeated in training, and whether a batch reached it are not recorded here.",
        "Training used preference pairs, of which this data set has the accepted side only."
        if facts.config.train.method in ("dpo", "kto")
        else "",
        "Rows with `turn: 1` are corrections; their training prompt held the failed attempt too, which is not part of the row."
        if correction.attempts and correction.format == "whole"
        else "",
    ]
