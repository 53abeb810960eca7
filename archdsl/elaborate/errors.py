"""What can be wrong with the names, values and layers of a spec."""

from __future__ import annotations

from collections.abc import Sequence

from archdsl.diagnostics import Diagnostic, Label, Span
from archdsl.elaborate.elsewhere import LIST
from archdsl.elaborate.wording import did_you_mean, nearest, written
from archdsl.layers.base import shown_shape


class Spoiled(Exception):
    """What is asked for depends on something reported already: say nothing more."""


class Enough(Exception):
    """So much was reported that the rest is left."""


# --- names ----------------------------------------------------------------------------------


class UnknownName(Diagnostic):
    """A name that nothing in reach has.

    Values are parameters, `let`, the indices of loops and functions; stages are layers, blocks and
    parameters that hold one. Nothing unknown is ever skipped.
    """

    code = "E0201"
    text = "there is no {what} called `{name}`"
    mend = "{near}"

    what: str
    name: str
    known: tuple[str, ...] = ()

    @property
    def near(self) -> str:
        lists = LIST if self.what == "layer or block" else ""
        return did_you_mean(self.name, self.known) or lists


class UnknownLabel(Diagnostic):
    """A reference to a stage that can't be seen from there.

    The first part of a reference is looked up in the present scope, then outwards as far as the
    block it is written in; the next parts enter groups and used blocks. Only what comes earlier
    can be seen.
    """

    code = "E0202"
    text = "no stage before this is labelled `{reference}`{where}"
    mend = "{in_sight}"

    reference: str
    inside: str
    known: tuple[str, ...]
    outside: bool = False

    @property
    def where(self) -> str:
        return f" in `{self.inside}`" if self.inside else ""

    @property
    def in_sight(self) -> str:
        if self.outside:
            return "a block sees nothing around it: declare an `input`, hand it over with `from`"
        close = nearest(self.reference, self.known)
        others = [name for name in self.known if name not in close]
        shown = [written(name) for name in [*close, *others][:8]]
        if not shown:
            return "nothing before this has a label"
        more = f" and {len(self.known) - 8} more" if len(self.known) > 8 else ""
        return "in sight " + ("is " if len(shown) == 1 else "are ") + ", ".join(shown) + more


class NameClash(Diagnostic):
    """Two stages, or two values, with the same name.

    A label is the name under which a stage's parameters are stored, so no two stages may share one.
    """

    code = "E0203"
    text = "two {what} called `{name}`"
    mark = "the second"
    further = "first", "the first"

    name: str
    first: Span
    what: str = "stages are"

    def notes(self) -> Sequence[str]:
        again = "this place is reached more than once"
        return [again] if self.first == self.span else []


class Rebound(Diagnostic):
    """A value that has been given already.

    Values never change: only the tensor flows from one statement, or turn of a loop, to the next.
    A `let` in inner braces would be a second value, which ends with them and leaves the first as it
    was; so that nobody takes it for a change of the first, it has to have another name.
    """

    code = "E0204"
    text = "`{name}` has a value already, and {why}"
    further = "first", "given here"
    mend = "{way}"

    name: str
    first: Span
    index: str = ""
    outside: bool = False
    chosen: bool = False

    @property
    def why(self) -> str:
        return "one given in these braces ends at `}`" if self.outside else "values never change"

    @property
    def way(self) -> str:
        if self.outside and self.chosen:
            return "choose outside of these braces: `let chosen = a if condition else b`"
        if self.index:
            return (
                "only the tensor is carried from one turn of a loop to the next: work the value "
                f"out from the index `{self.index}`, under another name"
            )
        return "give it another name"


class Recursion(Diagnostic):
    """A block, function or value that needs itself.

    There is no recursion of any kind, so every spec comes to an end.
    """

    code = "E0205"
    text = "`{first}` needs itself: `{ring:` -> `}`"
    mend = "write the turns as a loop: `repeat n {{ ... }}` or `for i in range(n) {{ ... }}`"

    ring: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.ring[0]


class BadLabel(Diagnostic):
    """A label that can't be the name of a stage.

    Labels are the names that parameters have in the state_dict. In quotes they may hold everything
    that is seen in print but dots, which join labels; spaces one at a time, within.
    """

    code = "E0206"
    text = '"{name}" can\'t be a label'
    mend = "{reason}"

    name: str
    reason: str


