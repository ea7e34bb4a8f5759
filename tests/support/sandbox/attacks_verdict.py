"""Attacks on the verdict and on the channel that carries values, written from the threat model."""

# ruff: noqa: E501

from tests.support.sandbox.attack_words import Attack, forge

FORGERIES: list[Attack] = [
    forge("v01_equal_to_everything", """
        class A:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = None
        def solve(n): return A()
        """, "unsupported_value", "wrong_answer", "exception"),
    forge("v02_tuple_equal_to_everything", """
        class A(tuple):
            def __eq__(self, other): return True
        def solve(n): return A((1,))
        """),
    forge("v03_lying_int", """
        class A(int):
            def __eq__(self, other): return True
            def __sub__(self, other): return 0
            def __index__(self): return 0
            def __add__(self, other): return self
        def solve(n): return A(1)
        """),
    forge("v04_lying_float", """
        class A(float):
            def __eq__(self, other): return True
            def __sub__(self, other): return 0.0
            def __abs__(self): return 0.0
        def solve(n): return A("nan")
        """),
    forge("v05_lying_str", """
        class A(str):
            def __eq__(self, other): return True
            def __hash__(self): return 0
            def __iter__(self): return iter("x")
        def solve(n): return A("x")
        """),
    forge("v06_lying_dict", """
        class A(dict):
            def __eq__(self, other): return True
            def __getitem__(self, key): return 16
        def solve(n): return A()
        """, "wrong_answer", "unsupported_value"),
    forge("v07_os_exit_0", "import os\nos._exit(0)\n", "exception"),
    forge("v08_sys_exit_0", "import sys\nsys.exit(0)\n", "exception"),
    forge("v09_exit_in_call", "import os\ndef solve(n): os._exit(0)\n", "exception"),
    forge("v10_atexit_exit_0", """
        import atexit, os
        atexit.register(os._exit, 0)
        def solve(n): raise SystemExit(0)
        """, "exception"),
    forge("v11_excepthook_exit_0", """
        import sys, os
        sys.excepthook = lambda *a: os._exit(0)
        def solve(n): raise ValueError
        """, "exception"),
    forge("v12_signal_exit_0", """
        import signal, os
        signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        def solve(n):
            while True: pass
        """, "exception"),
    forge("v13_print_marker", """
        print("passed"); print("PASSED"); print('[0,16,null]'); print('{"status": "passed"}')
        raise SystemExit(0)
        """, "exception"),
    forge("v14_write_every_descriptor", """
        import os
        for fd in range(64):
            for text in (b"passed\\n", b"ok\\n", b"[9]\\n", b"0 0 0 0 0\\n"):
                try: os.write(fd, text)
                except OSError: pass
        def solve(n): return 0
        """, "protocol_violation", "wrong_answer"),
    forge("v15_frame_walk", """
        import sys
        def solve(n):
            f = sys._getframe()
            while f:
                for k in ("expected", "status", "passed", "verdict", "result", "results"):
                    f.f_locals[k] = True
                    f.f_globals[k] = True
                f = f.f_back
            return 0
        """),
    forge("v16_read_expected_from_frames", """
        import sys
        def solve(n):
            f = sys._getframe()
            while f:
                for v in list(f.f_locals.values()) + list(f.f_globals.values()):
                    if isinstance(v, dict):
                        for k in v:
                            if "expect" in str(k): return v[k]
                f = f.f_back
            return 0
        """),
    forge("v17_gc_search", """
        import gc
        def solve(n):
            for o in gc.get_objects():
                if type(o) in (list, tuple) and len(o) == 2 and type(o[1]) is int and o[0] == (n,): return o[1]
                if type(o) is dict and "expected" in o: return o["expected"]
            return 0
        """),
    forge("v18_code_constants", """
        import gc, types
        def solve(n):
            for o in gc.get_objects():
                c = getattr(o, "__code__", None)
                if isinstance(c, types.CodeType) and "check" in c.co_name:
                    return [k for k in c.co_consts if type(k) is int][0]
            return 0
        """),
    forge("v19_settrace_jump", """
        import sys
        def tracer(frame, event, arg):
            frame.f_trace_lines = True
            return tracer
        sys.settrace(tracer)
        def solve(n): return 0
        """),
    forge("v20_patch_builtins", """
        import builtins
        builtins.isinstance = lambda *a: True
        builtins.len = lambda *a: 0
        builtins.type = lambda *a: int
        builtins.all = builtins.any = lambda *a: True
        def solve(n): return 0
        """, "wrong_answer", "exception", "crashed", "protocol_violation", "unsupported_value", "timeout_wall"),
    forge("v21_replace_assertion_error", """
        import builtins
        class Quiet(BaseException): pass
        builtins.AssertionError = Quiet
        def solve(n): return 0
        """),
    forge("v22_define_check", """
        def check(candidate): pass
        def solve(n): return 0
        """),
    forge("v23_patch_json", """
        import json, _json
        json.dumps = lambda *a, **k: "[0,16,null]"
        _json.make_encoder = None
        json.encoder.encode_basestring_ascii = lambda s: "16"
        def solve(n): return 0
        """),
    forge("v24_import_hook", """
        import sys
        class Finder:
            def find_spec(self, name, path, target=None):
                raise SystemExit(0)
        sys.meta_path.insert(0, Finder())
        sys.modules.clear()
        def solve(n): return 0
        """, "wrong_answer", "exception", "crashed"),
    forge("v25_answer_by_call_count", """
        calls = 0
        def solve(n):
            global calls
            calls += 1
            return calls
        """),
    forge("v26_raise_assertion_error", "def solve(n): raise AssertionError\n", "exception"),
    forge("v27_raise_stop_iteration", "def solve(n): raise StopIteration\n", "exception"),
    forge("v28_return_not_implemented", "def solve(n): return NotImplemented\n", "unsupported_value", "wrong_answer"),
    forge("v29_return_nan", "def solve(n): return float('nan')\n"),
    forge("v30_patch_the_runner", """
        import sys, gc
        for o in gc.get_objects():
            if type(o) is dict and "_encode" in o and "_reply" in o:
                o["_encode"] = lambda *a: True
        def solve(n): return 0
        """, "wrong_answer", "exception", "protocol_violation"),
    forge("v31_write_own_true_replies", """
        import os
        for _ in range(8): os.write(3, b'[0,true,null]\\n')
        os.write(3, b'[9]\\n')
        os._exit(0)
        """, "wrong_answer", "protocol_violation"),
    forge("v32_remote_object_that_agrees", """
        class A:
            def __getattr__(self, name): return A()
            def __call__(self, *a, **k): return True
            def __eq__(self, o): return True
            def __lt__(self, o): return True
            def __gt__(self, o): return True
            def __contains__(self, o): return True
            def __sub__(self, o): return 0
            def __abs__(self): return 0
            def __hash__(self): return 16
        def solve(n): return A()
        """, "unsupported_value", "exception", "wrong_answer", mode="session"),
    forge("v33_difference_told_the_answer", """
        class A:
            def __sub__(self, o): return 0
            def __rsub__(self, o): return 0
            def __abs__(self): return 0
            def __float__(self): return 16.0
        def solve(n): return A()
        """, "unsupported_value", "exception", "wrong_answer", mode="session"),
    forge("v34_alias_of_argument", """
        import os
        os.write(3, b'[0,{"a":0},null]\\n' * 8 + b'[9]\\n')
        os._exit(0)
        """, "wrong_answer", "protocol_violation", "exception"),
    forge("v35_bool_for_number", "def solve(n): return True\n"),
    forge("v36_exception_with_answer", """
        class E(Exception):
            def __eq__(self, o): return True
            def __str__(self): raise SystemExit(0)
        def solve(n): raise E
        """, "exception"),
    forge("v37_metaclass_lies", """
        class M(type):
            def __instancecheck__(cls, x): return True
            def __eq__(cls, o): return True
            def __hash__(cls): return hash(int)
        class A(metaclass=M):
            def __eq__(self, o): return True
        def solve(n): return A
        """, "unsupported_value", "wrong_answer", "exception"),
    forge("v38_thread_answers_later", """
        import threading, os, time
        def late():
            while True:
                try: os.write(3, b'[0,16,null]\\n')
                except OSError: pass
        threading.Thread(target=late, daemon=True).start()
        def solve(n): time.sleep(0.01); return 0
        """, "protocol_violation", "output_limit", "wrong_answer"),
    forge("v39_truncate_the_replies", """
        import os
        def solve(n):
            os.ftruncate(3, 0)
            return 0
        """, "wrong_answer", "protocol_violation", "exception"),
    forge("v40_seek_the_replies", """
        import os
        def solve(n):
            os.lseek(3, 0, 0)
            return 0
        """, "wrong_answer", "protocol_violation", "exception"),
]  # fmt: skip

