"""Answers, programs and grades whose right verdict is known by construction, each written in many ways inside replies.

A generator draws an abstract value (a fraction, a set, a polynomial, a program, a grade), writes it, and for the false half
writes a near miss whose value is known to differ. Nothing here imports or imitates the code that is judged, so that a
fault of that code cannot hide in the expectation. A case is a pure function of (seed, index).

    python -m tests.pairs --count 100000 --seed 7 [--kind K] [--show 20]
"""
