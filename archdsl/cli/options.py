"""The options that several commands share, and the spec that they lead to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

from archdsl.analysis.peak import OPTIMIZERS
from archdsl.diagnostics import printable
from archdsl.graph import CheckedGraph
from archdsl.limits import Limits
from archdsl.pipeline import Spec
from archdsl.records import Record

Command = TypeVar("Command", bound=Callable[..., Any])


class Reading(Record):
    """How specs are to be read: with which limits, folders and layers."""

    limits: Limits
    search: tuple[str, ...]
    layers: tuple[str, ...]

    def spec(self, name: str) -> Spec:
        """Read a spec.

        Raises:
            ArchError: it is wrong.
        """
        own = {}
        if self.layers:
            from archdsl.own_layers import registered

            own = dict(registered())
        return Spec(name, limits=self.limits, search=self.search, layers=own)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how specs are read; the command gets a `Reading`."""

    def make(
        limit: tuple[str, ...],
        search_path: tuple[str, ...],
        layers: tuple[str, ...],
        specs: Sequence[str],
    ) -> Reading:
        for name in layers:
            _enable(name, specs)
        for path in search_path:
            if not os.path.isdir(path):
                reason = f"`{printable(path)}` is no folder"
                raise click.BadParameter(reason, param_hint="--search-path")
        return Reading(_limits(limit), search_path, layers)

    @wraps(command)
    def called(
        *args: Any,
        limit: tuple[str, ...],
        search_path: tuple[str, ...],
        layers: tuple[str, ...],
        **kw: Any,
    ) -> Any:
        specs = kw.get("specs") or [kw.get("name") or ""]
        return command(*args, reading=make(limit, search_path, layers, specs), **kw)

    return _with(
        called,
        click.option(
            "--layers",
            multiple=True,
            metavar="MODULE",
            help="Python module with layers of your own, installed, here or beside the spec.",
        ),
        click.option(
            "--search-path",
            multiple=True,
            metavar="DIR",
            help="Folder that imports may lead to as well.",
        ),
        click.option(
            "--limit", multiple=True, metavar="NAME=N", help="Raise a limit: layers=1000000."
        ),
    )


def network(command: Command) -> Command:
    """Add the options that say which network of a spec is meant, and with which values."""
    return _with(
        command,
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="NAME=SHAPE",
            help="Shape of an input: image=3x224x224.",
        ),
        click.option(
            "-p",
            "--parameter",
            "parameters",
            multiple=True,
            metavar="NAME=VALUE",
            help="Value of a parameter: classes=10.",
        ),
    )


def training(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a network is trained; the command gets them as a mapping."""

    @wraps(command)
    def called(*args: Any, optimizer: str | None, checkpoint: tuple[str, ...], **kw: Any) -> Any:
        if optimizer is not None:
            one_of(optimizer, tuple(OPTIMIZERS), "--optimizer")
        step = {"optimizer": optimizer, "checkpoint": checkpoint}
        return command(*args, step={name: one for name, one in step.items() if one}, **kw)

    return _with(
        called,
        click.option(
            "--checkpoint",
            multiple=True,
            metavar="PATTERN",
            help="Compute these blocks again in the backward pass: 'layer*'.",
        ),
        click.option("--optimizer", metavar="NAME", help=f"One of {', '.join(OPTIMIZERS)}."),
    )


def freezing(command: Command) -> Command:
    """Add the options that say what is not to learn."""
    return _with(
        command,
        click.option(
            "--freeze", multiple=True, metavar="PATTERN", help="Keep from learning: 'features.*'."
        ),
        click.option(
            "--freeze-but",
            multiple=True,
            metavar="PATTERN",
            help="Leave these learning; without --freeze, these alone: 'fc.*'.",
        ),
    )


def one_of(given: str, known: Sequence[str], option: str) -> None:
    """Refuse what is none of the names known, and say which is the nearest."""
    if given in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(given, known, n=1)
    hint = f" (did you mean `{near[0]}`?)" if near else ""
    reason = f"`{printable(given, 100)}` is none of {', '.join(known)}{hint}"
    raise click.BadParameter(reason, param_hint=option)


def where(shown: str) -> Callable[[Command], Command]:
    """Add the option for conditions, all of which must be true; `shown` is one to show."""

    def checked(
        context: click.Context, option: click.Parameter, given: tuple[str, ...]
    ) -> tuple[str, ...]:
        if not all(text.strip() for text in given):
            raise click.BadParameter("it is empty", param_hint="--where")
        return given

    help_text = f"Keep these: '{shown}'; of several all must be true."
    return click.option(
        "--where", multiple=True, callback=checked, metavar="CONDITION", help=help_text
    )


def names(option: str, shown: str, metavar: str = "NAMES") -> Callable[[Command], Command]:
    """Add an option that takes names with commas between them, once: a second would hide it."""

    def alone(
        context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
    ) -> str | None:
        if len(given) > 1:
            reason = "it is given twice: write all of it as one, with commas between"
            raise click.BadParameter(reason, param_hint=option)
        return given[0] if given else None

    return click.option(option, multiple=True, callback=alone, metavar=metavar, help=shown)


def numbers(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """Read numbers separated by commas."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        reason = f"`{printable(text, 60)}` is no number, and no list of some: 0.485,0.456,0.406"
        raise click.BadParameter(reason, context, option) from None


def preparing(command: Command) -> Command:
    """Add the options that say how images become what a network takes."""
    return _with(
        command,
        click.option("--mean", callback=numbers, metavar="R,G,B", help="Of the channels, 0 to 1."),
        click.option("--std", callback=numbers, metavar="R,G,B", help="By which they are divided."),
        click.option(
            "--crop", type=float, metavar="SHARE", help="Of the shorter side that is seen; 0.875."
        ),
    )


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):  # click lists what was added last first
        command = option(command)
    return command


