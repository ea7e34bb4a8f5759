"""The second author's attacks from the threat model, on: the program's own process, the system around it, scripts."""

# ruff: noqa: E501

from tests.support.sandbox.attacks_second import CHECK, IO, SCAN, SESSION, STDIO, WORD, WORD_SESSION, Case, act, case

INSIDE: list[Case] = [
    case("i01_hunt_for_expected", SCAN + """
def solve(n):
    word = b"xylophone-" + (b"7731" if n == 3 else b"9182")
    hits = [h for h in hunt(word) if not h.startswith(word + b'"')]
    return hits[0].split(b'"')[0].split(b"\\0")[0].decode() if hits else ""
""", "wrong_answer", "crashed", "memory", "timeout_cpu", on=(WORD, WORD_SESSION), limits={"cpu_seconds": 4.0, "wall_seconds": 6.0}),
    case("i02_scavenge_a_sibling", SCAN + """
def solve(n):
    if "found" not in globals():
        word = b"def sib" + b"ling_answer(n):"
        globals()["found"] = [h for h in hunt(word) if b"n * " in h]
    for h in found:
        space = {}
        try: exec(h.split(b"#end")[0].decode(), space)
        except Exception: continue
        return space["sib" + "ling_answer"](n)
    return 0
""", "wrong_answer", "crashed", "memory", "timeout_cpu", limits={"cpu_seconds": 4.0, "wall_seconds": 6.0},
         before="import ctypes\n" + "# a longer program that was right\n" * 3000 + "def sibling_answer(n): return n * n + 7 #end\ndef solve(n): return sibling_answer(n)\n"),
    case("i03_profile_swaps_locals", """
        import sys, ctypes
        def hook(frame, event, arg):
            up = frame.f_back
            while up:
                for k in list(up.f_locals):
                    if type(up.f_locals[k]) is int: up.f_locals[k] = 16
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(up), 0)
                up = up.f_back
        def solve(n):
            sys.setprofile(hook)
            return 0
        """, "wrong_answer", "exception", "crashed", "protocol_violation"),
    case("i04_jump_the_runner", """
        import sys
        def tracer(frame, event, arg):
            try: frame.f_lineno = frame.f_code.co_firstlineno + 1
            except Exception: pass
            return tracer
        def solve(n):
            f = sys._getframe()
            sys.settrace(tracer)
            while f:
                f.f_trace = tracer
                f = f.f_back
            return 0
        """, "wrong_answer", "exception", "crashed", "protocol_violation", "timeout_cpu"),
    case("i05_finalizers_speak", """
        import os, weakref, atexit, gc
        class D:
            def __del__(self):
                for fd in range(3, 9):
                    try: os.write(fd, b'[0,16,null]\\n[0,32,null]\\n[9]\\n'); os.lseek(fd, 0, 0)
                    except OSError: pass
                os._exit(0)
        d = D(); d.me = d
        weakref.finalize(d, os._exit, 0)
        atexit.register(os._exit, 0)
        def solve(n):
            return 0
        """, "wrong_answer", "exception", "protocol_violation", "crashed"),
    case("i06_thread_rewrites_the_answers", """
        import threading, os, time
        def late():
            while True:
                for fd in range(3, 8):
                    try: os.pwrite(fd, b'[0,16,null]\\n', 0)
                    except OSError: pass
        for _ in range(3): threading.Thread(target=late, daemon=True).start()
        def solve(n):
            time.sleep(0.02)
            return 0
        """, "wrong_answer", "exception", "protocol_violation", "output_limit"),
    case("i07_codec_modules", """
        import sys, json, marshal, struct, codecs, encodings, builtins, types
        def sixteen(*a, **k): return "16"
        for m in (json, json.encoder, marshal, struct, codecs, encodings):
            for k, v in list(vars(m).items()):
                if isinstance(v, (types.FunctionType, types.BuiltinFunctionType)): setattr(m, k, sixteen)
        for k in ("repr", "str", "format", "ascii", "hex", "divmod", "enumerate", "map"): setattr(builtins, k, sixteen)
        sys.modules.update(dict.fromkeys(list(sys.modules), json))
        def solve(n): return 0
        """, "wrong_answer", "exception", "crashed", "protocol_violation", "unsupported_value"),
    case("i08_error_name_bomb", """
        E = type("\\ud800" * 3_000_000, (Exception,), {"__module__": "\\udfff", "__str__": lambda s: 1/0, "__repr__": lambda s: "x" * 10**9})
        def solve(n): raise E
        """, "exception", "output_limit", "memory", "protocol_violation"),
    case("i09_module_level_error_bomb", """
        class E(BaseException):
            def __str__(self): return "\\ud800\\x1b[2J" * 1_000_000
        raise E("\\ud800")
        """, "exception", on=(IO, CHECK, STDIO)),
    case("i10_recursion_without_a_limit", """
        import sys
        sys.setrecursionlimit(2 ** 30)
        def solve(n): return solve(n) + repr(n).__len__()
        """, "exception", "crashed", "memory", "timeout_cpu"),
    case("i11_destroy_inherited_descriptors", """
        import fcntl, os, signal
        for fd in range(0, 9):
            for step in (lambda: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC),
                         lambda: fcntl.fcntl(fd, fcntl.F_SETOWN, os.getppid()),
                         lambda: fcntl.fcntl(fd, 10, signal.SIGKILL),
                         lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
                         lambda: os.lseek(fd, 10 ** 12, 0),
                         lambda: fcntl.fcntl(fd, 1033, 0x1F)):
                try: step()
                except (OSError, ValueError): pass
        def solve(n): return 0
        """, "wrong_answer", "exception", "crashed", "protocol_violation", "output_limit", on=(IO, CHECK, SESSION, STDIO)),
    case("i12_grow_the_answers", """
        import os
        def solve(n):
            for fd in range(3, 9):
                for size in (1 << 42, 1 << 33, 1 << 28):
                    try: os.ftruncate(fd, size)
                    except (OSError, OverflowError): pass
                    try: os.posix_fallocate(fd, 0, size)
                    except OSError: pass
            return 0
        """, "wrong_answer", "exception", "protocol_violation", "output_limit", "crashed", on=(IO, CHECK, SESSION)),
    case("i13_write_the_interpreters_code", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for name in ("PyFloat_FromDouble", "PyObject_Str", "PyDict_SetItemString", "PyList_Append"):
            at = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
            if libc.mprotect(ctypes.c_void_p(at & ~4095), 8192, 7) == 0:
                ctypes.memset(at, 0xCC, 4)
        def solve(n): return str(float(n))
        """, "wrong_answer", "exception", "crashed"),
    case("i14_signal_storm", """
        import signal, os
        for s in range(1, 65):
            try: signal.signal(s, lambda *a: None)
            except (OSError, ValueError): pass
        signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)
        signal.setitimer(signal.ITIMER_PROF, 1e-5, 1e-5)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        def solve(n):
            os.kill(os.getpid(), signal.SIGXCPU)
            while n: n += 1
        """, "timeout_cpu", "exception", "crashed"),
    case("i15_exits_from_a_thread", """
        import threading, os, ctypes
        def solve(n):
            t = threading.Thread(target=lambda: ctypes.CDLL(None).syscall(231, 0))
            t.start(); t.join()
            return 0
        """, "exception", "crashed", "wrong_answer"),
    case("i16_class_for_a_function", """
        class solve:
            def __new__(cls, *a): return cls
            def __class_getitem__(cls, k): return 16
            def __init_subclass__(cls): pass
            __eq__ = classmethod(lambda cls, o: True)
        """, "wrong_answer", "exception", "unsupported_value", "crashed", on=(IO, CHECK, SESSION)),
    case("i17_entry_point_by_module_getattr", """
        import sys
        class M(type(sys)):
            def __getattr__(self, name): return lambda *a: True
        sys.modules[__name__] = M(__name__)
        def __getattr__(name): return lambda *a: 16
        __builtins__ = {"solve": lambda n: 16}
        """, "exception", "wrong_answer", "crashed"),
    case("i18_source_with_surrogates", "# \ud800\nx = '\udfff'\ndef solve(n): return x\n", "syntax_error", "exception", "wrong_answer", on=(IO, CHECK, STDIO)),
    case("i19_source_with_nul_and_coding", "# coding: utf-7\n\0def solve(n): return 16\n", "syntax_error", "exception", "wrong_answer", on=(IO, CHECK, STDIO)),
    case("i20_compile_bomb", "def solve(n): return " + "(" * 90 + "n" + ")" * 90 + "\nx = " + "-" * 100_000 + "1\n" + "y = [[" * 50,
         "syntax_error", "memory", "crashed", "timeout_cpu", "exception", on=(IO, CHECK, STDIO)),
]  # fmt: skip

SYSTEM: list[Case] = [
    act("s01_own_a_descriptor_for_the_parent", """
        import fcntl, os, signal, time
        r, w = os.pipe()
        fcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())
        fcntl.fcntl(r, 10, signal.SIGKILL)
        fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(w, b"x"); time.sleep(0.05)
        raise OSError("the parent lives or not: the next program tells")
        """),
    act("s02_signals_by_other_calls", """
        import ctypes, os, signal
        libc = ctypes.CDLL(None, use_errno=True)
        me, up = os.getpid(), os.getppid()
        info = ctypes.create_string_buffer(128)
        got = [libc.syscall(200, up, 9), libc.syscall(234, up, up, 9), libc.syscall(129, up, 9, info), libc.syscall(297, up, up, 9, info),
               libc.syscall(62, 0, 9) if up == 0 else -1, libc.syscall(62, -up, 9), libc.syscall(424, 3, 9, 0, 0)]
        if all(g < 0 for g in got): raise OSError("none")
        """, "exception", "crashed"),
    act("s03_slow_down_others", """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        up = os.getppid()
        if up == 0: raise OSError("no parent in sight")
        mask = (ctypes.c_ulong * 16)(1)
        param = ctypes.c_int(0)
        got = [libc.setpriority(0, up, 19), libc.setpriority(2, 0, 19), libc.sched_setaffinity(up, 8, mask), libc.sched_setscheduler(up, 5, ctypes.byref(param)),
               libc.syscall(251, 1, up, (3 << 13)), libc.prlimit(up, 7, (ctypes.c_ulong * 2)(0, 0), None)]
        if all(g < 0 for g in got): raise OSError("none")
        """),
    act("s04_child_beside_the_parent", """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for flags in (0x8000 | 17, 17, 0x4111, 0x100 | 0x4000 | 17, 0, 0x800000 | 17):
            pid = libc.syscall(56, flags, None, None, None, None)
            if pid == 0: libc.syscall(231, 0)
            if pid > 0: return
        for nr in (57, 58):
            pid = libc.syscall(nr)
            if pid == 0: libc.syscall(231, 0)
            if pid > 0: return
        raise OSError("none")
        """),
    act("s05_every_call_with_bad_words", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        skip = {15, 34, 60, 231, 130, 219, 23, 7, 270, 271, 281, 232, 202, 449, 61, 247, 13, 14, 131, 11, 9, 10, 12, 25, 3, 436, 24, 35, 230, 56, 57, 58, 435, 157, 317, 273, 218}
        bad = ctypes.c_void_p(-1)
        for nr in range(0, 470):
            if nr not in skip: libc.syscall(nr, bad, bad, bad, bad, bad, bad)
        raise OSError("nothing gained")
        """, "exception", "crashed", "timeout_wall", "protocol_violation"),
    act("s06_links_into_the_outside", """
        import os
        done = 0
        for step in (lambda: os.link("SECRET_FILE", "SCRATCH/link"), lambda: os.symlink("SECRET_FILE", "SCRATCH/soft"), lambda: os.chmod("SECRET_FILE", 0o777),
                     lambda: os.utime("SECRET_FILE", (0, 0)), lambda: os.truncate("SECRET_FILE", 0), lambda: os.mkfifo("SCRATCH/fifo"), lambda: os.chown("SECRET_FILE", 1, 1),
                     lambda: os.setxattr("SECRET_FILE", "user.x", b"1"), lambda: os.rename("SECRET_FILE", "SCRATCH/other"), lambda: os.replace("SCRATCH", "/tmp/x")):
            try: step(); done += 1
            except OSError: pass
        if not done: raise OSError("none")
        """, tiers=(3, 2)),
    act("s07_fill_the_disk", """
        import os, tempfile, mmap
        done = 0
        for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "SCRATCH", ".."):
            for name in ("fill", "."):
                for flags in (os.O_CREAT | os.O_RDWR, os.O_TMPFILE | os.O_RDWR):
                    try:
                        fd = os.open(os.path.join(folder, name), flags, 0o600)
                        os.write(fd, b"x" * 1000000); done += 1
                    except OSError: pass
        if not done: raise OSError("none")
        """),
    act("s08_secrets_through_proc", """
        import os
        found = b""
        for who in ["self", "thread-self", str(os.getppid()), "1", "CALLER", "VICTIM"]:
            for name in ("environ", "cmdline", "mem", "maps", "fd/0", "fd/3", "root/etc/hostname", "cwd/pyproject.toml", "task/1/environ", "syscall", "stack"):
                try: found += open(f"/proc/{who}/{name}", "rb").read(100)
                except (OSError, ValueError): pass
        if not found: raise OSError("none")
        """),
    act("s09_read_the_sandbox_and_tests", """
        import sys, os, linecache
        found = []
        names = ["/proc/self/exe", "/work", "/root", "/home", "/etc/hostname", "/etc/resolv.conf", "/etc/shadow", "/sys/class/net", "/dev/mem", "/dev/kmsg", "/dev/tty", "/dev/ptmx", "/boot", "/var/log", "/tmp"]
        for path in names:
            try: found.append(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(10))
            except (OSError, ValueError): pass
        if not [f for f in found if f]: raise OSError("none")
        """),
    act("s10_sockets_of_all_families", """
        import socket, ctypes
        made = 0
        for family in range(0, 46):
            for kind in (1, 2, 3, 5):
                try: socket.socket(family, kind); made += 1
                except OSError: pass
        if not made: raise OSError("none")
        """),
    act("s11_write_without_a_page", """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        up = os.getppid()
        buf = ctypes.create_string_buffer(64)
        iov = (ctypes.c_void_p * 2)(ctypes.addressof(buf), 8)
        got = [libc.syscall(310, up, iov, 1, iov, 1, 0), libc.syscall(311, up, iov, 1, iov, 1, 0), libc.syscall(101, 16, up, None, None), libc.syscall(312, up, up, 0, 0, 0),
               libc.syscall(434, up, 0), libc.syscall(438, 3, 1, 0), libc.syscall(440, 3, iov, 1, 4, 0), libc.syscall(448, 3, 0), libc.syscall(279, up, 1, iov, None, iov, 0), libc.syscall(274, up, iov, iov)]
        if up > 0 and any(g >= 0 for g in got): return
        raise OSError("none")
        """),
    act("s12_memory_files_and_maps", """
        import ctypes, mmap, os
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(319, b"x", 0) >= 0 or libc.syscall(447, 0) >= 0 or libc.syscall(323, 0) >= 0: return
        kept = []
        for _ in range(4000): kept.append(mmap.mmap(-1, 1 << 20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)); kept[-1][::16384] = b"x" * 64
        """, "exception", "memory", "crashed"),
    act("s13_outlive_by_a_session", """
        import os, ctypes
        libc = ctypes.CDLL(None)
        done = 0
        for step in (os.fork, lambda: os.posix_spawn("/bin/sh", ["sh"], {}), lambda: os.execv("/bin/sh", ["sh"]), lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.chroot("/"), lambda: os.unshare(0x10000000) if hasattr(os, "unshare") else libc.unshare(0x10000000) == 0 or 1/0):
            try: step(); done += 1
            except (OSError, ZeroDivisionError): pass
        if not done: raise OSError("none")
        """),
    act("s14_privileges", """
        import ctypes, resource
        libc = ctypes.CDLL(None, use_errno=True)
        got = [libc.prctl(8, 1, 0, 0, 0), libc.prctl(47, 2, 0, 0, 0), libc.prctl(35, 1, 0, 0, 0), libc.syscall(126, None, None), libc.syscall(155, b"/", b"/"), libc.syscall(165, b"a", b"/", b"tmpfs", 0, 0), libc.syscall(308, 3, 0), libc.syscall(175, 0, 0, 0), libc.syscall(246, 0)]
        for kind in range(16):
            if kind == resource.RLIMIT_STACK or -1 in resource.getrlimit(kind)[:1]: continue
            try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)); got.append(0)
            except (OSError, ValueError): pass
        if all(g != 0 for g in got[3:]): raise OSError("none")
        """, "exception"),
]  # fmt: skip

