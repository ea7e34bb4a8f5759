"""Decides whether two parsed answers are the same: proved, refuted, or undecided. Only the symbolic worker imports it.

| of both sides | proved by | refuted by | undecided is |
|---|---|---|---|
| terms | equal trees, equal values in F_p, zero bound (numbers), simplification | other values in F_p where exact, other reals | no verdict |
| equations, inequalities | left minus right sides in one constant ratio (its sign counts for `<`) | | not the same |
| several relations | each of one with one of the other | | not the same |
| sets, tuples | part by part; both subsets of each other | a part | no verdict |
| matrices | entry by entry | an entry, or the shape | no verdict |
| a text that the grammar reads as less than it says (`gcd(m, n)`, `a : b : c`, a congruence) | the same text | | as above |

Real values never prove anything: terms can agree to any number of digits, at any points, without being equal.
"""

import hashlib
import re
from typing import Any

import sympy
from sympy.core.relational import Relational

from selfplay.verify.math.field import Draw
from selfplay.verify.math.images import images
from selfplay.verify.math.sizes import MAX_WEIGHT, Undecided, bits, weight

DIGITS = 50
"""Significant digits to which real values are worked out."""
REAL_POINTS = 4
MAX_SETTLED = 50_000
"""Most bits of the numbers of a term that sympy may compute; larger terms are left to the field."""
MAX_BOUND_BITS = 20_000
MAX_OPERATIONS = 150
"""Most operations of a difference that simplification is tried on."""
RELATIONS = (Relational, sympy.And)
_OPERATORS = (sympy.Integral, sympy.Limit, sympy.Sum, sympy.Product, sympy.Derivative)
_FAILURES = (
    Undecided,
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


def seed_of(gold: str, answer: str) -> bytes:
    """The seed of all points of one comparison, so that the same pair is always decided the same way."""
    return hashlib.sha256(f"{len(gold)}:{gold}{answer}".encode()).digest()


def numeric(term: Any) -> Any:
    """The value to DIGITS digits if the term is a finite number, else None."""
    try:
        value = sympy.sympify(term).evalf(DIGITS, maxn=4 * DIGITS)
    except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError):
        return None
    finite = getattr(value, "is_number", False) and value.is_finite and not value.has(sympy.zoo, sympy.nan, sympy.oo)
    return value if finite and all(part.is_Float or part.is_Rational for part in value.as_real_imag()) else None


def vanishes(value: Any) -> bool:
    """Whether no digit of a value is significant: it is 0, or its terms cancel to far below DIGITS digits."""
    return all(part == 0 or (part.is_Float and part._prec <= 4) for part in value.as_real_imag())


def differ(left: Any, right: Any) -> bool:
    """Whether two values differ within 30 significant digits."""
    if vanishes(left) or vanishes(right):
        return not (vanishes(left) and vanishes(right))
    return bool(abs(left - right) > max(abs(left), abs(right)) * sympy.Float(10) ** -30)


def uniform(*given: Any) -> list[Any]:
    """Both with the imaginary unit for a letter i and one symbol for each name."""
    free = {symbol for term in given for symbol in term.free_symbols}
    imaginary = {symbol: sympy.I for symbol in free if symbol.name == "i"}
    real = not imaginary and all(symbol.is_real for symbol in free)
    renamed = {s: sympy.Symbol(s.name, real=True if real else None) for s in free if s not in imaginary}
    return [term.xreplace(renamed | imaginary) if renamed or imaginary else term for term in given]


def settled(node: Any) -> Any:
    """The tree as sympy builds it, with special values (`sin(pi/6)`, `5!`) computed; integrals, sums, limits and derivatives are left as they are."""
    if not node.args or isinstance(node, _OPERATORS):
        return node
    parts = [settled(part) for part in node.args]
    return parts[0] if node.func is sympy.UnevaluatedExpr else node.func(*parts)


def worked_out(node: Any) -> Any:
    """Like `settled`, but also computes definite integrals, sums, limits and derivatives that contain no unknown."""
    if not node.args:
        return node
    parts = [worked_out(part) for part in node.args]
    if not isinstance(node, _OPERATORS):
        return parts[0] if node.func is sympy.UnevaluatedExpr else node.func(*parts)
    hidden = bool(node.atoms(sympy.core.function.AppliedUndef))
    if isinstance(node, sympy.Derivative):
        # y in dy/dx may depend on x, but sympy would give 0
        hidden = hidden or not node.expr.free_symbols <= set(node.variables)
    if isinstance(node, sympy.Integral):
        hidden = hidden or any(len(limits) != 3 for limits in node.limits)
    return node if hidden else node.doit()


