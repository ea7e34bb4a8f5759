"""What runs inside the sandbox: this text is the whole program of a zygote, started as `python -I -S box.py`.

It imports nothing of ours and keeps itself small, because every program is a fork of it and a fork costs by the page.
It first locks itself in (the layers come as data on the control channel), then forks once per program. Descriptors:
0 stdin, 1 and 2 output and errors, 3 replies (four files in memory, which the judge owns), 4 and 5 the pipes of call-by-call
sessions, 6 control, 7 a detached /proc or none, 8 the Landlock ruleset or none.
"""

import _signal
import ctypes
import gc
import marshal
import posix
import resource
import sys
import time

_REPLY, _ASK, _ANSWER, _CONTROL, _PROC, _RULES = 3, 4, 5, 6, 7, 8
_libc = ctypes.CDLL(None, use_errno=True)
_call = getattr(_libc, "syscall", None)
if _call is not None:
    _call.restype = ctypes.c_long
_secret = ctypes.c_ulong(0)
_zero = ctypes.c_ulong(0)
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_LOCKED = {1: 1, 2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048}  # ST_* flags are the MS_* of the same value


class _Refused(Exception):
    """A layer could not be put on: (layer, reason)."""


def _must(done, layer):
    if done < 0:
        number = ctypes.get_errno()
        raise _Refused(layer, "%s (errno %d)" % (posix.strerror(number), number))
    return done


def _mount(source, target, kind, flags, data, layer):
    encode = [
        None if text is None else text.encode("utf-8", "surrogateescape") for text in (source, target, kind, data)
    ]
    _must(_libc.mount(encode[0], encode[1], encode[2], ctypes.c_ulong(flags), encode[3]), layer)


def _write(path, text):
    fd = posix.open(path, posix.O_WRONLY)
    posix.write(fd, text.encode())
    posix.close(fd)


def _spaces(nr, as_root):
    """New namespaces; the caller goes on as process 1 of them, a stub outside waits for it."""
    new = 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # mount, pid, net, ipc, uts
    uid, gid = posix.getuid(), posix.getgid()
    if as_root:
        _must(_libc.unshare(new), "namespaces")
    else:
        _libc.prctl(4, 1, 0, 0, 0)  # dumpable, or the maps below belong to root
        _must(_libc.unshare(new | 0x10000000), "user namespace")
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", "%d %d 1" % (uid, uid))
            _write("/proc/self/gid_map", "%d %d 1" % (gid, gid))
        except OSError as error:
            raise _Refused("user namespace", str(error)) from None
    pid = posix.fork()
    if pid:
        _signal.signal(_signal.SIGTERM, lambda number, frame: posix.kill(pid, 9))
        _libc.prctl(1, 15, 0, 0, 0)  # when the judge dies: as if asked to end
        for fd in range(9):
            try:
                posix.close(fd)
            except OSError:
                pass
        try:
            posix.waitpid(pid, 0)
        finally:
            posix._exit(0)
    _libc.prctl(1, 9, 0, 0, 0)


def _make(path, directory):
    done = ""
    parts = path.strip("/").split("/")
    for at, part in enumerate(parts):
        done += "/" + part
        try:
            if directory or at + 1 < len(parts):
                posix.mkdir(done, 0o755)
            else:
                posix.close(posix.open(done, posix.O_CREAT | posix.O_WRONLY, 0o644))
        except FileExistsError:
            pass


def _root(binds):
    """A new root that holds read-only views of `binds` and nothing else; /proc only as a descriptor."""
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE, None, "private mounts")
    stage = None
    for place in ("/mnt", "/media", "/srv", "/opt", "/home", "/tmp", "/var"):
        try:
            posix.stat(place)
        except OSError:
            continue
        if not any(path.startswith(place + "/") for path in binds):
            stage = place
            break
    if stage is None:
        raise _Refused("new root", "no folder to mount on")
    _mount("tmpfs", stage, "tmpfs", 2 | 4 | 8, "size=256k,mode=0755", "tmpfs")
    for path in binds:
        try:
            mode = posix.lstat(path).st_mode & 0o170000
        except OSError:
            continue
        target = stage + path
        if mode == 0o120000:
            _make(stage + path.rpartition("/")[0], True)
            posix.symlink(posix.readlink(path), target)
            continue
        _make(target, mode == 0o040000)
        _mount(path, target, None, _MS_BIND | _MS_REC, None, "bind")
        kept = posix.statvfs(target).f_flag & (2 | 4 | 8 | 1024 | 2048)
        _mount(None, target, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept, None, "read-only bind")
    posix.mkdir(stage + "/.old", 0o700)
    posix.mkdir(stage + "/.proc", 0o700)
    posix.chdir(stage)
    _must(_libc.pivot_root(b".", b".old") if hasattr(_libc, "pivot_root") else -1, "pivot_root")
    posix.chdir("/")
    try:
        _mount("proc", "/.proc", "proc", 2 | 4 | 8, None, "proc")
        _keep(posix.open("/.proc", posix.O_RDONLY | posix.O_DIRECTORY), _PROC)
        _libc.umount2(b"/.proc", 2)
    except _Refused:
        pass  # a masked /proc (many containers): waiting for a core is then not told from sleeping
    _must(_libc.umount2(b"/.old", 2), "leave the old root")
    posix.rmdir("/.old")
    posix.rmdir("/.proc")
    _mount(None, "/", None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | 2 | 4 | 8, None, "read-only root")