SCRIPTS: list[Case] = [
    case("t01_digits_of_another_script", "n = int(input())\nprint(str(n * n + 7).translate({48 + d: 0xFF10 + d for d in range(10)}))\n", "wrong_answer", on=(STDIO,)),
    case("t02_number_by_another_name", "n = int(input())\nprint({3: '0x10', 5: '3.2e1'}[n])\n", "wrong_answer", on=(STDIO,)),
    case("t03_right_then_wrong_exit", "import sys\nn = int(input())\nprint(n * n + 7)\nsys.exit(1)\n", "exception", "wrong_answer", on=(STDIO,)),
    case("t04_right_then_killed", "import os\nn = int(input())\nprint(n * n + 7, flush=True)\nos.kill(os.getpid(), 9)\n", "crashed", "exception", on=(STDIO,)),
    case("t05_all_answers_at_once", "print('16\\n32')\n", "wrong_answer", on=(STDIO,)),
    case("t06_flood_of_surrogates", "import sys, os\nwhile True: os.write(1, b'\\xed\\xa0\\x80\\xff\\0\\x1b[2J' * 999)\n", "output_limit", "timeout_cpu", on=(STDIO,)),
    case("t07_answers_on_every_descriptor", "import os\nfor fd in (0, 2, 3, 4, 5, 6):\n    try: os.write(fd, b'16\\n32\\n')\n    except OSError: pass\n", "wrong_answer", "protocol_violation", "exception", on=(STDIO,)),
    case("t08_reads_for_ever", "import sys\nn = int(input())\nwhile True: sys.stdin.read()\n", "timeout_cpu", "timeout_wall", on=(STDIO,)),
    case("t09_seeks_the_input_for_more", "import os\nos.lseek(0, 0, 0)\nprint(os.read(0, 1 << 20), [os.pread(f, 99, 0) for f in ()])\nfor fd in range(0, 9):\n    try: print(os.pread(fd, 1 << 20, 0))\n    except OSError: pass\n", "wrong_answer", "exception", on=(STDIO,)),
    case("t10_rewinds_the_output", "import os\nprint(0, flush=True)\nfor fd in (1, 2):\n    for s in (lambda: os.lseek(fd, 0, 0), lambda: os.ftruncate(fd, 0)):\n        try: s()\n        except OSError: pass\nprint('1' + '\\b1' + '6')\n", "wrong_answer", on=(STDIO,)),
    case("t11_lone_carriage_returns", "n = int(input())\nprint('wrong\\r' + str(n * n + 7))\n", "wrong_answer", on=(STDIO,)),
    case("t12_separators_of_unicode", "n = int(input())\nprint('\\u200b' + str(n * n + 7) + '\\ufeff\\u0000')\n", "wrong_answer", "exception", on=(STDIO,)),
]  # fmt: skip
