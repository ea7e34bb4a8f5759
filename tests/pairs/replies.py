"""Replies around an answer: bare, boxed, marked, in sentences, with work before it and remarks after it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .texts import Text


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply and how it was made."""

    text: str
    how: str


def in_prose(rng: Random, text: Text) -> str:
    """The answer as it stands in a sentence."""
    if text.plain is not None and (text.latex is None or rng.random() < 0.6):
        return text.plain
    return rng.choice((f"${text.latex}$", f"${text.latex}$", rf"\({text.latex}\)"))


def in_box(text: Text) -> str:
    """The answer as it stands in a box."""
    return rf"\boxed{{{text.plain if text.latex is None else text.latex}}}"


def stop(text: str) -> str:
    """A full stop, unless the text ends in one."""
    return text if text.endswith(".") else text + "."


Frame = Callable[[Random, Text], str]


def _bare(rng: Random, t: Text) -> str:
    if t.plain is not None and (t.latex is None or rng.random() < 0.5):
        return t.plain
    return rng.choice((str(t.latex), f"${t.latex}$", rf"\({t.latex}\)", f"$${t.latex}$$", rf"\[ {t.latex} \]"))


def _boxed(rng: Random, t: Text) -> str:
    box = in_box(t)
    if rng.random() < 0.08:
        box = box.replace("{", "{\n", 1)[:-1] + "\n}"
    return rng.choice(
        (box, f"${box}$", f"$${box}$$", f"Therefore, the answer is ${box}$.", f"So we get {box}.", rf"\[ {box} \]")
    )


def _fbox(rng: Random, t: Text) -> str:
    del rng
    return f"The answer is ${in_box(t).replace('boxed', 'fbox', 1)}$"


def _hashes(rng: Random, t: Text) -> str:
    return f"#### {in_prose(rng, t)}"


_LABELS = (
    "A:",
    "Answer:",
    "Final answer:",
    "Final Answer:",
    "**Answer:**",
    "**Final Answer:**",
    "ANSWER:",
    "The final answer:",
)


def _labelled(rng: Random, t: Text) -> str:
    label = rng.choice(_LABELS)
    return f"{label} {in_prose(rng, t)}"


_LEADS = (
    "The answer is", "The final answer is", "So the answer is", "Therefore, the answer is", "Thus the final answer is",
    "The correct answer is", "Hence, the answer is", "the answer is",
)  # fmt: skip


def _sentence(rng: Random, t: Text) -> str:
    lead = rng.choice(_LEADS)
    return stop(f"{lead} {in_prose(rng, t)}")


def _bold(rng: Random, t: Text) -> str:
    return rng.choice(("The answer is **{}**.", "Final answer: **{}**", "#### **{}**", "**Answer: {}**")).format(
        in_prose(rng, t)
    )


def _tags(rng: Random, t: Text) -> str:
    body = rng.choice((in_prose(rng, t), in_box(t)))
    return rng.choice(("<answer>{}</answer>", "<answer> {} </answer>", "<answer>\n{}\n</answer>")).format(body)


def _heading(rng: Random, t: Text) -> str:
    return rng.choice(
        ("### Final Answer\n\n{}", "### Answer\n{}", "## Answer\n\n{}", "### Final Answer:\n\n{}")
    ).format(in_prose(rng, t))


def _conclusion(rng: Random, t: Text) -> str:
    """A last sentence without any mark, whose formula or number is the answer; words are only looked for at a mark."""
    if not any(c.isdigit() for c in t.plain or t.latex or ""):
        return _sentence(rng, t)
    return stop(
        f"{rng.choice(('Therefore, the total is', 'So the result is', 'Hence the value is'))} {in_prose(rng, t)}"
    )


def _next_question(rng: Random, t: Text) -> str:
    """An answer after which the model goes on with a question of its own."""
    return f"{_sentence(rng, t)}\n\nQ: There are 3 cars and 5 vans. How many wheels are there?"


FRAMES: dict[str, Frame] = {
    "bare": _bare,
    "box": _boxed,
    "fbox": _fbox,
    "hashes": _hashes,
    "label": _labelled,
    "sentence": _sentence,
    "bold": _bold,
    "tags": _tags,
    "heading": _heading,
    "conclusion": _conclusion,
    "next question": _next_question,
}
_WEIGHTS = (18, 30, 2, 10, 14, 12, 6, 6, 4, 3, 1)
_NAMES = tuple(FRAMES)

_WORK = (
    "Let me work through this step by step.",
    "First I look at what is given.",
    "We have 3 + 4 = 7 and 7 * 2 = 14.",
    "Substituting gives $2x + 1 = 7$, so $x = 3$.",
    "There are 12 of one kind and 8 of the other, which makes 20.",
    "From the table, the first row sums to 15.",
    "* step one: halve it\n* step two: add both parts",
)
_TRIED = (
    "A first try gives {}, but that overlooks a case.",
    "At first sight it looks like {}. That is not right, as the check shows.",
    "Someone in a hurry would get {}.",
    "Without the last condition the result would be {}.",
)
_AFTER_MARK = (
    "This answer is correct.",
    "The answer is in its simplest form.",
    "Let me know if you would like more detail.",
    "I checked it by substitution, and it holds.",
    "The answer is thus verified.",
    "Note that the answer is reasonable.",
    "This result is consistent with the problem.",
    "Hope this helps!",
)
_TOKENS = ("</s>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>")


