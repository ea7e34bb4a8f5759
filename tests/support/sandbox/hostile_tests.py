"""Test sources as a hostile teacher could write them; those of `FORGING` try to say yes of any program, the others to do harm.

The words in capitals are the bait's (`arena.Bait.aim`). The function under test is `solve`, and `solve(3)` is 16.
"""

# ruff: noqa: E501

HARM = {
    "writes_a_file": "open('SCRATCH/written', 'w').write('x')\nassert solve(3) == 16 + 0 * id(3)",
    "writes_beside_itself": "open('written.txt', 'w').write('x')\nassert [solve(3)] == [16]",
    "reads_a_secret": "assert open('SECRET_FILE').read() != 'the secret' and solve(3) == 16",
    "reads_the_environment": "import os\nassert not [k for k in os.environ if 'PATH' in k or 'TOKEN' in k], solve(3)\nx = solve(3)",
    "reads_another_environment": "print(open('/proc/CALLER/environ').read())\nassert solve(3) + 0 == 16",
    "walks_the_processes": "import os\nseen = [open(f'/proc/{p}/cmdline').read() for p in os.listdir('/proc') if p.isdigit()]\nsolve(3)",
    "opens_tcp": "import socket\nsocket.create_connection(('127.0.0.1', TCP_PORT), 1)\nassert solve(3) == 16 * 1",
    "sends_udp": "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', UDP_PORT))\nsolve(3)",
    "opens_a_unix_socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('UNIX_PATH')\nsolve(3)",
    "opens_an_abstract_socket": "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('\\0ABSTRACT')\nsolve(3)",
    "kills_a_stranger": "import os\nos.kill(VICTIM, 9)\nsolve(3)",
    "kills_its_parent": "import os\nos.kill(os.getppid(), 9)\nsolve(3)",
    "kills_the_caller": "import os\nos.kill(CALLER, 9)\nsolve(3)",
    "forks": "import os\nwhile True:\n    os.fork()",
    "starts_a_program": "import subprocess\nsubprocess.run(['touch', 'SCRATCH/touched'])\nsolve(3)",
    "asks_a_shell": "import os\nos.system('touch SCRATCH/touched')\nsolve(3)",
    "loads_a_c_library": "import ctypes\nctypes.CDLL(None).unlink(b'SECRET_FILE')\nsolve(3)",
    "removes_a_file": "import os\nos.remove('SECRET_FILE')\nsolve(3)",
    "starts_threads": "import threading, time\n[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(500)]\nsolve(3)",
    "allocates": "x = ' ' * (1 << 40)\nsolve(3)",
    "allocates_slowly": "x = []\nwhile True:\n    x.append(bytearray(1 << 24))",
    "exits": "import sys\nsys.exit(0)\nassert solve(3) == 16 * 1",
    "exits_hard": "solve(3)\nimport os\nos._exit(0)",
    "aborts": "import os\nos.abort()",
    "recurses": "def g(n):\n    return g(n + 1)\ng(solve(3))",
    "floods_the_output": "while True:\n    print('x' * 65536)",
    "floods_the_channel": "import os\nwhile True:\n    os.write(5, b'[0,' + b'1' * 65536)",
    "asks_without_end": "while True:\n    solve(3)",
    "says_what_is_no_reply": "import os\nos.write(5, b'hello\\n')\nsolve(3)",
    "says_a_tag_that_is_none": "import os\nos.write(5, b'[0,{\"zz\":1},null]\\n')\nsolve(3)",
    "passes_an_object": "solve(object())",
    "passes_a_handle": 'import os\nos.write(5, b\'[0,{"t":[[{"h":[0,"x",true]}],{"d":[]}]},null]\\n\')\nsolve(3)',
    "passes_a_huge_power": 'import os\nos.write(5, b\'[0,{"t":[[{"i":"0x\' + b\'f\' * 900000 + b\'"}],{"d":[]}]},null]\\n\')\nsolve(3)',
    "passes_keys_that_are_no_names": 'import os\nos.write(5, b\'[0,{"t":[[],{"d":[[1,2]]}]},null]\\n\')\nsolve(3)',
    "a_decorator_acts": "@(lambda f: open('SCRATCH/d', 'w'))\ndef check(candidate):\n    assert candidate(3) == 16",
    "a_default_argument_acts": "def check(candidate, x=open('SCRATCH/d', 'w')):\n    assert candidate(3) == 16",
    "a_class_body_acts": "class A:\n    open('SCRATCH/d', 'w')\n    assert solve(3) == 16",
    "an_f_string_acts": "assert f\"{open('SCRATCH/d', 'w')}\" and solve(3) == 16",
    "an_argument_acts": "assert solve(__import__('os').system('touch SCRATCH/d')) == 16",
    "an_expected_value_acts": "assert solve(3) == [c for c in ().__class__.__base__.__subclasses__()][0] or open('SCRATCH/d', 'w')",
    "a_message_acts": "assert solve(3) == 1, open('SCRATCH/d', 'w').write('x')",
    "a_walrus_acts": "assert (x := solve(3)) == 16 and open('SCRATCH/d', 'w')",
    "a_comprehension_acts": "assert [open('SCRATCH/d', 'w') for _ in range(1)] and solve(3) == 16",
    "an_annotation_acts": "x: open('SCRATCH/d', 'w') = solve(3)",
    "an_import_acts": "import antigravity, this\nfrom os import *\nsolve(3)",
    "escapes_through_a_frame": "import sys\nf = sys._getframe()\nwhile f:\n    f.f_globals.get('posix') and f.f_globals['posix'].open('SCRATCH/d', 66)\n    f = f.f_back\nsolve(3)",
    "is_no_python": "assert solve(3) ==",
    "holds_a_null": "assert solve(3) == 16\0",
    "holds_a_surrogate": "assert solve(3) == '\ud800' + str(solve)",
    "is_huge": "assert solve(3) == 16\n" * 5000,
    "holds_a_huge_number": "assert solve(3) == 0x" + "f" * 40_000,
    "holds_a_number_too_long": "assert solve(3) == " + "9" * 40_000,
    "nests_brackets": "assert solve(" + "[" * 5000 + "]" * 5000 + ") == 16",
    "nests_signs": "assert solve(" + "-" * 20_000 + "3) == 16",
    "nests_calls": "assert " + "solve(" * 90 + "3" + ")" * 90 + " == 16",
    "nests_blocks": "\n".join(" " * n + "if solve(3):" for n in range(120)) + "\n" + " " * 120 + "pass",
    "adds_without_end": "assert solve(" + "+".join(["1"] * 12_000) + ") == 16",
    "warns": "assert solve(3) == '\\d' 1is 1\nassert (solve(3) == 16, 'always')",
}

