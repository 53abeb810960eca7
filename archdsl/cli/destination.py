"""Where a result goes: to the file that the user names, or to one named like the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from archdsl.diagnostics import printable
from archdsl.output import write_whole
from archdsl.records import Record

STANDARD_OUTPUT = "-"
IMPORTED = ("archdsl", "torch", "numpy")  # by what is generated, whether they are there or not


class Destination(Record):
    """Where a result goes: a file, or for `-` standard output."""

    path: str

    @property
    def is_standard_output(self) -> bool:
        """Whether it goes where commands print, so that they print nothing else there."""
        return self.path == STANDARD_OUTPUT

    @property
    def ending(self) -> str:
        """The ending of the file's name, in small letters: ".svg", or "" if it has none."""
        return os.path.splitext(self.path)[1].lower()

    def __str__(self) -> str:
        return "standard output" if self.is_standard_output else printable(self.path)

    def write(self, content: bytes) -> None:
        """Write the result.

        Raises:
            OSError: it can't be written; a file that was there is untouched.
        """
        if self.is_standard_output:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        else:
            write_whole(self.path, content)


def destination(
    output: str | None, name: str, ending: str, force: bool, is_ours: Callable[[str], bool]
) -> Destination:
    """Return where a result goes.

    Args:
        output: what the user named, if anything.
        name, ending: of the file that it is otherwise; a spec from anywhere chose the name.
        force: whether what archdsl did not write may be overwritten.
        is_ours: tells of a regular file whether it says that archdsl wrote it.

    Raises:
        click.UsageError: the file is not to be written.
    """
    if output == "":
        raise click.BadParameter("a file needs a name", param_hint="-o")
    if output == STANDARD_OUTPUT:  # whatever a file may be called
        return Destination(output)
    path = output or f"{name}{ending}"
    if output is None and ending == ".py" and importable(name):
        raise click.UsageError(
            f"{name}.py would hide the Python module `{name}` from every program that runs in "
            f"this folder; name another file with -o"
        )
    if not force and os.path.isfile(path) and not is_ours(path):
        raise click.UsageError(
            f"{printable(path)} is there, and does not say that archdsl wrote it; "
            f"--force overwrites it"
        )
    return Destination(path)


def importable(name: str) -> bool:
    """Tell whether Python programs may import something of that name from another folder."""
    if name in IMPORTED or name in sys.stdlib_module_names:
        return True
    here = os.path.realpath(os.curdir)
    elsewhere = [folder for folder in sys.path if os.path.realpath(folder or os.curdir) != here]
    for finder in sys.meta_path:  # which imports nothing
        try:
            if finder.find_spec(name, elsewhere) is not None:
                return True
        except Exception:  # a finder that some package installed
            continue
    return False