def undefined(term: Any) -> bool:
    """Whether a term obviously has no value, such as 1/0."""
    return bool(term.has(sympy.nan, sympy.zoo))


def same_term(gold: Any, answer: Any, seed: bytes) -> bool | None:
    """Whether two terms are equal; None if that is neither proved nor refuted."""
    try:
        light = is_light(gold, answer)
    except Undecided:
        return None
    if not light:
        # rebuilding such a term would compute its powers every time
        return same_in_field(gold, answer, seed)
    gold, answer = map(settled, uniform(gold, answer))
    decided = compared_values(gold, answer, seed)
    if decided is not None:
        return decided
    full = worked_out(gold), worked_out(answer)
    if full != (gold, answer):
        decided = compared_values(*full, seed)
    return decided if decided is not None else proved_zero(full[0] - full[1])


def is_light(*given: Any) -> bool:
    """Whether sympy may compute the terms. Raises Undecided if not even the field can evaluate them."""
    if sum(map(weight, given)) > MAX_WEIGHT:
        raise Undecided
    return sum(map(bits, given)) <= MAX_SETTLED


def compared_values(gold: Any, answer: Any, seed: bytes) -> bool | None:
    """Compares by trees, by the prime field, and by real values, which can only refute; numbers first by their zero bound, the faster way."""
    if undefined(gold) or undefined(answer):
        return None
    if gold == answer:
        return True
    numbers = not gold.free_symbols and not answer.free_symbols
    if numbers and refuted(gold, answer, seed):
        return False
    if numbers and below_zero_bound(gold - answer):
        return True
    decided = same_in_field(gold, answer, seed)
    if decided is None and not numbers and refuted(gold, answer, seed):
        return False
    return decided


def same_in_field(gold: Any, answer: Any, seed: bytes) -> bool | None:
    """Compares values in a prime field; gives False only if the field is exact for these terms."""
    try:
        found = images(seed, [bound(gold), bound(answer)], 1)
    except _FAILURES:
        return None
    [[left, right]] = found.rows
    if left == right:
        return True
    return None if found.opaque else False


def bound(term: Any) -> Any:
    """The term with its bound unknowns (of sums, integrals) named alike."""
    return term.as_dummy() if term.has(*_OPERATORS) else term


def refuted(gold: Any, answer: Any, seed: bytes) -> bool:
    """Whether the two differ at a point where both have a value; every unknown is positive at some points, negative at others."""
    symbols = sorted(gold.free_symbols | answer.free_symbols, key=lambda symbol: symbol.name)
    draw = Draw(seed)
    for i in range(REAL_POINTS if symbols else 1):
        point = {}
        for symbol in symbols:
            sign = (-1) ** (i + draw.number("sign", symbol.name) % 2)
            point[symbol] = sign * sympy.Rational(draw.number("real", i, symbol.name) % 9000 + 100, 1009)
        left, right = numeric(gold.subs(point)), numeric(answer.subs(point))
        if left is not None and right is not None and differ(left, right):
            return True
    return False


def proved_zero(term: Any) -> bool | None:
    """True if simplification gives 0, else None."""
    # what could not be computed is not simplified either: sympy takes dy/dx to be 0
    if term.count_ops() > MAX_OPERATIONS or undefined(term) or term.has(*_OPERATORS):
        return None
    try:
        return True if tangent_vanishes(term) or sympy.simplify(term) == 0 else None
    except _FAILURES:
        return None


def tangent_vanishes(number: Any) -> bool:
    """Whether a sum of arcus functions, below 1 in size, has the tangent 0: then it is 0."""
    if number.free_symbols or not number.has(sympy.atan, sympy.asin, sympy.acos):
        return False
    # the second pass takes multiples apart
    value, tangent = numeric(number), sympy.expand_trig(sympy.expand_trig(sympy.tan(number)))
    return value is not None and bool(abs(value) < 1) and (tangent == 0 or below_zero_bound(tangent))


