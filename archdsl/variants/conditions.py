"""Conditions on variants: expressions of the language over parameters and figures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from archdsl.diagnostics import ArchError, Diagnostic, Source
from archdsl.elaborate.errors import Spoiled
from archdsl.elaborate.expressions import evaluate_as, unknown
from archdsl.elaborate.operations import FUNCTIONS
from archdsl.elaborate.values import Value, truth
from archdsl.elaborate.world import FileSetting, World
from archdsl.layers.registry import Registry
from archdsl.limits import Limits
from archdsl.records import Record
from archdsl.syntax import ast
from archdsl.syntax.parser import Parser
from archdsl.syntax.spec_file import SpecFile
from archdsl.variants.errors import BadSweep
from archdsl.variants.figures import HIDDEN

OPTION = "--where"


class Part(Record):
    """A condition, and the names in it that are parameters or figures."""

    node: ast.Expression
    names: frozenset[str]


class Conditions:
    """What all must be true of a variant: `parameters < 5e6 and width * depth < 20`.

    Names are parameters, figures, and what the file defines. What stands between `and`, or in
    conditions of their own, is decided one by one: `early` on parameters alone, before anything is
    built, `late` on figures.
    """

    def __init__(
        self,
        texts: Sequence[str],
        file: SpecFile | None,
        parameters: Collection[str],
        figures: Collection[str],
        open_parameters: Collection[str] = (),
        layers: Registry | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Read conditions, all of which must be true; without any all is.

        Args:
            file: what the names of the language are looked up in.
            parameters: that have values; one hides a figure of its name.
            open_parameters: that have none here, which is said where one is named.

        Raises:
            ArchError: it is no condition, or names something that there is not.
        """
        self.limits = limits or Limits()
        self.world = World(layers or Registry(), self.limits)
        self.file = file or _nothing()
        self.early: list[Part] = []
        self.late: list[Part] = []
        for text in texts:
            self._read(text, parameters, figures, open_parameters)

    def _read(
        self,
        text: str,
        parameters: Collection[str],
        figures: Collection[str],
        open_parameters: Collection[str],
    ) -> None:
        if not text.strip():
            raise ArchError(BadSweep(reason=f"{OPTION} is empty"))
        known = dict.fromkeys([*parameters, *figures])
        try:
            node = Parser(self.limits).expression(Source(OPTION, text))
        except ArchError as error:
            raise ArchError(*(_meant(one, known) for one in error.diagnostics)) from None
        whole = isinstance(node, ast.Logical) and node.operator == "and"
        for one in node.operands if isinstance(node, ast.Logical) and whole else (node,):
            _require_condition(one)
            names = set()
            for name, is_called in _names(one, frozenset()):
                if name.name in known:
                    names.add(name.name)
                elif is_called:
                    self._require_function(name)
                elif name.name in open_parameters:
                    reason = f"{OPTION} names the parameter `{name.name}`, which has no value here"
                    hint = f"give it one with -p {name.name}=..."
                    if (figure := f"{HIDDEN}{name.name}") in known:
                        hint += f"; the figure is `{figure}` in this network"
                    raise ArchError(BadSweep(name.span, reason=reason, hint=hint))
                elif not self._is_known(name):
                    setting = FileSetting(self.world, self.file)
                    what = "parameter or figure"
                    raise unknown(what, name, (*known, *setting.known_names()), setting)
            part = Part(one, frozenset(names))
            (self.early if names <= {*parameters} else self.late).append(part)

    def _is_known(self, name: ast.Name) -> bool:
        try:
            return FileSetting(self.world, self.file).global_value(name) is not None
        except Spoiled:
            return True

    def _require_function(self, name: ast.Name) -> None:
        found = self.file.find(name.name)
        if name.name in FUNCTIONS or (found and isinstance(found[1], ast.Function)):
            return
        if not self._is_known(name):
            setting = FileSetting(self.world, self.file)
            raise unknown("function", name, (*FUNCTIONS, *setting.known_names()), setting)

    def hold(self, parts: list[Part], values: Mapping[str, Value]) -> bool:
        """Tell whether all parts are true of some values.

        Raises:
            ArchError: one has no value, or one that is neither true nor false.
        """
        if not parts:
            return True
        setting = FileSetting(self.world, self.file)
        setting.names.given.update(values)
        self.world.steps_left = self.limits.steps
        most = self.limits.steps
        return all(evaluate_as(truth, part.node, setting, most, "a condition") for part in parts)


def _meant(error: Diagnostic, known: Iterable[str]) -> Diagnostic:
    """Name the figure that a word of the language stands for where it can't be a name."""
    span = error.span
    word = span.source.text[span.start : span.end] if span else ""
    if word.isidentifier() and (
        meant := [one for one in known if one in (f"{word}s", f"{word}_shape")]
    ):
        return error.but(hint=f"`{word}` is a word of the language: write `{meant[0]}`")
    return error


def _nothing() -> SpecFile:
    source = Source(OPTION, "")
    return SpecFile(source, ast.Program((), source))


def _require_condition(node: ast.Expression) -> None:
    """Refuse what is a number or a text, whatever the values."""
    plain = isinstance(node, ast.Chain | ast.Text | ast.Listing | ast.Comprehension | ast.Slicing)
    sign = isinstance(node, ast.Unary) and node.operator != "not"
    literal = isinstance(node, ast.Literal) and not isinstance(node.value, bool)
    if plain or sign or literal:
        reason = f"{OPTION} is no condition: a condition is true or false"
        raise ArchError(BadSweep(node.span, reason=reason, hint="write `parameters < 5e6`"))
    if isinstance(node, ast.Logical):
        for operand in node.operands:
            _require_condition(operand)


def _names(node: object, bound: frozenset[str]) -> Iterator[tuple[ast.Name, bool]]:
    """Yield the names that an expression has from outside, and whether they are called."""
    if isinstance(node, ast.Flow | ast.ShapeOf):
        reason = f"{OPTION} can't ask for tensors: nothing flows in a condition on a network"
        raise ArchError(BadSweep(node.span, reason=reason, hint="name parameters and figures"))
    if isinstance(node, ast.Name):
        if node.name not in bound:
            yield node, False
    elif isinstance(node, ast.Call):
        if node.name.name not in bound:
            yield node.name, True
        yield from _names(node.arguments, bound)
    elif isinstance(node, ast.Comprehension):
        yield from _names(node.source, bound)
        inside = bound | {target.name for target in node.targets}
        yield from _names((node.item, node.condition), inside)
    elif isinstance(node, tuple) and not isinstance(node, Source):
        for one in node:
            yield from _names(one, bound)
