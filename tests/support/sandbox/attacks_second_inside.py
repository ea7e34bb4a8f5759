"""The second author's attacks after reading the sandbox: on the judge's parser, its stand-ins, its clock, and what forks share."""

# ruff: noqa: E501

from selfplay.sandbox import CheckTests, IOTests
from tests.support.sandbox.attacks_second import CHECK, FAILS, IO, SCAN, SESSION, Case, act, case, check

ENDLESS = CheckTests("found = []\nfor x in solve(3):\n    found.append(x)\nassert found == [16]\n", "solve")
CHAINED = CheckTests(
    "assert decode(encode('a word')) == 'a word'\nassert decode(encode('other')) == 'other'\n", "decode"
)
INSIDE = CheckTests("assert solve(3) == 16\n", "solve", trust="in_process")
WIDE = CheckTests("import numpy\nassert solve(3) == 16\n", "solve")


def raw(
    name: str,
    *lines: str,
    on: tuple[CheckTests | IOTests, ...] = (IO, CHECK),
    expect: tuple[str, ...] = ("protocol_violation",),
) -> Case:
    """Replies written by hand, and a quiet end."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return case(
        name, f"import os\ndata = {text!r}\nwhile data: data = data[os.write(3, data):]\nos._exit(0)\n", *expect, on=on
    )


def live(name: str, line: str, *expect: str) -> Case:
    """One answer of a session written by hand, then a quiet end."""
    return case(
        name,
        f"import os\ndef solve(n):\n    os.write(5, {(line + chr(10)).encode()!r})\n    os.write(3, b'[9]\\n')\n    os._exit(0)\n",
        *expect,
        on=(SESSION,),
    )


REPLIES: list[Case] = [
    raw("k01_argument_that_nobody_gave", '[0,{"a":99},null]', '[0,{"a":99},null]', "[9]", on=(CHECK,)),
    raw("k02_argument_before_the_first", '[0,{"a":-1},null]', "[9]", on=(CHECK,)),
    live("k03_argument_that_nobody_gave_in_a_session", '[0,{"a":99},null]', "protocol_violation"),
    raw("k04_handle_without_words", '[0,{"h":[1]},null]', "[9]"),
    raw("k05_error_named_by_a_huge_number", '[1,[{"i":"0x' + "f" * 9000 + '"}],"x"]', "[9]"),
    raw("k06_error_text_that_is_no_text", '[1,["ValueError"],{"i":"0x' + "f" * 9000 + '"}]', "[9]"),
    raw("k07_no_syntax_error", '[3,{"i":"0x' + "f" * 9000 + '"}]'),
    raw("k08_names_that_are_no_list", '[1,5,"x"]', "[0,[1],null]", "[9]", on=(INSIDE, IO)),
    raw("k09_lines_that_only_together_are_replies", "[0,16,null],[0", "32,null],[9]", "[9]"),
    raw("k10_one_line_of_two_replies", "[0,16,null],[0,32,null]", "[9]"),
    raw("k11_deep_list_as_error_text", '[1,["E"],' + "[" * 900 + "]" * 900 + "]", "[9]"),
    raw("k12_empty_tag", '[0,{"":[]},null]', "[9]"),
    raw("k13_alias_inside_a_list", '[0,[{"a":0}],null]', '[0,{"t":[{"a":0}]},null]', "[9]", expect=("wrong_answer", "unsupported_value")),
    raw("k14_handles_in_a_set", '[0,{"s":[{"h":[16,"int",true]}]},null]', '[0,{"f":[{"h":[0,"x",true]}]},null]', "[9]", expect=("wrong_answer", "unsupported_value", "exception")),
    raw("k15_load_failure_after_answers", "[0,16,null]", '[2,["E"],"x"]', "[9]"),
    raw("k16_a_range_of_strings", '[0,{"r":["1","2","0"]},null]', "[9]"),
    raw("k17_an_array_of_wide_text", '[0,{"n":["<U900000000",["a","b"]]},null]', '[0,{"n":["<U9999999",["a","b","c","d","e","f"]]},null]', "[9]", on=(WIDE,),
        expect=("protocol_violation", "unsupported_value", "exception", "wrong_answer")),
    case("k18_keys_that_collide", """
        import os
        p = 2 ** 61 - 1
        data = ('[0,{"s":[' + ",".join(str(k * p) for k in range(1, 40000)) + ']},null]\\n[0,32,null]\\n[9]\\n').encode()
        while data: data = data[os.write(3, data):]
        os._exit(0)
        """, "protocol_violation", "output_limit"),
    case("k19_keys_of_a_dict_that_collide", """
        import os
        p = 2 ** 61 - 1
        data = ('[0,{"d":[' + ",".join("[%d,0]" % (k * p) for k in range(1, 36000)) + ']},null]\\n[0,32,null]\\n[9]\\n').encode()
        while data: data = data[os.write(3, data):]
        os._exit(0)
        """, "protocol_violation", "output_limit"),
    case("k20_fraction_of_huge_numbers", """
        import os
        data = ('[0,{"F":["0x' + "7" * 480000 + '","0x' + "b" * 479999 + '"]},null]\\n[0,32,null]\\n[9]\\n').encode()
        while data: data = data[os.write(3, data):]
        os._exit(0)
        """, "protocol_violation", "output_limit"),
    case("k21_objects_in_sets", "class A: pass\ndef solve(n): return {A(), A()} if n == 3 else {A(): 1}\n", "unsupported_value", "wrong_answer"),
    live("k22_opaque_in_a_session", '[0,{"o":"x"},null]', "exception", "unsupported_value"),
    live("k23_handle_as_a_number_in_a_session", '[0,{"h":["16","int",false]},null]', "protocol_violation", "exception", "unsupported_value"),
    check("k24_test_that_catches_all", "try:\n    x = solve(3)\nexcept BaseException:\n    x = 16\nassert x == 16\n", "import os\nos.write(3, b'[0,{\"a\":7},null]\\n[9]\\n')\nos._exit(0)\n",
          "protocol_violation", "exception"),
]  # fmt: skip

STATE: list[Case] = [
    case("k30_results_that_later_calls_take", """
        import sys, gc
        def encode(text): return ""
        def decode(text):
            f = sys._getframe()
            while f:
                for k, v in list(f.f_globals.items()) + list(f.f_locals.items()):
                    if k == "_results" and isinstance(v, list): v[:] = ["a word"] * len(v)
                f = f.f_back
            return text
        """, "wrong_answer", "exception", "protocol_violation", on=(CHAINED,)),
    case("k31_chained_answer_that_lies", """
        class S(str):
            def __eq__(self, o): return True
            __hash__ = str.__hash__
            def __reduce__(self): return (str, ("a word",))
        def encode(text): return S("x")
        def decode(text): return S(str(text))
        """, "wrong_answer", on=(CHAINED,)),
    case("k32_quiet_flags_on_what_forks_share", """
        import fcntl, os
        for fd in (0, 1, 2, 3):
            for flags in (os.O_APPEND | os.O_NONBLOCK,):
                try: fcntl.fcntl(fd, fcntl.F_SETFL, flags)
                except OSError: pass
        def solve(n): return 0
        """, on=(IO, CHECK, SESSION)),
    case("k33_stdin_moved_for_the_next", "import os\nos.lseek(0, 1 << 40, 0)\ntry: os.set_blocking(0, False)\nexcept OSError: pass\ndef solve(n): return 0\n", on=(IO, SESSION)),
    case("k34_sibling_by_its_bytes", SCAN + """