def _work(rng: Random, decoy: Text | None) -> tuple[str, str]:
    """Lines of work, and what is in them; a value other than the answer may be among them."""
    lines = rng.sample(_WORK, rng.randint(1, 3))
    if decoy is None or rng.random() < 0.5:
        return "\n".join(lines), "work before"
    tried = rng.choice(_TRIED).format(in_prose(rng, decoy))
    lines.insert(rng.randrange(len(lines) + 1), tried)
    return "\n".join(lines), "work before with another value"


def _thought(rng: Random, decoy: Text | None) -> tuple[str, str]:
    """A think block, with or without another value as its conclusion."""
    open_tag = rng.choice(("<think>", "<think>", "<think>\n", ""))
    inside = rng.choice(_WORK)
    if decoy is not None:
        inside += "\n" + rng.choice(("So the answer is {}.", "Perhaps the final answer is {}.")).format(
            in_prose(rng, decoy)
        )
        if rng.random() < 0.3:
            inside += f"\nFinal: {in_box(decoy)}"
    return f"{open_tag}{inside}\n</think>", "think block before"


def compose(rng: Random, answer: Text, decoy: Text | None) -> Reply:
    """A reply whose stated answer is the given one; `decoy` is a different value that may stand elsewhere in it."""
    name = rng.choice(("label", "sentence")) if answer.sentence else rng.choices(_NAMES, _WEIGHTS)[0]
    stated = FRAMES[name](rng, answer)
    parts, how = [stated], [name]
    if name != "bare" and rng.random() < 0.45:
        before, said = _work(rng, decoy)
        parts.insert(0, before)
        how.append(said)
    if name == "box" and decoy is not None and rng.random() < 0.1:
        parts.insert(0, f"I would say {in_box(decoy)} at first. Checking it shows a slip, so once more.")
        how.append("earlier box")
    if rng.random() < 0.12:
        before, said = _thought(rng, decoy)
        parts.insert(0, before)
        how.append(said)
    text = rng.choice(("\n", "\n\n")).join(parts)
    if name in ("box", "hashes", "tags") and rng.random() < 0.25:
        text += rng.choice(("\n", "\n\n")) + rng.choice(_AFTER_MARK)
        how.append("remark after")
    elif name != "bare" and rng.random() < 0.08:
        text += rng.choice(_TOKENS)
        how.append("chat token after")
    return Reply(text, ", ".join(how))


def hedge(rng: Random, right: Text, wrong: Text) -> Reply:
    """A reply that names the right value and commits itself to no single one, or takes it back."""
    one, two = (right, wrong) if rng.random() < 0.5 else (wrong, right)
    a, b = in_prose(rng, one), in_prose(rng, two)
    forms = (
        ("or", f"The answer is {a} or {b}."),
        ("either", f"The answer is either {a} or {b}."),
        ("label, or", f"Answer: {a} or {b}"),
        ("hashes, or", f"#### {a} or {b}"),
        ("two boxes", f"{in_box(one)} or {in_box(two)}"),
        ("two boxes with quad", rf"${in_box(one)} \quad \text{{or}} \quad {in_box(two)}$"),
        ("could be", f"It could be {a}, but it could also be {b}. I am not sure which."),
        ("denied", f"The answer is not {in_prose(rng, right)}."),
        (
            "taken back",
            f"The answer is {in_prose(rng, right)}. Wait, that is wrong. The answer is {stop(in_prose(rng, wrong))}",
        ),
        ("box taken back", f"{in_box(right)}\n\nCorrection: the last step was wrong. It is {in_box(wrong)}"),
        (
            "box with or",
            rf"\boxed{{{two.latex if two.latex else two.plain} \text{{ or }} {one.latex if one.latex else one.plain}}}",
        ),
    )
    how, text = rng.choice(forms)
    return Reply(text, f"hedge, {how}")


def nothing(rng: Random) -> Reply:
    """A reply without an answer."""
    empty = (
        "",
        "\\boxed{}",
        "The answer is",
        "I do not know.",
        "Answer:",
        "####",
        "N/A",
        "<answer></answer>",
        "$\\boxed{\\ }$",
        "?",
    )
    return Reply(rng.choice(empty), "no answer")


def only_in_thought(rng: Random, right: Text) -> Reply:
    """A reply whose right value stands in a think block that never ends, or with nothing after it."""
    value = in_prose(rng, right)
    text = rng.choice(
        (
            f"<think>\nSo the answer is {value}.",
            f"<think>\nThus {in_box(right)}.\n</think>\nI am sorry, I could not finish this.",
            f"<think>\nThe answer is {value}.\n</think>",
        )
    )
    return Reply(text, "right value in thought only")