def below_zero_bound(number: Any) -> bool:
    """Whether an algebraic number is so small that it is 0.

    The bound of Burnikel, Funke, Mehlhorn, Schirra and Schmitt: with u and l bounds of the conjugates of numerator and
    denominator and D the product of the roots' degrees, a number other than 0 is at least 1 / (u^(D-1) l).
    """
    roots: dict[Any, int] = {}
    try:
        upper, lower = _bounds(number, roots)
    except _FAILURES:
        return False
    degree = 1
    for k in roots.values():
        degree *= k
    bits = (degree - 1) * upper + lower + 8
    if bits > MAX_BOUND_BITS:
        return False
    value = number.evalf(20, maxn=int(bits * 0.302) + 60)
    return all(part == 0 or abs(part) < sympy.Float(2) ** -int(bits) for part in value.as_real_imag())


def _bounds(number: Any, roots: dict[Any, int]) -> tuple[float, float]:
    """Binary logarithms of u and l of `below_zero_bound`; collects the roots. Raises Undecided on what is not algebraic."""
    if number.is_Rational:
        return float(int(number.p).bit_length()), float(int(number.q).bit_length())
    if number is sympy.I:
        roots[number] = 2
        return 0.0, 0.0
    if number.is_Pow and number.exp.is_Rational:
        upper, lower = _bounds(number.base, roots)
        if number.exp < 0:
            upper, lower = lower, upper
        k, times = int(number.exp.q), abs(int(number.exp.p))
        if k > 1:
            roots[number.base, k] = k
        return (upper + (k - 1) * lower) * times / k, lower * times
    if not (number.is_Add or number.is_Mul):
        raise Undecided
    upper, lower = _bounds(number.args[0], roots)
    for part in number.args[1:]:
        u, l = _bounds(part, roots)
        upper = upper + u if number.is_Mul else max(upper + l, lower + u) + 1
        lower += l
    return upper, lower


def same_relation(gold: Any, answer: Any, seed: bytes) -> bool:
    """Whether two (in)equalities, or conjunctions of them, are shown to say the same."""
    if isinstance(gold, sympy.And) and isinstance(answer, sympy.And):
        return matched(list(gold.args), list(answer.args), seed) is True
    if not isinstance(gold, Relational) or not isinstance(answer, Relational):
        return False
    if not all(isinstance(side, sympy.Expr) for relation in (gold, answer) for side in relation.args):
        sides = [compared(*pair, seed) for pair in zip(gold.args, answer.args, strict=True)]
        return gold.func == answer.func and all(sides)
    (kind, left), (other, right) = one_sided(gold), one_sided(answer)
    if kind != other:
        return False
    symmetric = kind in (sympy.Eq, sympy.Ne)
    if in_constant_ratio(left, right, seed):
        return symmetric or same_sign(left, right, seed)
    if not symmetric or max(left.count_ops(), right.count_ops()) > MAX_OPERATIONS:
        return False
    # two sides without a common denominator: y = 1/x is x y = 1
    numerator, other = (sympy.fraction(sympy.cancel(side))[0] for side in (left, right))
    return in_constant_ratio(numerator, other, seed)


def one_sided(relation: Any) -> tuple[Any, Any]:
    """A relation as `kind` and the term that is compared with 0, `>` turned into `<`."""
    turned = {sympy.Gt: sympy.Lt, sympy.Ge: sympy.Le}
    if relation.func in turned:
        return turned[relation.func], relation.rhs - relation.lhs
    return relation.func, relation.lhs - relation.rhs


def in_constant_ratio(left: Any, right: Any, seed: bytes) -> bool:
    """Whether one term is the other times a number other than 0, shown at two points that share all constants.

    Terms without unknowns have such a ratio always: `0 = 1` and `0 = 2` are not shown to be the same here.
    """
    try:
        if is_light(left, right):
            left, right = map(settled, uniform(left, right))
        found = images(seed, [bound(left), bound(right)], 2)
    except _FAILURES:
        return False
    (a, b), (c, d) = found.rows
    return bool(a and b and c and d) and a != c and (a * d - b * c) % found.p == 0