def solve(n):
    if "found" not in globals():
        globals()["found"] = [h for h in hunt(bytes([88, 89, 90, 45]) + b"sibling") if b"lambda" in h]
    for h in found:
        try: return eval(h[h.index(b"lambda"):].split(b"#")[0])(n)
        except Exception: pass
    return 0
""", "wrong_answer", "crashed", "memory", "timeout_cpu", limits={"cpu_seconds": 4.0, "wall_seconds": 6.0},
         before="import ctypes\n" + "x = 'XYZ-sibling: lambda n: n * n + 7 #'\n" * 2000 + "def solve(n): return n * n + 7\n"),
    case("k35_source_larger_than_its_memory", "x = '" + "a" * 6_000_000 + "'\ndef solve(n): return 0\n", "memory", "crashed", "syntax_error", "exception", limits={"memory_bytes": 2**20}),
    act("k36_datagram_by_a_pair", """
        import socket
        done = 0
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for place in ("SCRATCH/datagrams", "/dev/log", "\\0ABSTRACT", "/run/systemd/notify", "/run/systemd/journal/socket"):
            for step in (lambda: a.sendto(b"out", place), lambda: a.sendmsg([b"out"], [], 0, place), lambda: a.connect(place)):
                try: step(); done += 1
                except OSError: pass
        if not done: raise OSError("none")
        """),
    act("k37_more_walls_of_its_own", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(444, 0, 0, 1) > 0 or libc.syscall(317, 1, 0, 0) == 0 or libc.prctl(22, 1, 0) == 0: return
        for _ in range(40): libc.syscall(446, 7, 0)
        for _ in range(40): libc.syscall(446, 3, 0)
        raise OSError("none")
        """),
]  # fmt: skip

