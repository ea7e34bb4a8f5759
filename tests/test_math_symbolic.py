"""Symbolic answers: forged ones fail, relations are the same only where that is shown, true identities pass, and no worker outlives us."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sympy

from selfplay.records import Outcome
from selfplay.verify.math import close, equal, symbolic
from selfplay.verify.math.deciding import below_zero_bound, same_term
from selfplay.verify.math.field import Draw, Field
from selfplay.verify.math.images import images
from selfplay.verify.math.sizes import MAX_WEIGHT, Undecided, weight

FORGED = [
    # zero at many points that one could guess
    ("x^2+1", r"x^2+1+5(7x-3)(3x+5)(4x-13)(11x+9)(3x-23)(8x+31)(17x-1)(6x-41)"),
    ("x", r"x+(7x-3)(3x+5)(4x-13)(11x+9)(3x-23)(8x+31)(17x-1)(6x-41)y"),
    ("x+y", r"x+y+(7x-3)(5y-11)"),
    ("x", r"x+\sin(\pi x)"),
    ("x", r"x+\sin(232792560\pi x)"),
    ("n", r"n+\sin(\pi n)\cdot 10^{-9999}"),
    ("x", r"x+x(x-1)(x-2)(x-3)(x-4)(x-5)(x-6)(x-7)(x-8)"),
    # too small for any number of digits
    ("x", r"x+10^{-100}"),
    ("x", r"x+10^{-100}\sin x"),
    (r"\sin x", r"\sin x+10^{-1000}"),
    (r"\sin x", r"\sin(x+10^{-50})"),
    ("x", r"x+e^{-10^{9}}"),
    ("x", r"x+e^{-10^{9}x^2}"),
    ("x", r"x+2^{-10^9x^2}"),
    ("x", r"x+\frac{\tan(10^{-40}x)}{x}"),
    ("2", r"2+\sin(10^{-1000})"),
    ("2", r"2+\frac{\pi}{10^{1000}}"),
    (r"\pi", r"\pi+10^{-5000}"),
    (r"\pi", r"\frac{314159265358979323846264338327950288419716939937510582097494}{10^{59}}"),
    (r"\sqrt{2}", r"\sqrt{2+10^{-300}}"),
    ("x", r"x+\int_0^1 10^{-60} dt"),
    ("x", r"x+\lim_{n\to\infty}\frac{1}{n}+10^{-80}"),
    # zero on one side, or nearly everywhere
    ("x", "|x|"),
    ("x", r"\sqrt{x^2}"),
    ("x", r"x+\frac{|x|-x}{10^{99999}}"),
    ("x", r"x+\max(0,x-1000000)"),
    ("x", r"x+\lfloor\frac{\sin(x)^2}{2}\rfloor"),
    ("x", r"x+0^{x^2}"),
    ("x", r"x+(\sqrt{x^2+2x+1}-x-1)(\sqrt{x^2+4x+4}-x-2)(\sqrt{x^2+6x+9}-x-3)10^{-999}"),
    ("x", r"x+\frac{x-x}{x-x}"),
    # zero modulo a number, or for all exponents of a group
    ("x", "x+2305843009213693951"),
    ("x", "2305843009213693952x"),
    ("x", "x^{2305843009213693951}"),
    ("x", r"x\cdot 2^{5040^{20}}"),
    ("x", r"x\cdot 2^{5040^{20}x}"),
    ("x", r"x\cdot 2^{100!}"),
    ("1", r"2^{720!}"),
    # read as less than it says
    ("x", r"x+\gcd(a,b)-1"),
    ("6x", r"\gcd(a,b)\cdot 6x"),
    ("x", r"x+\frac{dy}{dz}"),
    ("2x", r"2x+\frac{dy}{dx}"),
    # another root
    (r"\cos(\pi/5)", r"\frac{1-\sqrt{5}}{4}"),
    (r"\sqrt{3+2\sqrt{2}}", r"-1-\sqrt{2}"),
    (r"\sqrt{3-2\sqrt{2}}", r"1-\sqrt{2}"),
    (r"\sqrt[3]{2}", r"\sqrt[3]{2}\cdot\frac{-1+i\sqrt3}{2}"),
    ("i", "-i"),
    (r"\arctan 2+\arctan 3", r"-\frac{\pi}{4}"),
    (r"\frac{\pi}{4}", r"\arctan(1+10^{-1000})"),
    (r"\sin 30", r"\sin 30^\circ"),
    (r"\cos 20^\circ", r"\cos 20"),
]


@pytest.mark.parametrize(("gold", "answer"), FORGED)
def test_forged_answer_does_not_pass(gold: str, answer: str) -> None:
    assert equal(gold, answer) is not Outcome.PASS
    assert equal(answer, gold) is not Outcome.PASS


IDENTITIES = [
    (r"\frac{a}{b}+\frac{c}{d}", r"\frac{ad+bc}{bd}"),
    ("(a+b+c)^5-1", "(c+a+b)^5-1"),
    (r"\frac{x^3-1}{x-1}", "x^2+x+1"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\cos(3x)", r"4\cos^3 x-3\cos x"),
    (r"\tan(x+y)", r"\frac{\tan x+\tan y}{1-\tan x\tan y}"),
    (r"\cosh^2 x-\sinh^2 x", "1"),
    (r"\sinh x", r"\frac{e^x-e^{-x}}{2}"),
    (r"\cos(\pi/7)", r"\sin(5\pi/14)"),
    (r"\cos(\pi/5)", r"\frac{1+\sqrt{5}}{4}"),
    ("2^{n+1}", r"2\cdot 2^n"),
    ("4^n", "2^{2n}"),
    ("a^{x+y}", "a^xa^y"),
    ("e^{x+1}", r"e\cdot e^x"),
    ("e^{x/2}", r"\sqrt{e^x}"),
    (r"e^{i\pi/3}", r"\frac{1+i\sqrt3}{2}"),
    (r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}"),
    (r"2\sin 20^\circ", r"2\cos(70^{\circ})"),
    (r"\arctan 2+\arctan 3", r"\frac{3\pi}{4}"),
    (r"4\arctan\frac15-\arctan\frac1{239}", r"\frac{\pi}{4}"),
    (r"\arcsin\frac35+\arcsin\frac45", r"\frac{\pi}{2}"),
    (r"\exp(2)", "e^2"),
    (r"2\exp(-1)", r"\frac{2}{e}"),
    (r"2\ln 3+\ln 4", r"\ln 36"),
    (r"\log_2 x", r"\frac{\ln x}{\ln 2}"),
    (r"\frac{1}{\sqrt{x}}", r"\frac{\sqrt{x}}{x}"),
    (r"x^{3/2}", r"x\sqrt{x}"),
    (r"(\sqrt{x+1}+\sqrt{x})(\sqrt{x+1}-\sqrt{x})", "1"),
    (r"\sqrt{11}\sqrt{13}", r"\sqrt{143}"),
    (r"\sqrt[3]{11}\cdot\sqrt[3]{121}", "11"),
    (r"\sqrt{5+2\sqrt6}", r"\sqrt2+\sqrt3"),
    (r"\sqrt[3]{9+4\sqrt5}", r"\frac{3+\sqrt5}{2}"),
    (r"\binom{n}{2}", r"\frac{n(n-1)}{2}"),
    ("n!", r"n\cdot(n-1)!"),
    (r"\int_0^\pi \sin x dx", "2"),
    (r"\sum_{k=0}^\infty \frac{1}{2^k}", "2"),
    (r"\sum_{i=1}^n i", r"\frac{n(n+1)}{2}"),
    ("2^{2024}x", "4^{1012}x"),
    ("2^{10^{9}}x", r"4^{5\cdot 10^{8}}x"),
    ("|x-3|", "|3-x|"),
    (r"70\sqrt{2}", r"70\sqrt{2} \approx 98.99"),
]


@pytest.mark.parametrize(("gold", "answer"), IDENTITIES)
def test_true_identity_passes(gold: str, answer: str) -> None:
    assert equal(gold, answer) is Outcome.PASS


OTHER_RELATIONS = [
    # without a real solution
    ("x^2-2x+5=0", "x^2-2x+7=0"),
    ("z^2+1=0", "z^2+4=0"),
    ("x^2+y^2=-1", "x^2+y^2=-2"),
    (r"\sqrt{x}=-1", r"\sqrt{x}=-2"),
    ("|x-2|=-1", "|x-2|=-3"),
    ("e^x=-1", "e^x=-2"),
    ("x-x=1", "x-x=2"),
    ("2=3", "4=5"),
    # derivatives, limits, integrals, sums
    (r"\frac{dy}{dx}=2x", r"\frac{dy}{dx}=3x"),
    (r"\frac{\partial f}{\partial x}=2y", r"\frac{\partial f}{\partial x}=3y"),
    (r"\frac{\partial f}{\partial x}+y=0", r"\frac{\partial f}{\partial z}+y=0"),
    ("f'(x)=2x", "f'(x)=3x"),
    (r"\lim_{x\to 0} f(x)=3", r"\lim_{x\to 0} f(x)=4"),
    (r"\lim_{x\to 0} \frac{\sin x}{x}=1", r"\lim_{x\to 0} \frac{\sin x}{x}=2"),
    (r"\int_0^1 f(x)\,dx=3", r"\int_0^1 f(x)\,dx=4"),
    (r"\int x dx=1", r"\int x dx=2"),
    (r"\sum_{k=1}^n k=3", r"\sum_{k=1}^n k=4"),
    # read as less than they say
    (r"\gcd(m,n)=12", r"\gcd(m,n)=24"),
    (r"x\gcd(a,b)=6", r"x\gcd(c,d)=6"),
    (r"A:B:C=1:2:3 x", r"A:B:C=1:3:2 x"),
    (r"n\equiv 1 \pmod 4", r"n\equiv 2 \pmod 4"),
    (r"n\equiv 1", "n=1"),
    # inequalities
    ("x^2<-1", "x^2<-2"),
    ("x^2+y>0", "-x^2-y>0"),
    ("2x<4y", r"x\le 2y"),
    ("-x<y", "x<y"),
    ("x+y>x+y", "x+y<x+y"),
    ("x<y<z", "x<z<y"),
    (r"y+x\ne 3", r"y+x\ne 4"),
    # another curve with the same points, as far as it goes
    ("x^2+1=0", "x^4+2x^2+1=0"),
    ("x^2+y^2=4", r"\frac{1}{x^2+y^2}=4"),
    ("xy=1", "x^2y^2=1"),
    ("x+y=2, x-y=0", "x+y=2, x-y=1"),
    (r"\mathbb{R}\setminus\{2\}", r"\mathbb{R}\setminus\{3\}"),
]


@pytest.mark.parametrize(("gold", "answer"), OTHER_RELATIONS)
def test_relation_that_says_something_else_does_not_pass(gold: str, answer: str) -> None:
    if "C=" not in gold:
        assert equal(gold, answer) is not Outcome.PASS
    assert symbolic.same(gold, answer, time.monotonic() + 5) is not True


SAME_RELATIONS = [
    ("x^2-2x+5=0", "5+x^2=2x"),
    ("x^2+1=0", "2x^2+2=0"),
    ("(x-1)(x-2)=0", "x^2-3x+2=0"),
    (r"\frac{x^2}{4}+\frac{y^2}{9}=1", "9x^2+4y^2=36"),
    ("x^2+y^2-4x=0", "(x-2)^2+y^2=4"),
    (r"\frac{dy}{dx}+y=x", r"x-y=\frac{dy}{dx}"),
    (r"\frac{x}{x+y}=2", "x=2x+2y"),
    ("2x<4y", "2y>x"),
    ("3x+2y<6", "-3x-2y>-6"),
    ("x<y<z", "z>y>x"),
    (r"y+x\ne 3", r"2y+2x\ne 6"),
    (r"\gcd(m,n)=12+x", r"\gcd(m,n)=12+x"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME_RELATIONS)
def test_relation_in_another_form_passes(gold: str, answer: str) -> None:
    assert equal(gold, answer) is Outcome.PASS


def test_the_same_pair_is_always_decided_the_same_way() -> None:
    pairs = [(r"\sin 2x", r"2\sin x\cos x"), ("x", "x+1"), (r"\sqrt{x^2}", "x"), ("x^2+y=1", "2x^2+2y=2")]
    first = [equal(*pair) for pair in pairs]
    close()
    assert [equal(*pair) for pair in pairs] == first


def test_prime_and_points_follow_from_both_texts() -> None:
    fields = [Field(Draw(seed), 0) for seed in (b"a", b"b", b"a")]
    assert fields[0].p == fields[2].p != fields[1].p
    for field in fields:
        assert field.p.bit_length() >= 127
        assert sympy.isprime(field.p)


def test_field_keeps_the_equations_of_roots() -> None:
    for index in range(5):
        field = Field(Draw(b"roots"), index)
        p = field.p
        assert field.i**2 % p == p - 1
        for q in (2, 3, 5, 7):
            assert field._gauss(q) ** 2 % p == q
        value = pow(field.element("v"), 12, p)
        for k in (2, 3, 4, 6, 12):
            root = field.root(value, k)
            assert root is not None
            assert pow(root, k, p) == value


def test_product_of_roots_that_are_no_roots_is_not_taken_for_zero() -> None:
    x = sympy.Symbol("x", real=True)
    hidden = sympy.prod(
        [sympy.Pow(sympy.expand((x + j) ** 2), sympy.Rational(1, 2), evaluate=False) - x - j for j in range(1, 9)]
    )
    for seed in range(8):
        with pytest.raises(Undecided):
            images(b"%d" % seed, [hidden, sympy.S.Zero], 1)


def test_term_whose_degree_would_weaken_the_field_is_refused() -> None:
    x = sympy.Symbol("x")
    assert weight(x**1000) < MAX_WEIGHT
    for huge in (sympy.Pow(x, 2**41, evaluate=False), sympy.Pow(2, x * 2**41), sympy.sin(x * 2**41)):
        with pytest.raises(Undecided):
            weight(huge)
    assert same_term(x, sympy.Pow(x, 2**100), b"seed") is None


def test_zero_bound_tells_zero_from_what_is_nearly_zero() -> None:
    root = sympy.sqrt
    assert below_zero_bound(root(5 + 2 * root(6)) - root(2) - root(3))
    assert not below_zero_bound(root(5 + 2 * root(6)) - root(2) - root(3) + sympy.Rational(1, 10**200))
    assert not below_zero_bound(root(2 + sympy.Rational(1, 10**300)) - root(2))
    assert not below_zero_bound(sympy.sin(sympy.Rational(1, 10**300)))


def test_worker_ends_with_its_parent_even_while_it_works() -> None:
    program = (
        "import threading, time\n"
        "from selfplay.verify.math import symbolic, warm_up\n"
        "warm_up()\n"
        "print(symbolic._idle[0].process.pid, flush=True)\n"
        "symbolic.same('x', r'x+\\\\prod_{j=1}^{40}(\\\\sqrt{(x+j)^2}-x-j)', time.monotonic() + 300)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(1)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or " Z " in Path(f"/proc/{worker}/stat").read_text():
            break
        time.sleep(0.1)
    else:
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker lives on without its parent")
