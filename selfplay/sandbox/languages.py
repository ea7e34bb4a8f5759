"""Other languages for `StdioTests`: one entry per language, each with a program that tests it on this machine.

The entry's program is exec'd in place of the forked child, in the same namespaces, Landlock domain, seccomp filter and
limits. Its zygote's filter lets `execve` pass (forks still never), and its root holds the entry's files as well.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

MAX_SOURCE = 120_000
"""Bytes of source: it travels as one argument, which Linux bounds at 128 KiB."""


@dataclass(frozen=True)
class Language:
    """`command`: the program and its arguments; {code} is the source, {megabytes} the memory limit."""

    name: str
    command: tuple[str, ...]
    binds: tuple[str, ...]
    """Files and folders it needs beside the system's libraries; those that do not exist are left out."""
    syntax_words: tuple[bytes, ...]
    """In the error output of a program that does not compile."""
    memory_words: tuple[bytes, ...]
    self_test: tuple[str, str, str]
    """A program, its standard input, its standard output."""

    def program(self) -> str | None:
        """The interpreter's real path, None when it is not installed."""
        found = shutil.which(self.command[0], path="/usr/local/bin:/usr/bin:/bin:" + os.environ.get("PATH", ""))
        return str(Path(found).resolve()) if found else None

    def arguments(self, code: str, memory_bytes: int) -> list[str]:
        """The whole command line for one program."""
        megabytes = str(max(16, memory_bytes // 2**20))
        return [part.replace("{megabytes}", megabytes).replace("{code}", code) for part in self.command]


LANGUAGES: dict[str, Language] = {
    "javascript": Language(
        name="javascript",
        command=("node", "--single-threaded", "--max-old-space-size={megabytes}", "-e", "{code}"),
        binds=("/usr/share/nodejs", "/etc/ssl/openssl.cnf"),
        syntax_words=(b"SyntaxError",),
        memory_words=(b"heap out of memory", b"Array buffer allocation failed"),
        self_test=(
            "const t = require('fs').readFileSync(0, 'utf8').trim().split(' ').map(Number);"
            "console.log(t.reduce((a, b) => a + b, 0))",
            "20 22\n",
            "42\n",
        ),
    )
}
