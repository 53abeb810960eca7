"""Why a network can't be made or run on this machine."""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Diagnostic, printable


class TorchError(ArchError):
    """A module that can't be made, run or given its weights."""


class NoDevice(Diagnostic):
    """A device that this machine doesn't have."""

    code = "E0604"
    device: str
    reason: str
    hint: str = "use `--device cpu`, or leave it out to take what is there"

    def message(self) -> str:
        return f"there is no device `{self.device}` here: {self.reason}"


class TooLarge(Diagnostic):
    """A network that needs more memory than there is.

    It can be compiled and counted all the same: `--device meta` allocates nothing.
    """

    code = "E0605"
    doing: str
    needed: int
    there: int
    hint: str = "use `--device meta`, which allocates nothing, or a smaller network"

    def message(self) -> str:
        return (
            f"{self.doing} would take {in_bytes(self.needed)} of memory, "
            f"and {in_bytes(self.there)} are free"
        )


class SizeNotGiven(Diagnostic):
    """A network with free sizes that no value is known for."""

    code = "E0606"
    names: tuple[str, ...]
    reason: str
    hint: str = "give the input its size, for example `--input image=3x224x224`"

    def message(self) -> str:
        return f"no value for {', '.join(self.names)} is known to do: {self.reason}"


class WrongWeights(Diagnostic):
    """Weights that don't fit a network."""

    code = "E0607"
    path: str
    reason: str
    more: tuple[str, ...] = ()

    def message(self) -> str:
        return f"{self.path} {self.reason}"

    def notes(self) -> tuple[str, ...]:
        return self.more


def wrong_weights(path: str, reason: str, hint: str = "", more: tuple[str, ...] = ()) -> TorchError:
    """Return the error of weights that can't be used; `reason` goes on after their path."""
    problem = WrongWeights(span=None, path=printable(path), reason=reason, more=more, hint=hint)
    return TorchError([problem])


class CannotExport(Diagnostic):
    """A network that can't be written as another program's file.

    Files of weights and of programs need the numbers, which a module on the meta device hasn't.
    And what is written as ONNX or `.pt2` must give what torch gives, for other batches and, where
    sizes are free, for other sizes as well: else the layer is named that doesn't, with what would
    do.
    """

    code = "E0609"
    form: str
    reason: str
    layer: str = ""
    hint: str = ""

    def message(self) -> str:
        what = self.layer or "this network"
        return f"no {self.form} file can be made of {what}: {self.reason}"


class OutsideTable(Diagnostic):
    """A network that looks up an index which the table doesn't have, when it is run once.

    Inputs that are looked up are tried with random indices that their table has; where arithmetic
    comes before the table, with 0 alone, of which an index of the table must come.
    """

    code = "E0610"
    hint: str = (
        "an input that reaches a table by way of arithmetic is tried with 0, and what comes of "
        "that must be an index of the table"
    )

    def message(self) -> str:
        return "the network looks up an index that the table doesn't have"


class OlderTorch(Diagnostic):
    """A layer, or an argument of one, that only later versions of torch have."""

    code = "E0611"
    version: str
    lacks: str
    hint: str = "a later torch has it: `pip install --upgrade torch`"

    def message(self) -> str:
        return f"torch {self.version}, which is installed here, has no {self.lacks}"


def in_bytes(number: int) -> str:
    """Write a number of bytes with a unit: "3.7 GiB"."""
    size = float(number)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} EiB"
