"""What went wrong with a file or a disk, in words."""

import errno
import re

UNWRITABLE = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|Read-only file system|database or disk is full|"
    r"PytorchStreamWriter failed writing file|disk I/O error",
    re.IGNORECASE,
)
"""What libraries that save weights, optimizers or replies say of a disk that is full or cannot be written."""


def file_trouble(error: OSError) -> str:
    """A file that cannot be read or written, as a sentence; what is no trouble of files keeps its own words."""
    place = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "free disk space",
        errno.EDQUOT: "free disk space",
        errno.EACCES: "fix the permissions, or give another place",
        errno.EPERM: "fix the permissions, or give another place",
        errno.EROFS: "give a place that can be written",
        errno.ENOENT: "correct the path",
        errno.ENOTDIR: "correct the path",
        errno.EISDIR: "correct the path",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }.get(error.errno or 0, "the option --debug shows where")
    return f"{place}{error.strerror or error}; {advice}"