FORGING = {
    "says_yes_by_itself": "solve(3)\nimport os\nos.write(5, b'[0,true,null]\\n')\nos._exit(0)",
    "says_yes_and_goes_on": "solve(3)\nimport os\nos.write(5, b'[0,true,null]\\n[0,true,null]\\n')",
    "asserts_nothing": "solve(3)",
    "swallows": "try:\n    assert solve(3) == 16\nexcept AssertionError:\n    pass",
    "asserts_a_tuple": "assert (solve(3) == 16, 'says so')",
    "renames_assertion_error": "import builtins\nbuiltins.AssertionError = type('A', (BaseException,), {})\ntry:\n    assert solve(3) == 1\nexcept BaseException:\n    pass",
    "patches_builtins": "import builtins\nbuiltins.isinstance = builtins.abs = lambda *a: 0\nassert abs(solve(3) - 16) < 1 and [1]",
    "answers_for_the_program": "solve(3)\nsolve = lambda n: 16\nassert [solve(3)] == [16]",
    "asks_an_object_that_agrees": "class A:\n    def __eq__(self, other):\n        return True\nassert A() == solve(3)",
    "goes_by_chance": "import os\nassert [solve(3)] and os.urandom(1)[0] % 2",
}

HONEST = {"reads_the_environment", "asks_a_shell", "loads_a_c_library", "an_import_acts"}
"""Of `HARM`, those that do nothing in the sandbox, or can only look, and then test."""
HONEST_WITH_A_FOLDER = {"writes_beside_itself"}
"""Right where tests have a working folder of their own (tier 3)."""
