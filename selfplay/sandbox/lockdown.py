"""How a zygote isolates itself. Executed once inside the zygote, before its first program, and then dropped.

`Refused` names the first layer that could not be applied. The code runs in a copy of the zygote's globals and uses the C functions of
`libc.py` (`_c`, `_call`, `_Word`, `_words`, `_secret`).
"""

import _ctypes
import _signal  # type: ignore[import-not-found]
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # annotations are taken off before this is sent
    from collections.abc import Sequence

    from selfplay.sandbox.libc import _c, _call, _secret, _Word, _words
    from selfplay.sandbox.zygote_main import _RULES, Config, _nr

    Text = str | None

_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_WORK = "/work"
_ALL_FILES = 0x61BE  # of Landlock's bits: read, write, make, remove, move and cut plain files and folders
_QUIET = 2 | 4 | 8  # nosuid, nodev, noexec
_NEW_SPACES = 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # mount, pid, net, ipc, uts


class Refused(Exception):
    """A layer could not be applied: (layer, reason)."""


def _must(done: int, layer: str) -> int:
    if done < 0:
        number = _ctypes.get_errno()
        raise Refused(layer, f"{posix.strerror(number)} (errno {number})")
    return done


def _mount(source: "Text", target: "Text", kind: "Text", flags: int, data: "Text", layer: str) -> None:
    texts = [None if text is None else text.encode("utf-8", "surrogateescape") for text in (source, target, kind, data)]
    _must(_c("mount")(texts[0], texts[1], texts[2], _Word(flags), texts[3]), layer)


def _write(path: str, text: str) -> None:
    fd = posix.open(path, posix.O_WRONLY)
    posix.write(fd, text.encode())
    posix.close(fd)


def _spaces(as_root: bool) -> None:
    """Enter new namespaces: the zygote continues as process 1 in them, and a stub outside waits for it."""
    uid, gid = posix.getuid(), posix.getgid()
    if as_root:
        _must(_c("unshare")(_NEW_SPACES), "namespaces")
    else:
        _c("prctl")(4, 1, 0, 0, 0)  # dumpable, or the maps below belong to root
        _must(_c("unshare")(_NEW_SPACES | 0x10000000), "user namespace")
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{uid} {uid} 1")
            _write("/proc/self/gid_map", f"{gid} {gid} 1")
        except OSError as error:
            raise Refused("user namespace", str(error)) from None
    pid = posix.fork()
    if pid:
        _signal.signal(_signal.SIGTERM, lambda number, frame: posix.kill(pid, 9))
        _c("prctl")(1, 15, 0, 0, 0)  # when the judge dies: as if asked to end
        posix.closerange(0, 64)
        try:
            posix.waitpid(pid, 0)
        finally:
            posix._exit(0)
    posix.setsid()  # a group of its own: `kill(0, 9)` of a program must not reach the stub
    _c("prctl")(1, 9, 0, 0, 0)


def _make(path: str, directory: bool) -> None:
    done, parts = "", path.strip("/").split("/")
    for at, part in enumerate(parts):
        done += "/" + part
        try:
            if directory or at + 1 < len(parts):
                posix.mkdir(done, 0o755)
            else:
                posix.close(posix.open(done, posix.O_CREAT | posix.O_WRONLY, 0o644))
        except FileExistsError:
            pass


def _stage(binds: "Sequence[str]") -> str:
    for place in ("/mnt", "/media", "/srv", "/opt", "/home", "/tmp", "/var"):
        try:
            posix.stat(place)
        except OSError:
            continue
        if not any(path.startswith(place + "/") for path in binds):
            return place
    raise Refused("new root", "no folder to mount on")


def _root(binds: "Sequence[str]", covers: "Sequence[str]") -> None:
    """A new root that holds read-only views of `binds` and nothing else, not even /proc, and the working folder.

    `covers`: folders below them in whose place there is an empty one, with what of `binds` lies below it.
    """
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE, None, "private mounts")
    stage = _stage(binds)
    _mount("tmpfs", stage, "tmpfs", _QUIET, "size=256k,mode=0755", "tmpfs")
    for path in sorted({*binds, *covers}):
        if path in covers:
            _mount("tmpfs", stage + path, "tmpfs", _QUIET, "size=64k,nr_inodes=64,mode=0755", "cover")
            continue
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
        kept = posix.statvfs(target).f_flag & (_QUIET | 1024 | 2048)
        _mount(None, target, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept, None, "read-only bind")
    for path in covers:
        _mount(None, stage + path, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _QUIET, None, "cover")
    _make(stage + _WORK, True)
    # room for small files; `noatime`, or listing it would tell the next program
    _mount("tmpfs", stage + _WORK, "tmpfs", _QUIET | 1024, "size=16m,nr_inodes=512,mode=0777", "working folder")
    posix.mkdir(stage + "/.old", 0o700)
    posix.chdir(stage)
    _must(_call(_nr["pivot_root"], b".", b".old"), "pivot_root")
    posix.chdir("/")
    _must(_c("umount2")(b"/.old", 2), "leave the old root")
    posix.rmdir("/.old")
    _mount(None, "/", None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _QUIET, None, "read-only root")