def same_sign(left: Any, right: Any, seed: bytes) -> bool:
    """Whether the constant ratio of two terms is positive."""
    left, right = uniform(left, right)
    symbols = left.free_symbols | right.free_symbols
    draw = Draw(seed)
    for i in range(REAL_POINTS):
        point = {s: sympy.Rational(draw.number("ratio", i, s.name) % 9000 + 100, 1009) for s in symbols}
        one, other = numeric(left.subs(point)), numeric(right.subs(point))
        if one is None or other is None or vanishes(one) or vanishes(other):
            continue
        ratio = one / other
        return bool(ratio.is_real and ratio > 0)
    return False


def compared(gold: Any, answer: Any, seed: bytes) -> bool | None:
    """Whether two parsed answers are the same; None where that is undecided. The table of this module says how."""
    if hasattr(gold, "shape") or hasattr(answer, "shape"):
        return same_matrix(gold, answer, seed)
    if isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr):
        return same_term(gold, answer, seed)
    if isinstance(gold, sympy.Expr) or isinstance(answer, sympy.Expr):
        return False
    if isinstance(gold, RELATIONS) or isinstance(answer, RELATIONS):
        return same_relation(gold, answer, seed)
    if isinstance(gold, sympy.Interval) and isinstance(answer, sympy.Interval):
        ends = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return in_order([gold.start, gold.end], [answer.start, answer.end], seed) if ends else False
    if gold.func.__name__ == answer.func.__name__ and gold.args:
        ordered = isinstance(gold, sympy.Tuple | sympy.Complement | sympy.ProductSet)
        by_parts = (in_order if ordered else matched)(list(gold.args), list(answer.args), seed)
        if by_parts or isinstance(gold, sympy.FiniteSet | sympy.Tuple):
            return by_parts
    if isinstance(gold, sympy.Set) and isinstance(answer, sympy.Set):
        return same_set(gold, answer)
    return True if gold == answer else None


def same_matrix(gold: Any, answer: Any, seed: bytes) -> bool | None:
    """Compares entry by entry, after computing sums and products."""
    left, right = (m.doit() if hasattr(m, "doit") else m for m in (gold, answer))
    if not hasattr(left, "shape") or not hasattr(right, "shape") or left.shape != right.shape:
        return False
    return in_order(list(sympy.Matrix(left)), list(sympy.Matrix(right)), seed)


def in_order(gold: list[Any], answer: list[Any], seed: bytes) -> bool | None:
    """Compares part by part: False if one differs, None if one is undecided."""
    if len(gold) != len(answer):
        return False
    found = [compared(*pair, seed) for pair in zip(gold, answer, strict=True)]
    return False if False in found else None if None in found else True


def matched(gold: list[Any], answer: list[Any], seed: bytes) -> bool | None:
    """Matches each part of one with a different part of the other."""
    if len(gold) != len(answer):
        return False
    rest, undecided = list(answer), False
    for part in gold:
        found = [compared(part, other, seed) for other in rest]
        if True in found:
            del rest[found.index(True)]
        elif None in found:
            undecided = True
        else:
            return False
    return None if undecided else True


def same_set(gold: Any, answer: Any) -> bool | None:
    """Two sets of numbers, each a subset of the other."""
    if gold == answer:
        return True
    if gold.free_symbols or answer.free_symbols:
        return None
    try:
        inside = [gold.is_subset(answer), answer.is_subset(gold)]
    except _FAILURES:
        return None
    return False if False in inside else True if inside == [True, True] else None


_WORDS = re.compile(
    r"\\(?:begin|end|text|textbf|mathrm|mathbf|operatorname|mathbb|mathcal)\s*\{[^{}]*\}|\\[A-Za-z]+|(?<![A-Za-z])(?:dx|dy|dt)(?![A-Za-z])"
)
_TEXT_ONLY = re.compile(r"\\(?:equiv|pmod|bmod|sim|forall|exists|implies|iff|propto|cong|parallel|perp)(?![A-Za-z])")


def read_in_full(latex: str, term: Any) -> bool:
    """Whether the grammar kept the whole text: every letter is there, and the text contains no sign that the grammar misreads."""
    if _TEXT_ONLY.search(latex) or any(side.count(":") > 1 for side in latex.split("=")):
        return False
    letters = set(re.findall(r"[A-Za-z]", _WORDS.sub(" ", latex))) - set("deiT")
    names = {str(getattr(part, "name", "")) for part in sympy.preorder_traversal(term)}
    functions = {part.func.__name__ for part in term.atoms(sympy.core.function.AppliedUndef)}
    return letters <= set("".join(names | functions))
