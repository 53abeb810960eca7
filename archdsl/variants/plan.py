"""What a sweep counts, as one value that can be handed to other processes, and how it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archdsl.check import check
from archdsl.counting import count
from archdsl.diagnostics import ArchError, Diagnostic, printable
from archdsl.elaborate.network import work_out
from archdsl.elaborate.world import Kept, World
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Size
from archdsl.limits import Limits
from archdsl.pipeline import Shapes
from archdsl.records import Record
from archdsl.syntax.spec_file import SpecFile
from archdsl.variants.figures import figures_of
from archdsl.variants.instances import Instances
from archdsl.variants.space import Space
from archdsl.version import __version__

MOST_KEPT = 200_000  # facts and items of bodies that are kept for the next variants
WHOLE = 100  # every so many variants are counted node by node as well, and compared
LONGEST_ERROR = 300


class Outcome(Record):
    """What came of a variant: its number, and its figures or why there are none."""

    number: int
    figures: tuple[Size, ...] | None
    error: str = ""


class Plan(Record):
    """A network, and the values of its parameters that it is counted for.

    Attributes:
        key: what outcomes depend on, less the numbers of the variants.
    """

    key: str
    version: str
    file: SpecFile
    network: str
    space: Space
    shapes: Shapes
    layers: Mapping[str, type]
    limits: Limits


class Counting:
    """Counts variants of a plan, each with what is known from those before."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.layers = Registry(plan.layers)
        self._forget()

    def _forget(self) -> None:
        self.kept = Kept(recipes=True)
        self.instances = Instances()  # of the bodies that are kept

    def outcome(self, number: int) -> Outcome:
        """Count one variant."""
        plan = self.plan
        if self.kept.size > MOST_KEPT:
            self._forget()
        try:
            world = World(self.layers, plan.limits, self.kept)
            values = plan.space.values(number)
            worked = work_out(world, plan.file, plan.network, values, plan.shapes)
            figures: Sequence[Size | None] | None = self.instances.figures(worked)
            if figures is None or number % WHOLE == 0:
                if figures is not None:  # it is worked out anew, and by no recipe
                    alone = World(self.layers, plan.limits)
                    worked = work_out(alone, plan.file, plan.network, values, plan.shapes)
                whole = figures_of(count(check(worked.graph())))
                assert figures in (None, whole), f"{values}: {figures} by blocks, {whole} by layers"
                figures = whole
        except ArchError as error:
            return Outcome(number, None, said(error.diagnostics[0]))
        known = [figure for figure in figures if isinstance(figure, int)]
        if len(known) < len(figures):
            reason = "its inputs have free sizes: give them with --input image=3x224x224"
            return Outcome(number, None, reason)
        return Outcome(number, tuple(known))


def said(diagnostic: Diagnostic) -> str:
    """Say on one line what is wrong, and where."""
    place = f" ({diagnostic.span})" if diagnostic.span else ""
    return printable(f"{diagnostic.code}: {diagnostic.message()}{place}", LONGEST_ERROR)


_counting: dict[str, Counting] = {}  # of this process, by the key of the plan


def work(plan: Plan, numbers: Sequence[int]) -> list[Outcome]:
    """Count some variants, in any process; what it knows is kept for the next call.

    Raises:
        RuntimeError: this is another version of archdsl than the one that made the plan.
    """
    if plan.version != __version__:
        raise RuntimeError(f"a worker has archdsl {__version__}, and not {plan.version}")
    known = _counting.get(plan.key)
    if known is None:
        _counting.clear()
        known = _counting[plan.key] = Counting(plan)
    return [known.outcome(number) for number in numbers]
