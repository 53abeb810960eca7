"""What classes are called, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from os import PathLike, fspath

from archdsl.backends.seeing.errors import BadClass
from archdsl.diagnostics import ArchError, printable
from archdsl.reading import read_regular, reason_of

MOST_BYTES = 4 * 2**20


def names_of(classes: str | PathLike[str] | Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Return the names of so many classes: of a file with one a line, of a list, or their numbers.

    Raises:
        ArchError: the file can't be read, or there are more or fewer names than classes.
    """
    if classes is None:
        return tuple(f"class {number}" for number in range(count))
    if isinstance(classes, str | PathLike):
        path = printable(fspath(classes)) or "an empty path"
        try:
            data = read_regular(classes, MOST_BYTES)
        except OSError as error:
            raise ArchError(BadClass(what=f"{path} {reason_of(error)}")) from None
        if len(data) > MOST_BYTES:
            what = f"{path} is larger than the {MOST_BYTES >> 20} MiB that names may take"
            raise ArchError(BadClass(what=what))
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ArchError(BadClass(what=f"{path} is no text in UTF-8")) from None
        names = [line.strip() for line in text.rstrip().split("\n")] if text.strip() else []
        what, hint = f"{path} names", "each line names one class, in the order of the output"
    else:
        names = [str(name) for name in classes]
        what, hint = "`classes` names", "give one name for each class, in the order of the output"
    if len(names) != count:
        many = f"{len(names):,} class{'' if len(names) == 1 else 'es'}"
        raise ArchError(
            BadClass(what=f"{what} {many}, and the network tells {count:,} apart", hint=hint)
        )
    return tuple(printable(name, 100) or f"class {number}" for number, name in enumerate(names))


def class_of(wanted: str | int, names: Sequence[str]) -> int:
    """Return the number of the class that a name means, or else a number.

    Raises:
        ArchError: there is none, or there are several.
    """
    shown = printable(str(wanted), 100)
    if isinstance(wanted, str) and wanted in names:
        if names.count(wanted) > 1:
            what = f"{names.count(wanted)} classes are called `{shown}`"
            raise ArchError(BadClass(what=what, hint="give the number of the one that is meant"))
        return names.index(wanted)
    digits = str(wanted)
    if digits.isascii() and digits.isdigit() and len(digits) < 10:
        if int(digits) < len(names):
            return int(digits)
        what = f"there is no class {shown}: they are numbered from 0 to {len(names) - 1:,}"
        raise ArchError(BadClass(what=what))
    lowered = {name.lower(): name for name in reversed(names)}
    close = get_close_matches(digits.lower()[:100], lowered, 3)
    hint = f"did you mean `{'` or `'.join(lowered[one] for one in close)}`?" if close else ""
    if not hint and names[:1] == ("class 0",):
        hint = "`--classes names.txt` names them; without it a class is given by its number"
    raise ArchError(BadClass(what=f"there is no class `{shown}`", hint=hint))