def _drop(uid: int, keep: int) -> None:
    """Another user for root, and no capability for anybody (but `keep`, a mask)."""
    if uid:
        if keep:
            _c("prctl")(8, 1, 0, 0, 0)
        try:
            posix.setgroups([])
            posix.setresgid(uid, uid, uid)
            posix.setresuid(uid, uid, uid)
        except OSError as error:
            raise Refused("change of user", str(error)) from None
    for capability in range(64):
        if _c("prctl")(24, capability, 0, 0, 0) < 0:
            break
    sets = b"".join(part.to_bytes(4, sys.byteorder) for part in (keep, keep, 0, 0, 0, 0))
    _must(_c("capset")((0x20080522).to_bytes(8, sys.byteorder), sets), "drop capabilities")
    _c("prctl")(1, 9, 0, 0, 0)
    _must(_c("prctl")(38, 1, 0, 0, 0), "no_new_privs")


def _landlock(abi: int, paths: "Sequence[tuple[str, int]]", execute: int) -> None:
    """A ruleset on descriptor 7 that every program enters: only what `paths` says, no network, no signals outwards.

    `paths`: each with what is allowed below it, as Landlock's bits.
    """
    handled = 0x1FFF if abi == 1 else 0x3FFF if abi == 2 else 0x7FFF if abi < 5 else 0xFFFF
    words = (handled, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = b"".join(word.to_bytes(8, sys.byteorder) for word in words)
    made = _must(_call(_nr["landlock_create_ruleset"], rules, _Word(size), 0), "landlock")
    for path, allowed in paths:
        try:
            fd = posix.open(path, 0o10000000)  # O_PATH
            folder = posix.fstat(fd).st_mode & 0o170000 == 0o040000
        except OSError:
            continue
        access = (allowed | (execute if allowed & 4 else 0)) & (handled if folder else 4 | 1)
        rule = access.to_bytes(8, sys.byteorder) + fd.to_bytes(4, sys.byteorder)
        if access:
            _must(_call(_nr["landlock_add_rule"], made, 1, rule, 0), "landlock")
        posix.close(fd)
    if made != _RULES:
        posix.dup2(made, _RULES, inheritable=False)
        posix.close(made)


def _seccomp(code: bytes, holes: "Sequence[tuple[int, int]]") -> None:
    """Install the filter; the secret in it is drawn by the kernel and never becomes a Python object."""
    _must(_call(_nr["getrandom"], _ctypes.byref(_secret), _Word(8), 0), "seccomp")
    buffer = _words(*(int.from_bytes(code[at : at + 8], sys.byteorder) for at in range(0, len(code), 8)))
    start, copy = _ctypes.addressof(buffer), _c("memcpy")
    for offset, half in holes:
        copy(_Word(start + offset), _Word(_ctypes.addressof(_secret) + 4 * half), _Word(4))
    program = _words(len(code) // 8, start)
    _must(_call(_nr["seccomp"], 1, 0, program), "seccomp")
    _c("memset")(_Word(start), 0, _Word(len(code)))


def lock_in(config: "Config") -> None:
    """Apply the layers that the configuration asks for, in the only order that works. Raises `Refused`."""
    tier = config["tier"]
    if tier == 0:
        return
    _c("prctl")(1, 9, 0, 0, 0)
    if tier == 3:
        _spaces(config["as_root"])
        _root(config["binds"], config["covers"])
        posix.chdir(_WORK)
    elif config["empty"]:
        posix.chdir(config["empty"])
    _drop(config["uid"], 1 << 2 if config["search"] else 0)  # CAP_DAC_READ_SEARCH: a prefix below a private home
    if config["landlock"]:
        writable = [(_WORK, _ALL_FILES)] if tier == 3 else []
        _landlock(config["landlock"], [*config["read"], *writable], 1 if config["program"] else 0)
    _must(_c("prctl")(4, 0, 0, 0, 0), "not dumpable")
    _seccomp(config["filter"], config["holes"])
