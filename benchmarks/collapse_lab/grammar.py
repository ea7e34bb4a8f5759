"""The verifiable expression language of level 2: prompts with many right answers, checked exactly.

A task is a number 0..99; an answer is an expression in prefix notation (`+ 3 * 4 5`) over the digits 1..9 that comes to
it. Real text is drawn from a grammar with Zipf-weighted operators and digits, so that the true chance of each
expression is known and some are rare. Token sequences: two digits of the target, `=`, the expression, END; PAD after.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
DIGITS = "0123456789"
VOCABULARY = [*DIGITS, "+", "-", "*", "=", "END", "PAD"]
NUMBER = {token: i for i, token in enumerate(VOCABULARY)}
END, PAD, EQUALS = NUMBER["END"], NUMBER["PAD"], NUMBER["="]
PROMPT = 3
"""Tokens of the prompt: two digits and `=`."""
LENGTH = PROMPT + 15 + 1
"""Longest sequence: a full tree of depth 3 has 15 tokens, then END."""
LEAF = (0.0, 0.5, 0.75, 1.0)
"""Chance that a node at this depth is a digit."""
OPERATORS = {"+": 0.55, "-": 0.3, "*": 0.15}
DIGIT_WEIGHTS = {str(d): w for d, w in zip((2, 1, 3, 5, 4, 8, 6, 9, 7), 1 / np.arange(1, 10), strict=True)}
Tree = tuple[str, ...]
"""Tokens of an expression in prefix order."""


@dataclass(frozen=True)
class Expression:
    """One expression, what it comes to, and the log of its chance under the grammar (before conditioning on the range)."""

    tokens: Tree
    value: int
    log_p: float


def draw(rng: np.random.Generator) -> Expression:
    """One expression from the grammar, given that it comes to 0..99."""
    while True:
        tokens, value, log_p = _node(rng, 0)
        if 0 <= value <= 99:
            return Expression(tuple(tokens), value, log_p)


_OPS, _OP_P = list(OPERATORS), np.asarray(list(OPERATORS.values()))
_DIG = list(DIGIT_WEIGHTS)
_DIG_P = np.asarray(list(DIGIT_WEIGHTS.values())) / sum(DIGIT_WEIGHTS.values())
_OP_SUM, _DIG_SUM = np.cumsum(_OP_P), np.cumsum(_DIG_P)


def _node(rng: np.random.Generator, depth: int) -> tuple[list[str], int, float]:
    if rng.random() < LEAF[depth]:
        i = min(int(np.searchsorted(_DIG_SUM, rng.random())), 8)
        return [_DIG[i]], int(_DIG[i]), math.log(LEAF[depth] * _DIG_P[i])
    i = min(int(np.searchsorted(_OP_SUM, rng.random())), 2)
    left, a, log_a = _node(rng, depth + 1)
    right, b, log_b = _node(rng, depth + 1)
    value = a + b if _OPS[i] == "+" else a - b if _OPS[i] == "-" else a * b
    return [_OPS[i], *left, *right], value, math.log((1 - LEAF[depth]) * _OP_P[i]) + log_a + log_b


def encode(target: int, tokens: Tree) -> list[int]:
    """Token numbers of one sequence, padded to LENGTH."""
    row = [*(NUMBER[d] for d in f"{target:02d}"), EQUALS, *(NUMBER[t] for t in tokens), END]
    return row + [PAD] * (LENGTH - len(row))


def decode(row: Tokens) -> Tree | None:
    """The answer in a sequence, or None where it does not end."""
    body = row[PROMPT:].tolist()
    return tuple(VOCABULARY[t] for t in body[: body.index(END)]) if END in body else None


def evaluate(tokens: Tree) -> tuple[int, str] | None:
    """Value and canonical form (operands of + and * sorted) of a prefix expression; None where it is malformed."""
    stack: list[tuple[int, str]] = []
    for token in reversed(tokens):
        if token in OPERATORS:
            if len(stack) < 2:
                return None
            (a, left), (b, right) = stack.pop(), stack.pop()
            value = a + b if token == "+" else a - b if token == "-" else a * b
            if token != "-" and right < left:
                left, right = right, left
            stack.append((value, f"({left}{token}{right})"))
        elif token in DIGITS[1:]:
            stack.append((int(token), token))
        else:
            return None
    return stack[0] if len(stack) == 1 else None


def canonical(row: Tokens) -> str | None:
    """Canonical form of a sequence's answer where it is right, else None: the exact verifier."""
    tokens = decode(row)
    found = evaluate(tokens) if tokens else None
    target = row[0] * 10 + row[1]
    return found[1] if found is not None and found[0] == target else None


@dataclass
class Language:
    """Real data and what is frozen before round 0: the test text, the dev tasks, the rare items."""

    train: Tokens
    test: Tokens
    entropy: float
    """True cross-entropy of the test answers given their prompts, nats a token: the floor of the loss (estimated)."""
    dev: list[int]
    rare_tasks: list[bool]
    rare_items: list[str] = field(default_factory=list)
    """`target:canonical` forms whose expected count in one draw of the dev set lies between 0.3 and 3."""


def make_language(size: int, tasks: int, attempts: int, seed: int) -> Language:
    """Draws `size` real training sequences, a tenth as many for the test, and fixes dev set, tail and items."""
    rng = np.random.default_rng(seed)
    drawn = [draw(rng) for _ in range(size + size // 10)]
    survey = drawn if size >= 40_000 else drawn + [draw(rng) for _ in range(40_000 - size)]
    targets = Counter(e.value for e in survey)
    ranked = [t for t, _ in targets.most_common()]
    dev = sorted(ranked[: max(tasks * 2, tasks)], key=lambda t: (ranked.index(t) * 7919) % 101)[:tasks]
    rare = [targets[t] <= np.median([targets[p] for p in dev]) / 2 for t in dev]
    table = np.asarray([encode(e.value, e.tokens) for e in drawn])
    held = drawn[size:]
    tokens = sum(len(e.tokens) + 1 for e in held)
    share = np.asarray([math.log(targets[e.value] / len(survey)) for e in held])
    in_range = _log_in_range(rng)
    entropy = -float(sum(e.log_p for e in held) - len(held) * in_range - share.sum()) / tokens
    return Language(table[:size], table[size:], entropy, dev, rare, _rare_items(survey, dev, attempts))


def _log_in_range(rng: np.random.Generator) -> float:
    values = np.asarray([_node(rng, 0)[1] for _ in range(4000)])
    return math.log(float(((values >= 0) & (values <= 99)).mean()))


def _rare_items(survey: list[Expression], dev: list[int], attempts: int) -> list[str]:
    by_target: dict[int, Counter[str]] = {t: Counter() for t in dev}
    for e in survey:
        if e.value in by_target:
            found = evaluate(e.tokens)
            by_target[e.value][found[1] if found else ""] += 1
    rare = []
    for target, forms in by_target.items():
        total = sum(forms.values())
        rare += [f"{target}:{f}" for f, n in forms.items() if n >= 2 and 0.3 <= attempts * n / total <= 3]
    return sorted(rare)