def _keep(fd, wanted):
    if fd != wanted:
        posix.dup2(fd, wanted, inheritable=False)
        posix.close(fd)


def _drop(config):
    """Another user for root, and no capability for anybody."""
    uid, keep = config["uid"], 1 << 2 if config["search"] else 0  # CAP_DAC_READ_SEARCH: a prefix below a private home
    if uid:
        if keep:
            _libc.prctl(8, 1, 0, 0, 0)
        try:
            posix.setgroups([])
            posix.setresgid(uid, uid, uid)
            posix.setresuid(uid, uid, uid)
        except OSError as error:
            raise _Refused("change of user", str(error)) from None
    for capability in range(64):
        if _libc.prctl(24, capability, 0, 0, 0) < 0:
            break
    words = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)
    _must(_libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), words), "drop capabilities")
    _libc.prctl(1, 9, 0, 0, 0)
    _must(_libc.prctl(38, 1, 0, 0, 0), "no_new_privs")


def _landlock(nr, abi, paths, execute):
    """A ruleset on descriptor 8 that every program enters: read below `paths`, no network, no signals outwards."""
    writes = 0x1FFF if abi == 1 else 0x3FFF if abi == 2 else 0x7FFF if abi < 5 else 0xFFFF
    rules = (ctypes.c_uint64 * 3)(writes, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    made = _must(_call(nr["landlock_create_ruleset"], ctypes.byref(rules), ctypes.c_ulong(size), 0), "landlock")
    for path in paths:
        try:
            fd = posix.open(path, 0o10000000)  # O_PATH
            folder = posix.fstat(fd).st_mode & 0o170000 == 0o040000
        except OSError:
            continue
        rule = (ctypes.c_char * 12)()
        ctypes.c_uint64.from_buffer(rule).value = (4 | 8 if folder else 4) | execute  # read file, read dir
        ctypes.c_int32.from_buffer(rule, 8).value = fd
        _must(_call(nr["landlock_add_rule"], made, 1, ctypes.byref(rule), 0), "landlock")
        posix.close(fd)
    _keep(made, _RULES)


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def _seccomp(nr, code, holes):
    """Install the filter; the secret in it is drawn by the kernel and never becomes a Python object."""
    _must(_call(nr["getrandom"], ctypes.byref(_secret), ctypes.c_ulong(8), 0), "seccomp")
    buffer = ctypes.create_string_buffer(code, len(code))
    for offset, half in holes:
        ctypes.memmove(ctypes.addressof(buffer) + offset, ctypes.addressof(_secret) + 4 * half, 4)
    program = _Filter(len(code) // 8, ctypes.addressof(buffer))
    _must(_call(nr["seccomp"], 1, 0, ctypes.byref(program)), "seccomp")
    ctypes.memset(buffer, 0, len(code))


def _vm_bytes():
    try:
        name = "self/statm"
        fd = posix.open(name, posix.O_RDONLY, dir_fd=_PROC) if _has(_PROC) else posix.open("/proc/self/statm", 0)
        text = posix.read(fd, 200)
        posix.close(fd)
        return int(text.split()[0]) * 4096
    except OSError:
        return 64 << 20


def _has(fd):
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def _receive():
    """The next message of the judge; leaves when the judge is gone."""
    data = posix.read(_CONTROL, 65536)
    if not data:
        posix._exit(0)
    size = int.from_bytes(data[:4], "little") + 4
    while len(data) < size:
        more = posix.read(_CONTROL, size - len(data))
        if not more:
            posix._exit(0)
        data += more
    return marshal.loads(memoryview(data)[4:])


def _start(config):
    nr, tier = config["nr"], config["tier"]
    sys.path[:] = config["path"]
    for name in config["preload"]:
        try:
            __import__(name)
        except ImportError:
            pass
    if _call is not None and tier:
        _libc.prctl(1, 9, 0, 0, 0)
    if tier == 3:
        _spaces(nr, config["as_root"])
        _root(config["binds"])
    elif tier == 2:
        try:
            _keep(posix.open("/proc", posix.O_RDONLY | posix.O_DIRECTORY), _PROC)
        except OSError:
            pass
    if tier:
        _drop(config)
    if config["landlock"]:
        _landlock(nr, config["landlock"], config["read"], 1 if config["program"] else 0)
    base = _vm_bytes()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
    if tier:
        _must(_libc.prctl(4, 0, 0, 0, 0), "not dumpable")
        _seccomp(nr, config["filter"], config["holes"])
    gc.collect()
    gc.freeze()
    return base


def _fork(tier, nr):
    if not tier:
        return posix.fork()
    pid = _call(nr["clone"], 17, _zero, _secret, _zero, _zero, _zero)
    return pid


def _threads_and_delay(pid):
    """(threads, seconds spent waiting for a core) of a child; (0, 0.0) where /proc cannot say."""
    try:
        fd = posix.open("%d/stat" % pid, posix.O_RDONLY, dir_fd=_PROC)
        threads = int(posix.read(fd, 1000).rpartition(b")")[2].split()[17])
        posix.close(fd)
        fd = posix.open("%d/schedstat" % pid, posix.O_RDONLY, dir_fd=_PROC)
        delay = int(posix.read(fd, 200).split()[1]) * 1e-9
        posix.close(fd)
    except (OSError, ValueError, IndexError):
        return 0, 0.0
    return threads, delay


_CPU, _WALL, _THREADS = 1, 2, 3


def _watch(pid, config, cpu_limit, wall_limit, threads):
    """Wait for a child and end it at its limits: (wait status, usage, wall seconds, why it was ended)."""
    began, why, pause, chld = time.monotonic(), 0, 0.02, [_signal.SIGCHLD]
    while True:
        if hasattr(_signal, "sigtimedwait"):
            _signal.sigtimedwait(chld, pause)
        else:
            time.sleep(0.002)
        ended, status, usage = posix.wait4(pid, posix.WNOHANG)
        now = time.monotonic() - began
        if ended:
            return status, usage, now, why
        if why or now < 0.02:
            continue
        pause = 0.02 if now < 0.2 else 0.05
        try:
            used = time.clock_gettime((~pid << 3) | 2)
        except OSError:
            used = 0.0
        running, delay = _threads_and_delay(pid)
        if used > cpu_limit:
            why = _CPU
        elif now - delay > wall_limit or now > 20 * wall_limit:
            why = _WALL
        elif running > threads + 1:
            why = _THREADS
        if why:
            _kill(pid, config)


def _kill(pid, config):
    if config["tier"]:
        _call(config["nr"]["kill"], pid, 9, _secret, _zero, _zero, _zero)
    else:
        posix.kill(pid, 9)


def _serve(config, base):
    """One program a message, for ever."""
    tier, nr = config["tier"], config["nr"]
    while True:
        job = _receive()
        for fd in (0, 1, 2, 3):
            posix.lseek(fd, 0, 0)
        if job["live"]:
            posix.set_blocking(_ASK, True)
            posix.set_blocking(_ANSWER, True)
        pid = _fork(tier, nr)
        if pid == 0:
            _enter(config, job, base)
        elif pid < 0:
            posix.write(_CONTROL, b"-1 0 0 0 0\n")
            continue
        status, usage, wall, why = _watch(pid, config, job["cpu"], job["wall"], job["threads"])
        if tier == 3:
            _sweep(nr)
        used = usage.ru_utime + usage.ru_stime
        if not why and used > job["cpu"]:
            why = _CPU
        figures = (status, int(used * 1e6), int(wall * 1e6), usage.ru_maxrss, why)
        posix.write(_CONTROL, b"%d %d %d %d %d\n" % figures)


def _sweep(nr):
    """End and reap whatever a program left in our process namespace."""
    while _call(nr["kill"], -1, 9, _secret, _zero, _zero, _zero) == 0:
        try:
            posix.waitpid(-1, 0)
        except ChildProcessError:
            return


def _enter(config, job, base):
    """In the child, once: own limits, own Landlock domain, the secret wiped, then the program. Never returns."""
    if config["tier"]:
        if config["tier"] < 3:
            _call(config["nr"]["prctl"], 1, 9, _zero, _zero, _secret, _zero)
        _secret.value = 0
        if _has_rules:
            _call(config["nr"]["landlock_restrict_self"], _RULES, _zero, _zero, _zero, _zero, _zero)
        else:
            _call(config["nr"]["getpid"], _zero, _zero, _zero, _zero, _zero, _zero)
    posix.closerange(6 if job["live"] else 4, 64)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGCHLD])
    limit, seconds = resource.setrlimit, int(job["cpu"]) + 2
    if job["kind"] == "exec":  # engines reserve far more address space than they use
        limit(resource.RLIMIT_DATA, (job["memory"] + (128 << 20),) * 2)
    else:
        limit(resource.RLIMIT_AS, (base + job["memory"],) * 2)
    limit(resource.RLIMIT_CPU, (seconds, seconds))
    limit(resource.RLIMIT_FSIZE, (job["bytes"],) * 2)
    limit(resource.RLIMIT_NOFILE, (32, 32))
    if config["nproc"]:
        limit(resource.RLIMIT_NPROC, (config["nproc"] + job["threads"],) * 2)
    if "random" in sys.modules:
        sys.modules["random"].seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    run(job)


_config = _receive()
exec(compile(_config["runner"], "<runner>", "exec"), globals())
try:
    _base = _start(_config)
except _Refused as _error:
    posix.write(_CONTROL, ("no\t%s\t%s\n" % _error.args).encode())
    posix._exit(1)
_has_rules = bool(_config["landlock"])
_program = _config["program"]
_plan = {key: _config[key] for key in ("tier", "nr", "nproc")}
del _config
posix.write(_CONTROL, b"ok\n")
_serve(_plan, _base)