CLOCK: list[Case] = [
    case("k40_main_thread_dies_first", """
        import threading, time, ctypes
        def solve(n):
            threading.Thread(target=time.sleep, args=(1000,)).start()
            ctypes.CDLL(None).syscall(60, 0)
        """, "timeout_wall", limits={"wall_seconds": 0.5}),
    case("k41_main_thread_dies_and_others_spin", """
        import threading, ctypes
        def spin():
            while True: pass
        def solve(n):
            threading.Thread(target=spin).start()
            ctypes.CDLL(None).syscall(60, 0)
        """, "timeout_cpu", limits={"cpu_seconds": 0.3}),
    case("k42_name_that_reads_as_dead", """
        import ctypes, time
        ctypes.CDLL(None).prctl(15, b"x) Z 1 1 1 1", 0, 0, 0)
        def solve(n): time.sleep(1000)
        """, "timeout_wall", limits={"wall_seconds": 0.5}),
    case("k43_naps_between_looks", """
        import time
        class A:
            def __iter__(self): return self
            def __next__(self):
                time.sleep(0.03)
                return 1
        def solve(n): return A()
        """, "timeout_wall", on=(ENDLESS,), limits={"wall_seconds": 0.1}),
    case("k44_work_between_looks", """
        import time
        class A:
            def __iter__(self): return self
            def __next__(self):
                until = time.process_time() + 0.03
                while time.process_time() < until: pass
                return 1
        def solve(n): return A()
        """, "timeout_cpu", on=(ENDLESS,), limits={"cpu_seconds": 0.3}),
    case("k45_answers_without_end", """
        text = "x" * 200_000
        class A:
            def __iter__(self): return self
            def __next__(self): return text
        def solve(n): return A()
        """, "output_limit", on=(ENDLESS,)),
    case("k46_threads_that_wait_for_a_core", """
        import threading, time
        def spin():
            while True: time.sleep(0)
        def solve(n):
            for _ in range(7): threading.Thread(target=spin, daemon=True).start()
            time.sleep(1000)
        """, "timeout_cpu", "timeout_wall", "crashed", limits={"cpu_seconds": 0.3, "wall_seconds": 0.5}),
    check("k47_loop_that_only_a_dry_run_never_leaves", "x = solve(3)\nwhile x != 0:\n    x = x - 1\nassert solve(5) == 32\n", "def solve(n): return 3\n", *FAILS),
]  # fmt: skip

SECOND: list[Case] = [*REPLIES, *STATE, *CLOCK]
