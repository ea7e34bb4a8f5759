"""Attacks on files, network, processes and resources: right answers come only after a forbidden act worked."""

# ruff: noqa: E501

from tests.support.sandbox.attack_words import Attack, act, forge

FILES: list[Attack] = [
    act("f01_read_a_world_readable_secret", "return open('SECRET_FILE').read()"),
    act("f02_read_etc_passwd", "return open('/etc/passwd').read()"),
    act("f03_list_root", "import os\nassert any(d in os.listdir('/') for d in ('etc', 'home', 'root', 'proc'))"),
    act("f04_stat_the_secret", "import os\nos.stat('SECRET_FILE')", tiers=(3,)),
    act("f05_write_tmp", "open('SCRATCH/f05', 'w').write('x')"),
    act("f06_write_dev_shm", "open('/dev/shm/selfplay_f06', 'w').write('x')"),
    act("f07_mkdir", "import os\nos.mkdir('SCRATCH/f07')"),
    act("f08_unlink", "import os\nos.unlink('SECRET_FILE')"),
    act("f09_rename", "import os\nos.rename('SECRET_FILE', 'SECRET_FILE.moved')"),
    act("f10_symlink", "import os\nos.symlink('/etc/passwd', 'SCRATCH/f10')"),
    act("f11_hard_link", "import os\nos.link('SECRET_FILE', 'SCRATCH/f11')"),
    act("f12_chmod", "import os\nos.chmod('SECRET_FILE', 0o777)"),
    act("f13_truncate", "import os\nos.truncate('SECRET_FILE', 0)"),
    act("f14_read_memory_of_parent", "import os\nopen('/proc/%d/mem' % os.getppid(), 'rb').read(1)"),
    act("f15_read_environment_of_parent", "import os\nopen('/proc/%d/environ' % os.getppid(), 'rb').read()"),
    act("f16_read_environment_of_caller", "open('/proc/CALLER/environ', 'rb').read()"),
    act("f17_write_into_the_library", "import os\nopen(os.__file__, 'a').write('#')"),
    act("f18_memory_file", "import os\nfd = os.memfd_create('x')\nos.write(fd, b'x' * 10**8)"),
    act("f19_temporary_file", "import tempfile\ntempfile.TemporaryFile(dir='/tmp').write(b'x')"),
    act("f19_temporary_file_where_no_folder_is_writable", "import tempfile\ntempfile.TemporaryFile().write(b'x')", tiers=(2,)),
    act("f20_chroot", "import os\nos.chroot('/usr')"),
    act("f21_mount", "import ctypes\nc = ctypes.CDLL(None)\nassert c.mount(b'none', b'/usr', b'tmpfs', 0, None) == 0"),
    act("f22_open_tree", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(428, -100, b'/', 1) >= 0"),
    act("f23_name_to_handle", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(304, -1, b'x' * 64, 0) >= 0"),
    act("f24_dot_dot_out_of_the_root", "open('../' * 30 + 'etc/passwd').read()"),
    act("f25_fchdir_out", """
        import os
        for fd in range(64):
            try: os.fchdir(fd)
            except OSError: continue
            open('../../../../etc/passwd').read(); return
        raise OSError
        """),
    act("f26_reopen_output_for_reading_others", "open('/proc/self/fd/1').read()", tiers=(3,), quick=False),  # tier 2: only its own
    act("f27_openat2", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(437, -100, b'/etc/passwd', b'\\0' * 24, 24) >= 0", quick=False),
    act("f28_raw_open", "import ctypes\nc = ctypes.CDLL(None)\nassert c.open(b'/etc/hostname', 0) >= 0", quick=False),
    act("f29_home_of_root", "import os\nassert os.listdir('/root') is not None", quick=False),
    act("f30_set_times", "import os\nos.utime('SECRET_FILE', (0, 0))", quick=False),
]  # fmt: skip

NETWORK: list[Attack] = [
    act("n01_tcp", "import socket\nsocket.create_connection(('127.0.0.1', TCP_PORT), 0.5)"),
    act("n02_udp", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'out', ('127.0.0.1', UDP_PORT))"),
    act("n03_unix_path", "import socket\nsocket.socket(socket.AF_UNIX).connect('UNIX_PATH')"),
    act("n04_unix_abstract", "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0ABSTRACT')"),
    act("n05_io_uring", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(425, 4, b'\\0' * 120) >= 0"),
    act("n06_sysv_shared_memory", "import ctypes\nc = ctypes.CDLL(None)\nassert c.shmget(1234, 4096, 0o1666) >= 0"),
    act("n07_posix_queue", "import ctypes\nc = ctypes.CDLL('librt.so.1')\nassert c.mq_open(b'/x', 0o102, 0o666, None) >= 0"),
    act("n08_listen", "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()"),
    act("n09_netlink", "import socket\nsocket.socket(16, 3, 0)"),
    act("n10_raw_socket", "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", quick=False),
    act("n11_vsock", "import socket\nsocket.socket(40, socket.SOCK_STREAM)", quick=False),
    act("n12_sysv_messages", "import ctypes\nc = ctypes.CDLL(None)\nassert c.msgget(1, 0o1666) >= 0", quick=False),
    act("n13_sysv_semaphores", "import ctypes\nc = ctypes.CDLL(None)\nassert c.semget(1, 1, 0o1666) >= 0", quick=False),
    act("n14_dns", "import socket\nsocket.getaddrinfo('example.com', 80)", quick=False),
]  # fmt: skip

PROCESSES: list[Attack] = [
    act("p01_fork", "import os\nif os.fork() == 0: os._exit(0)"),
    act("p02_fork_bomb", "import os\nwhile True: os.fork()"),
    act("p03_thread_bomb", """
        import threading, time
        for _ in range(500): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        """, "exception", "crashed", "memory"),
    act("p04_shell", "import subprocess\nsubprocess.run('true', shell=True, check=True)"),
    act("p05_execve", "import os\nos.execv('/bin/true', ['true'])"),
    act("p06_double_fork", """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
        """),
    act("p07_kill_parent", "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.2)\nraise OSError", "exception"),
    act("p08_kill_everybody", "import os\nos.kill(-1, 9)\nraise OSError", "exception"),
    act("p09_kill_a_stranger", "import os\nos.kill(VICTIM, 9)"),
    act("p10_kill_the_caller", "import os\nos.kill(CALLER, 9)"),
    act("p11_ptrace", "import ctypes, os\nc = ctypes.CDLL(None)\nassert c.ptrace(16, os.getppid(), 0, 0) == 0"),
    act("p12_read_process_memory", """
        import ctypes, os
        c = ctypes.CDLL(None)
        v = (ctypes.c_size_t * 2)(0, 8)
        assert c.process_vm_readv(os.getppid(), v, 1, v, 1, 0) > 0
        """),
    act("p13_new_user_namespace", "import ctypes\nc = ctypes.CDLL(None)\nassert c.unshare(0x10000000) == 0"),
    act("p14_clone_new_namespace", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(56, 0x10000011, 0, 0, 0, 0) >= 0"),
    act("p15_clone_without_the_secret", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(56, 17, 0, 12345, 0, 0) >= 0"),
    act("p16_vfork", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(58) >= 0"),
    act("p17_x32_call", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(0x40000000 + 39) > 0", "crashed", "exception"),
    act("p18_foreign_call_gate", """
        import ctypes, mmap
        m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        m.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')  # getpid through int 0x80
        address = ctypes.addressof(ctypes.c_char.from_buffer(m))
        assert ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0
        """, "crashed", "exception"),
    act("p19_bpf", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(321, 0, b'\\0' * 64, 64) >= 0"),
    act("p20_perf_events", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(298, b'\\0' * 112, 0, -1, -1, 0) >= 0"),
    act("p21_userfaultfd", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(323, 1) >= 0"),
    act("p22_keyctl", "import ctypes\nc = ctypes.CDLL(None)\nassert c.syscall(250, 0, -3, 1) >= 0"),
    act("p23_pidfd", "import os\nos.pidfd_open(os.getppid())"),
    act("p24_setuid_root", "import os\nos.setuid(0)"),
    act("p25_raise_capabilities", """
        import ctypes
        c = ctypes.CDLL(None)
        h = (ctypes.c_uint32 * 2)(0x20080522, 0)
        w = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
        assert c.capset(h, w) == 0
        """),
    act("p26_search_the_secret", """
        import ctypes, gc
        words = [getattr(o, "value") for o in gc.get_objects() if type(o).__name__ == "c_ulong"]
        import sys
        box = sys._getframe(2).f_globals if hasattr(sys, "_getframe") else {}
        words.append(box["_secret"].value)
        c = ctypes.CDLL(None)
        for w in words:
            if c.syscall(56, 17, 0, ctypes.c_ulong(w), 0, 0) > 0: return
        raise OSError
        """),
    act("p27_search_the_stack_for_the_secret", """
        import ctypes
        c = ctypes.CDLL(None)
        here = ctypes.c_ulong(0)
        words = set()
        for line in range(1):
            marker = ctypes.create_string_buffer(64)
        class Frame(ctypes.Structure): _fields_ = [("w", ctypes.c_ulong * 1)]
        local = ctypes.addressof(marker)
        for at in range(0, 4096, 8):
            words.add(ctypes.c_ulong.from_address((local & ~4095) + at).value)
        for w in words:
            pid = c.syscall(56, 17, 0, ctypes.c_ulong(w), 0, 0)
            if pid == 0: c._exit(0)
            if pid > 0: return
        raise OSError
        """),
    act("p28_renice_the_others", "import os\nos.setpriority(os.PRIO_PROCESS, os.getppid(), 19)", quick=False),
    act("p29_pin_the_others", "import os\nos.sched_setaffinity(os.getppid(), {0})", quick=False),
    act("p30_limit_the_parent", "import os, resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))", quick=False),
    act("p31_new_session", "import os\nos.setsid()\nimport ctypes\nassert ctypes.CDLL(None).syscall(57) >= 0", quick=False),
    act("p32_personality", "import ctypes\nassert ctypes.CDLL(None).personality(0x0040000) >= 0", quick=False),
    act("p33_another_seccomp_filter", "import ctypes\nassert ctypes.CDLL(None).syscall(317, 1, 8, b'\\0' * 16) >= 0", quick=False),
    act("p34_parent_death_signal", "import ctypes\nassert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0", quick=False),
    act("p35_make_dumpable", "import ctypes\nassert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0", quick=False),
    act("p36_reboot", "import ctypes\nassert ctypes.CDLL(None).reboot(0xfee1dead) == 0", quick=False),
    act("p37_set_the_clock", "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)", quick=False),
    act("p38_host_name", "import socket\nsocket.sethostname('x')", quick=False),
    act("p39_kernel_module", "import ctypes\nassert ctypes.CDLL(None).syscall(175, b'', 0, b'') == 0", quick=False),
    act("p40_posix_spawn", "import os\nos.posix_spawn('/bin/true', ['true'], {})", quick=False),
    act("p41_multiprocessing", "import multiprocessing\nmultiprocessing.Pool(2).map(abs, [1])", quick=False),
    act("p42_execveat", "import ctypes\nassert ctypes.CDLL(None).syscall(322, -100, b'/bin/true', 0, 0, 0) == 0", quick=False),
    act("p60_hunt_for_the_word_that_lets_the_zygote_fork", """
        import ctypes, os, struct
        c = ctypes.CDLL(None)
        c.syscall.restype = ctypes.c_long
        c.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
        byte = ctypes.create_string_buffer(1)
        # around every kind of memory: small blocks, the heap, the stack, the library's data, the thread's own
        near = [id(object()), id([]), id(c), c.syscall(12, 0), ctypes.addressof(byte), id(int), ctypes.cast(c.malloc, ctypes.c_void_p).value]
        pages, words = set(), set()
        for address in near:
            pages.update(range((address >> 12) - 700, (address >> 12) + 700))
        for page in pages:
            if page > 0 and c.mincore(page << 12, 4096, byte) == 0:
                try:
                    r, w = os.pipe()
                    n = c.write(w, ctypes.c_void_p(page << 12), 4096)
                    data = os.read(r, 4096) if n == 4096 else b''
                finally:
                    os.close(r)
                    os.close(w)
                for at in range(0, len(data) - 7, 8):
                    word = struct.unpack_from('<Q', data, at)[0]
                    if word >> 48 and word not in (2**64 - 1,):
                        words.add(word)
        for word in words:
            if c.syscall(56, 17, None, ctypes.c_ulong(word), None, None) >= 0:
                return
        raise PermissionError(len(words))
    """, "exception", "crashed", quick=False, mode="io", limits={"cpu_seconds": 20.0, "wall_seconds": 60.0}),
]  # fmt: skip

RESOURCES: list[Attack] = [
    forge("r01_memory_bomb", "def solve(n):\n    x = []\n    while True: x.append(bytearray(10**7))\n", "memory"),
    forge("r02_bigint_bomb", "def solve(n): return 3 ** (3 ** 30) % 7\n", "timeout_cpu", "memory", limits={"cpu_seconds": 0.3}),
    forge("r03_loop_that_ignores_signals", """
        import signal
        for s in range(1, 65):
            try: signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError): pass
        def solve(n):
            while True: pass
        """, "timeout_cpu", limits={"cpu_seconds": 0.3}),
    forge("r04_sleep_for_ever", "import time\ndef solve(n): time.sleep(10**6)\n", "timeout_wall", limits={"wall_seconds": 0.4}),
    forge("r05_flood", "def solve(n):\n    while True: print('x' * 10000)\n", "output_limit"),
    forge("r06_flood_of_errors_caught", """
        import os
        def solve(n):
            while True:
                try: os.write(2, b'x' * 65536)
                except OSError: pass
        """, "output_limit", limits={"cpu_seconds": 0.3}),
    forge("r07_recursion", "import sys\nsys.setrecursionlimit(10**9)\ndef solve(n): return solve(n)\n", "crashed", "exception", "memory", "timeout_cpu",
          limits={"cpu_seconds": 0.4}),
    forge("r08_segfault", "import ctypes\ndef solve(n): ctypes.string_at(0)\n", "crashed"),
    act("r09_raise_limits", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
    forge("r10_regex", "import re\ndef solve(n): return re.match('(a+)+$', 'a' * 40 + 'b')\n", "timeout_cpu", limits={"cpu_seconds": 0.3}),
    act("r11_descriptors", "import os\nfds = [os.dup(1) for _ in range(100)]"),
    forge("r12_stop_self", "import os, signal\ndef solve(n): os.kill(os.getpid(), signal.SIGSTOP)\n",
          "timeout_wall", "exception", "wrong_answer", limits={"wall_seconds": 0.4}),
    forge("r13_compile_bomb", "def solve(n): return eval('(' * 150 + '1' + ')' * 150 + '**9' * 50)\n",
          "timeout_cpu", "memory", "exception", "wrong_answer", "output_limit", limits={"cpu_seconds": 0.5}),
    forge("r14_source_bomb", "x = " + "(" * 5000 + ")" * 5000 + "\n", "syntax_error", "memory"),
    forge("r15_abort", "import os\ndef solve(n): os.abort()\n", "crashed"),
    forge("r16_threads_burn_cpu", """
        import threading
        def burn():
            while True: pass
        def solve(n):
            for _ in range(4): threading.Thread(target=burn).start()
            burn()
        """, "timeout_cpu", limits={"cpu_seconds": 0.3}, quick=False),
    forge("r17_sparse_output", "import os\ndef solve(n): os.ftruncate(1, 10**12); return 0\n", "exception", "output_limit", "crashed", quick=False),
    forge("r18_exit_status_of_a_crash", "import os\ndef solve(n): os._exit(139)\n", "crashed", quick=False),
    forge("r19_stop_and_go", """
        import os, signal, threading
        def solve(n):
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            signal.signal(signal.SIGALRM, lambda *a: None)
            while True: pass
        """, "timeout_cpu", limits={"cpu_seconds": 0.3}, quick=False),
    forge("r20_dict_collisions", "def solve(n): return {i * (2**61 - 1) for i in range(1, 30000)}\n", "timeout_cpu", "wrong_answer", "output_limit",
          limits={"cpu_seconds": 0.3}, quick=False),
    forge("r21_zip_bomb", "import zlib\ndef solve(n): return zlib.decompress(zlib.compress(b'0' * 10**9))\n", "memory", quick=False),
    forge("r22_import_everything", """
        import pkgutil
        def solve(n):
            for m in pkgutil.iter_modules():
                try: __import__(m.name)
                except BaseException: pass
            return 0
        """, "wrong_answer", "timeout_cpu", "crashed", "exception", "output_limit", "timeout_wall", quick=False),
    forge("r23_mlock", "import ctypes\ndef solve(n): c = ctypes.CDLL(None); b = ctypes.create_string_buffer(10**8); return c.mlock(b, 10**8)\n",
          "wrong_answer", "memory", quick=False),
    forge("r24_timers", "import ctypes\ndef solve(n): return [ctypes.CDLL(None).timer_create(1, None, ctypes.byref(ctypes.c_long())) for _ in range(9999)][-1]\n",
          "wrong_answer", "timeout_cpu", "memory", quick=False),
]  # fmt: skip