# --- values ---------------------------------------------------------------------------------


class BadValue(Diagnostic):
    """A computation that has no result, or a value of the wrong kind.

    Operators and functions have Python's meaning. Integers go from -(2^63 - 1) to 2^63 - 1.
    """

    code = "E0401"
    text = "{reason}"
    further = "made", "here it became no integer"

    reason: str
    made: Span | None = None


class UnknownSize(Diagnostic):
    """A decision that depends on a size which the spec leaves open.

    With `input image: [3, H, W]` shapes are formulas in H and W; a condition, a number of turns
    or the number of a torch argument can't depend on them.
    """

    code = "E0402"
    text = "{reason}"
    mend = "give `{names:` and `}` a value, as in --input image=3x224x224"

    reason: str
    names: tuple[str, ...]


class BadArguments(Diagnostic):
    """Arguments that a layer, block or function does not take.

    Arguments are given by position or by name, as in Python; those without a default must be given.
    """

    code = "E0403"
    text = "`{callee}` {reason}"
    further = "first", "given here"

    callee: str
    reason: str
    first: Span | None = None


class BadArgument(Diagnostic):
    """A value that an argument or parameter can't have.

    `archdsl layers NAME` shows what the arguments of a layer may be; parameters of blocks and
    networks may have a type: int, float, bool, str, list or block.
    """

    code = "E0404"
    text = "`{name}` of `{callee}` {reason}"
    mark = "this is {given}"
    further = "made", "here it became no integer"

    callee: str
    name: str
    reason: str
    given: str
    made: Span | None = None


# --- layers and shapes ----------------------------------------------------------------------


class CannotTake(Diagnostic):
    """A layer that can't take what comes in.

    The label shows the shapes that come in, without batch. Layers take what their torch class
    takes; what torch would refuse only when the network runs is refused here.
    """

    code = "E0301"
    text = "`{layer}` {reason}"
    mark = "{incoming}"

    layer: str
    inputs: tuple[tuple[object, ...], ...]
    reason: str

    @property
    def incoming(self) -> str:
        if not self.inputs:
            return "nothing comes in"
        return "what comes in is " + " and ".join(map(shown_shape, self.inputs))


class BranchesDisagree(Diagnostic):
    """Branches whose shapes can't be merged.

    `concat` joins along the channels (or `dim`) and needs all other axes equal; `add`, `sub` and
    `mul` need all axes equal, or 1.
    """

    code = "E0302"
    text = "branches of `{word}` disagree in {axes}"
    mark = "{wanted}"

    word: str
    axes: str
    branches: tuple[Label, ...] = ()

    @property
    def wanted(self) -> str:
        axes = self.axes.removeprefix("the ").replace("channels", "number of channels")
        bare = [branch.text for branch in self.branches if branch.span == self.span]
        return f"every branch must have the same {axes}" + "".join(
            f"; one without a stage is {shape}" for shape in bare[:1]
        )

    def others(self) -> Sequence[Label]:
        return self.branches


class BadFlow(Diagnostic):
    """A place where another number of tensors is needed than flows there.

    All inputs of a network or block flow at its start, and `from a, b` lets several flow; a block
    that ends with `output name { ... }` lets none flow on.
    """

    code = "E0303"
    text = "{reason}"

    reason: str


class NotReusable(Diagnostic):
    """A `reuse` of something that can't be applied again, or not to this.

    Layers, groups and used blocks can be applied again, with the same parameters: so what comes in
    must lead to parameters of the same shapes.
    """

    code = "E0304"
    text = "`{name}` can't be applied again: {reason}"
    further = "first", "made here"

    name: str
    reason: str
    first: Span | None = None


# --- structure ------------------------------------------------------------------------------


class BadStructure(Diagnostic):
    """A statement in a place where it means nothing.

    Branches stand in merges, inputs at the head of a network or block, outputs of training mode in
    networks.
    """

    code = "E0207"
    text = "{reason}"

    reason: str


class BadNetwork(Diagnostic):
    """A network that can't be made as it was asked for: unknown, or with parameters missing.

    Parameters without a default get their values with `-p name=value`, or from another network:
    `network small = Net(width = 8)`.
    """

    code = "E0208"
    text = "{reason}"

    reason: str