def _enable(name: str, specs: Sequence[str]) -> None:
    from archdsl.own_layers import enable

    # a network that comes with the package is given by its name alone, and has no folder
    beside = [os.path.dirname(spec) for spec in specs if ".arch" in spec]
    try:
        enable(name, [os.curdir, *beside])
    except ImportError as error:
        raise click.BadParameter(str(error), param_hint="--layers") from None


def _limits(changes: tuple[str, ...]) -> Limits:
    values: dict[str, int] = {}
    for change in changes:
        name, equals, number = change.partition("=")
        # what no limit can be is not read: Python takes quadratic time for it
        if not equals or len(number) > 19 or not re.fullmatch("[0-9]+(_[0-9]+)*", number):
            reason = f"`{change}` is not NAME=N, as in layers=1000000"
            raise click.BadParameter(reason, param_hint="--limit")
        values[name] = int(number)
    try:
        return Limits().with_changes(values)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--limit") from None


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Read options of the form NAME=VALUE.

    Raises:
        click.BadParameter: one is not of that form, or is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or name in found:
            reason = "is given twice" if name in found else "is not NAME=VALUE"
            raise click.BadParameter(f"`{text}` {reason}", param_hint=option)
        found[name] = value.strip()
    return found


def renames_of(texts: tuple[str, ...]) -> dict[str, str]:
    """Read renames, which are done in the order in which they were given."""
    from archdsl.patterns import rename_of

    renames: dict[str, str] = {}
    for text in texts:
        try:
            old, new = rename_of(text)
            if old in renames:
                raise ValueError("is given twice")
        except ValueError as error:
            reason = f"`{printable(text)}` {error}"
            raise click.BadParameter(reason, param_hint="--rename") from None
        renames[old] = new
    return renames


def shape_of(text: str, axes: int | None = None) -> tuple[int | str, ...]:
    """Read a shape: 3x224x224, or with free sizes 3xHxW; commas do as well.

    Names may have an `x`: where commas make as many sizes as there are `axes`, no `x` parts them.

    Raises:
        click.BadParameter: it is none.
    """
    sizes: list[int | str] = []
    parts = text.split(",")
    for part in parts if len(parts) == axes else re.split(r"[x,]", text):
        if re.fullmatch(r"[1-9][0-9]{0,17}", part.strip(), re.ASCII):
            sizes.append(int(part))
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part.strip(), re.ASCII):
            sizes.append(part.strip())
        else:
            raise click.BadParameter(f"`{text}` is no shape, as in 3x224x224", param_hint="--input")
    return tuple(sizes)


def graph_of(
    spec: Spec, parameters: tuple[str, ...], inputs: tuple[str, ...], name: str | None = None
) -> CheckedGraph:
    """Return the graph of the network that a command is about.

    Raises:
        ArchError: the spec, or a value given for it, is wrong.
        click.BadParameter: an option is not of the form it must have.
    """
    network = name or spec.network
    values: Mapping[str, Any] = {
        key: spec.parse_value(key, text, network) for key, text in pairs(parameters, "-p").items()
    }
    return spec.graph(network, values, input_shapes(spec, network, inputs))


def input_shapes(
    spec: Spec, network: str | None, inputs: tuple[str, ...]
) -> dict[str, tuple[int | str, ...]]:
    """Return the shapes that are given for the inputs of a network.

    Raises:
        click.BadParameter: one is none.
    """
    axes = spec.axes(network) if inputs else {}
    return {key: shape_of(text, axes.get(key)) for key, text in pairs(inputs, "--input").items()}


def stored(command: Command) -> Command:
    """Add the options that say which weights are loaded, and what of them need not fit."""
    return _with(
        command,
        click.option(
            "--weights", metavar="FILE", help="Load these: safetensors, or a file of torch."
        ),
        click.option(
            "--allow-mismatch",
            multiple=True,
            metavar="PATTERN",
            help="Weights that need not fit: 'fc.*'.",
        ),
        click.option(
            "--rename",
            multiple=True,
            metavar="OLD=NEW",
            help="Other names for stored weights: 'module.*=*'.",
        ),
    )
