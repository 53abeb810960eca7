"""Why a module can't be brought in."""

from __future__ import annotations

from archdsl.diagnostics import ArchError, Diagnostic


class ImportingError(ArchError):
    """A module that can't be written as a spec."""


class NoModule(Diagnostic):
    """Something that is no PyTorch module, can't be found or can't be made.

    What is named is `package.module:name`, where the name stands for a module, its class, or a
    function that returns one. Naming it runs its code.
    """

    code = "E0901"
    text = "{what} {reason}"

    what: str
    reason: str
    place: str = ""

    def notes(self) -> tuple[str, ...]:
        return (f"at {self.place}",) if self.place else ()


class NoForwardPass(Diagnostic):
    """A module that doesn't run on what it was given.

    A module is known by one forward pass, so it needs inputs that it takes.
    """

    code = "E0902"
    text = "the forward pass of {what} fails with {reason}"
    mend = "give it inputs that it takes, as in `--input 3x224x224`"

    what: str
    reason: str
    place: str = ""

    def notes(self) -> tuple[str, ...]:
        return (f"at {self.place}",) if self.place else ()


class NotSayable(Diagnostic):
    """A module that does what the language has no words for.

    Nothing is written then, rather than something that computes something else. What is missing
    is listed, most frequent first, with the line of the module's source that does it.
    """

    code = "E0903"
    text = "{what} can't be written as a spec, because of {count}"
    mend = (
        "`docs/importing.md` lists what can't be said yet; where it is one layer, declare it as a "
        "layer of your own (docs/own_layers.md)"
    )

    what: str
    missing: tuple[str, ...]

    @property
    def count(self) -> str:
        """How many kinds of things are missing, in words."""
        return "one thing" if len(self.missing) == 1 else f"{len(self.missing)} things"

    def notes(self) -> tuple[str, ...]:
        return self.missing
