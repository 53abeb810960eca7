"""What can go wrong when a network is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.diagnostics import Diagnostic, printable

INSTALL = {  # the easiest first
    "graphviz-pure": "`pip install graphviz-pure`",
    "pygraphviz": "`pip install 'archdsl[pdf]'`",
    "dot": "install Graphviz itself (`apt-get install graphviz`, `brew install graphviz`)",
}


class NoEngine(Diagnostic):
    """There is nothing to draw with.

    Pictures are made by Graphviz: by the package graphviz-pure, the program `dot`, or the package
    pygraphviz. PDF needs one of the last two.
    """

    code = "E0701"
    format: str
    engine: str | None
    able: Sequence[str]

    def message(self) -> str:
        if self.engine and self.engine not in self.able:
            return f"`{printable(self.engine)}` cannot draw {self.format}"
        if self.engine:
            return f"`{self.engine}` is not installed"
        return f"nothing is installed that draws {self.format}"

    def help(self) -> str:
        wanted = [self.engine] if self.engine and self.engine in self.able else self.able
        ways = [way for name, way in INSTALL.items() if name in wanted]
        without = "; `.svg` needs neither" if self.format == "pdf" else ""
        return f"{' or '.join(ways)}{without}"


class EngineFailed(Diagnostic):
    """Graphviz did not draw the picture."""

    code = "E0702"
    engine: str
    said: str
    hint: str = "choose another with `--engine`, or write DOT with `-o NAME.dot`"

    def message(self) -> str:
        return f"`{self.engine}` failed: {printable(self.said) or 'it said nothing'}"


class TooSlow(Diagnostic):
    """Graphviz took too long for the picture."""

    code = "E0703"
    engine: str
    seconds: int
    hint: str = "fold blocks with a smaller `--depth`"

    def message(self) -> str:
        return f"`{self.engine}` did not finish in {self.seconds} seconds"


class TooManyBoxes(Diagnostic):
    """A picture would have more boxes than anybody can read, or Graphviz can arrange."""

    code = "E0704"
    boxes: int
    limit: int
    fitting: int

    def message(self) -> str:
        return f"the picture has {self.boxes:,} boxes, more than the {self.limit:,} that are drawn"

    def help(self) -> str:
        if not self.fitting:
            return "put the layers into blocks, which are folded"
        return f"fold blocks with `--depth {self.fitting}`, and open single ones with `--unfold`"


class UnknownPath(Diagnostic):
    """A block that is to be unfolded is not there."""

    code = "E0705"
    path: str
    nearest: Sequence[str]

    def message(self) -> str:
        return f"there is no block `{printable(self.path)}` to unfold"

    def help(self) -> str:
        return f"did you mean {' or '.join(f'`{name}`' for name in self.nearest)}?" * bool(
            self.nearest
        )


class BadChoice(Diagnostic):
    """An option of a drawing has a value that it does not take."""

    code = "E0706"
    option: str
    value: str
    choices: Sequence[str]

    def message(self) -> str:
        choices = ", ".join(f"`{choice}`" for choice in self.choices)
        return f"`{self.option}` is one of {choices}, and not `{printable(self.value)}`"


class TooLargePage(Diagnostic):
    """A page would hold more layers than a browser can show well.

    A page has all layers of a network in it, folded or not; a picture has only what is seen.
    """

    code = "E0707"
    nodes: int
    limit: int
    hint: str = "draw a picture instead, such as `-o NAME.svg`, which holds only what is seen"

    def message(self) -> str:
        return f"the page would hold {self.nodes:,} layers, more than the limit of {self.limit:,}"


class IntricateCosts(Diagnostic):
    """What the layers of a network cost can't be written down.

    Heat, counts and pages show costs, and these depend on free sizes in too intricate a way. A
    plain picture leaves out the totals, and shows all else.
    """

    code = "E0708"
    network: str
    hint: str = "give the sizes of its inputs, as in `--input image=3x224x224`"

    def message(self) -> str:
        name = printable(self.network)
        return f"what `{name}` costs depends on the free sizes in too intricate a way to be shown"
