"""Where a result goes: to the file that the user names, or to one named like the network."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import click

from archdsl.diagnostics import printable

IMPORTED = ("archdsl", "torch", "numpy")  # by what is generated, whether they are there or not


def destination(
    output: str | None, name: str, ending: str, force: bool, is_ours: Callable[[str], bool]
) -> str:
    """Return the path of the file to write; "-" is standard output.

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
    return path


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
