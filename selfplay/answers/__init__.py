"""Floor 1: what a reply says, read out of free text: the final answer, the code, the number in an expression.

Pure text work: nothing is evaluated, imported or executed, every scan is linear and capped. An answer inside a think
block is never used, and a reply that hedges or gives several answers has none.
"""

from selfplay.answers.code_blocks import extract_code
from selfplay.answers.extraction import extract_answer
from selfplay.answers.numerals import Number, read_number
from selfplay.answers.visible import visible_text

__all__ = ["Number", "extract_answer", "extract_code", "read_number", "visible_text"]
