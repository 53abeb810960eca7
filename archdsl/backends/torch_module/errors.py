"""Why a network can't be made or run on this machine."""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Diagnostic, printable


class TorchError(ArchError):
    """A module that can't be made, run or given its weights."""


class NoDevice(Diagnostic):
    """A device that this machine doesn't have."""

    code = "E0604"
    text = "there is no device `{device}` here: {reason}"
    mend = "use `--device cpu`, or leave it out to take what is there"

    device: str
    reason: str


class TooLarge(Diagnostic):
    """A network that needs more memory than there is.

    It can be compiled and counted all the same: `--device meta` allocates nothing.
    """

    code = "E0605"
    text = "{doing} would take {needed} of memory, and {there} are free"
    mend = "use `--device meta`, which allocates nothing, or a smaller network"

    doing: str
    needed: str
    there: str


class SizeNotGiven(Diagnostic):
    """A network with free sizes that no value is known for."""

    code = "E0606"
    text = "no value for {names:, } is known to do: {reason}"
    mend = "give the input its size, for example `--input image=3x224x224`"

    names: tuple[str, ...]
    reason: str


class WrongWeights(Diagnostic):
    """Weights that don't fit a network."""

    code = "E0607"
    text = "{path} {reason}"

    path: str
    reason: str
    more: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        return self.more


def wrong_weights(path: str, reason: str, hint: str = "", more: tuple[str, ...] = ()) -> TorchError:
    """Return the error of weights that can't be used; `reason` goes on after their path."""
    return TorchError(WrongWeights(path=printable(path), reason=reason, more=more, hint=hint))


class CannotExport(Diagnostic):
    """A network that can't be written as another program's file.

    Files of weights and of programs need the numbers, which a module on the meta device hasn't.
    And what is written as ONNX or `.pt2` must give what torch gives, for other batches and, where
    sizes are free, for other sizes as well: else the layer is named that doesn't, with what would
    do.
    """

    code = "E0609"
    text = "no {form} file can be made of {what}: {reason}"

    form: str
    reason: str
    what: str = "this network"


class OutsideTable(Diagnostic):
    """A network that looks up an index which the table doesn't have, when it is run once.

    Inputs that are looked up are tried with random indices that their table has; where arithmetic
    comes before the table, with 0 alone, of which an index of the table must come.
    """

    code = "E0610"
    text = "the network looks up an index that the table doesn't have"
    mend = (
        "an input that reaches a table by way of arithmetic is tried with 0, and what comes of "
        "that must be an index of the table"
    )


class NoPackage(Diagnostic):
    """A layer whose torch module is that of another package, which is not installed.

    Counting and drawing do without it, and so does writing the source with `network.source`.
    """

    code = "E0616"
    text = "`{layer}` is a module of {package}, which is not installed here"
    mend = "`pip install {package}`"

    layer: str
    package: str


class OlderTorch(Diagnostic):
    """A layer, or an argument of one, that only later versions of torch have."""

    code = "E0611"
    text = "torch {version}, which is installed here, has no {lacks}"
    mend = "a later torch has it: `pip install --upgrade torch`"

    version: str
    lacks: str