CHANNEL: list[Attack] = [
    forge("c01_garbage", "import os\nos.write(3, bytes(range(256)))\ndef solve(n): return n*n+7\n", "protocol_violation"),
    forge("c02_huge_line", "import os\ndef solve(n): os.write(3, b'[' + b'9' * 500000); return n*n+7\n", "protocol_violation"),
    forge("c03_huge_return", "def solve(n): return 'x' * 50_000_000\n", "output_limit", "exception", "memory"),
    forge("c04_deep_nesting", """
        def solve(n):
            x = []
            for _ in range(100000): x = [x]
            return x
        """, "unsupported_value", "wrong_answer", "exception", "crashed"),
    forge("c05_two_replies", "import os\ndef solve(n): os.write(3, b'[0,16,null]\\n'); return 16\n", "protocol_violation"),
    forge("c06_close_everything", "import os\nos.closerange(0, 64)\ndef solve(n): return n*n+7\n", "crashed", "exception"),
    forge("c07_nested_json_bomb", """
        import os
        os.write(3, b'[0,' + b'[' * 200000 + b']' * 200000 + b',null]\\n[9]\\n')
        os._exit(0)
        """, "protocol_violation"),
    forge("c08_number_bomb", """
        import os
        os.write(3, b'[0,' + b'9' * 600000 + b',null]\\n[9]\\n')
        os._exit(0)
        """, "protocol_violation"),
    forge("c09_half_a_reply_then_sleep", """
        import os, time
        def solve(n):
            os.write(3, b'[0,1')
            time.sleep(100)
        """, "timeout_wall", limits={"wall_seconds": 0.4}),
    forge("c10_unknown_tag", "import os\nos.write(3, b'[0,{\"z\":1},null]\\n[9]\\n')\nos._exit(0)\n", "protocol_violation"),
    forge("c11_unhashable_set", "import os\nos.write(3, b'[0,{\"s\":[[1]]},null]\\n[9]\\n')\nos._exit(0)\n", "protocol_violation"),
    forge("c12_bad_decimal", "import os\nos.write(3, b'[0,{\"D\":\"x\"},null]\\n[9]\\n')\nos._exit(0)\n", "protocol_violation"),
    forge("c13_bad_fraction", "import os\nos.write(3, b'[0,{\"F\":[\"0x1\",\"0x0\"]},null]\\n[9]\\n')\nos._exit(0)\n", "protocol_violation"),
    forge("c14_object_with_two_keys", "import os\nos.write(3, b'[0,{\"t\":[],\"d\":[]},null]\\n[9]\\n')\nos._exit(0)\n", "protocol_violation"),
    forge("c15_not_ascii", "import os\nos.write(3, '[0,\"\\u00e4\",null]\\n[9]\\n'.encode())\nos._exit(0)\n", "protocol_violation"),
    forge("c16_cyclic_value", "def solve(n):\n    x = []\n    x.append(x)\n    return x\n", "unsupported_value", "wrong_answer", "exception"),
    forge("c17_fake_syntax_error_reply", "import os\nos.write(3, b'[3,\"no\"]\\n')\ndef solve(n): return n*n+7\n", "syntax_error", "protocol_violation"),
    forge("c18_huge_range", "def solve(n): return range(10**18)\n", "wrong_answer", "unsupported_value", "exception"),
    forge("c19_huge_decimal", "import decimal\ndef solve(n): return decimal.Decimal('1E+999999')\n", "unsupported_value", "wrong_answer"),
    forge("c20_pickle_reply", """
        import os
        os.write(3, b"cos\\nsystem\\n(S'touch SCRATCH/pickled'\\ntR.\\n[9]\\n")
        os._exit(0)
        """, "protocol_violation"),
    forge("c21_code_in_reply", "import os\nos.write(3, b'[0,__import__(\"os\").getpid(),null]\\n[9]\\n')\nos._exit(0)\n", "protocol_violation"),
    forge("c22_early_session_answers", """
        import os
        for _ in range(4): os.write(5, b'[0,16,null]\\n')
        def solve(n): return 0
        """, "protocol_violation", "wrong_answer", "exception", mode="session"),
    forge("c23_session_garbage", "import os\ndef solve(n): os.write(5, b'junk\\n'); return 16\n", "protocol_violation", mode="session"),
    forge("c24_session_close", "import os\ndef solve(n): os.close(5); return 16\n", "crashed", "exception", "protocol_violation", mode="session"),
    forge("c25_session_flood", """
        import os
        def solve(n):
            while True: os.write(5, b'x' * 65536)
        """, "output_limit", "protocol_violation", "timeout_cpu", mode="session"),
    forge("c26_session_nonblocking_pipe", """
        import fcntl, os
        for fd in (4, 5): os.set_blocking(fd, False)
        def solve(n): return 0
        """, "wrong_answer", "exception", "crashed", "protocol_violation", mode="session"),
    forge("c27_session_handle_of_nobody", "import os\ndef solve(n): os.write(5, b'[0,{\"h\":[99,\"x\",true]},null]\\n'); os._exit(0)\n",
          "protocol_violation", "exception", "unsupported_value", mode="session"),
]  # fmt: skip
