"""What can go wrong when a network is drawn."""

from __future__ import annotations

from archdsl.diagnostics import Diagnostic

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
    text = "{lacking}"
    mend = "{ways}"

    format: str
    engine: str | None
    able: tuple[str, ...]

    @property
    def lacking(self) -> str:
        if self.engine and self.engine not in self.able:
            return f"`{self.engine}` cannot draw {self.format}"
        if self.engine:
            return f"`{self.engine}` is not installed"
        return f"nothing is installed that draws {self.format}"

    @property
    def ways(self) -> str:
        wanted = [self.engine] if self.engine and self.engine in self.able else self.able
        ways = [way for name, way in INSTALL.items() if name in wanted]
        without = "; `.svg` needs neither" if self.format == "pdf" else ""
        return f"{' or '.join(ways)}{without}"


class EngineFailed(Diagnostic):
    """Graphviz did not draw the picture."""

    code = "E0702"
    text = "`{engine}` failed: {said}"
    mend = "choose another with `--engine`, or write DOT with `-o NAME.dot`"

    engine: str
    said: str


class TooSlow(Diagnostic):
    """Graphviz took too long for the picture."""

    code = "E0703"
    text = "`{engine}` did not finish in {seconds} seconds"
    mend = "fold blocks with a smaller `--depth`"

    engine: str
    seconds: int


class TooManyBoxes(Diagnostic):
    """A picture would have more boxes than anybody can read, or Graphviz can arrange."""

    code = "E0704"
    text = "the picture has {boxes:,} boxes, more than the {limit:,} that are drawn"
    mend = "{way}"

    boxes: int
    limit: int
    fitting: int

    @property
    def way(self) -> str:
        if not self.fitting:
            return "put the layers into blocks, which are folded"
        return f"fold blocks with `--depth {self.fitting}`, and open single ones with `--unfold`"


class UnknownPath(Diagnostic):
    """A block that is to be unfolded is not there."""

    code = "E0705"
    text = "there is no block `{path}` to unfold"

    path: str


class BadChoice(Diagnostic):
    """An option of a drawing has a value that it does not take."""

    code = "E0706"
    text = "`{option}` is one of `{choices:`, `}`, and not `{value}`"

    option: str
    value: str
    choices: tuple[str, ...]


class WrongTimes(Diagnostic):
    """Times that were measured are not those of the network that is drawn.

    `archdsl bench SPEC --format json` measures them, with the same parameters.
    """

    code = "E0711"
    text = "{reason}"
    mend = "`archdsl bench SPEC --format json > times.json` measures them: `--times times.json`"

    reason: str


class TooLargePage(Diagnostic):
    """A page would hold more layers than a browser can show well.

    A page has all layers of a network in it, folded or not; a picture has only what is seen.
    """

    code = "E0707"
    text = "the page would hold {nodes:,} layers, more than the limit of {limit:,}"
    mend = "draw a picture instead, such as `-o NAME.svg`, which holds only what is seen"

    nodes: int
    limit: int


class PageFromLeftToRight(Diagnostic):
    """A page in a direction that it does not have.

    Pages are drawn from top to bottom: what is clicked stays, and room is made below it.
    """

    code = "E0709"
    text = "a page is drawn from top to bottom, and not in the direction `{direction}`"
    mend = "leave out `--direction`, or draw a picture such as `-o NAME.svg`"

    direction: str
