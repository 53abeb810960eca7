"""From what a user asks for to a sweep, in Python and for the command."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from hashlib import sha256
from json import dumps
from os import PathLike, fspath

from archdsl.diagnostics import ArchError, printable
from archdsl.elaborate.errors import BadNetwork
from archdsl.elaborate.values import BlockValue
from archdsl.elaborate.wording import did_you_mean
from archdsl.layers.base import Layer
from archdsl.limits import Limits
from archdsl.load_arguments import joined
from archdsl.own_layers import registered
from archdsl.pipeline import Shapes, Spec
from archdsl.syntax import ast
from archdsl.variants.axes import Axis, axis_from, axis_of
from archdsl.variants.conditions import Conditions
from archdsl.variants.errors import BadSweep
from archdsl.variants.figures import NAMES, SHORT, unhidden
from archdsl.variants.plan import Plan
from archdsl.variants.space import Space, require_finite
from archdsl.variants.sweep import Sweep
from archdsl.version import __version__

MOST_JOBS = 1_024


def sweep(
    spec: str | PathLike[str],
    /,
    *,
    network: str | None = None,
    inputs: Mapping[str, Sequence[int]] | None = None,
    parameters: Mapping[str, object] | None = None,
    where: str | None = None,
    random: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    scheduler: str | None = None,
    limits: Limits | None = None,
    search: Sequence[str] = (),
    **named: object,
) -> Sweep:
    """Count all variants of a network: it yields a row, a dictionary, for each.

    `for row in archdsl.sweep("mobilenet_v2", width=[0.5, 0.75, 1.0])`, or `.to_pandas()`.

    Args:
        spec: a path, a path with a network, or the name of a network of the package.
        network: name of the network, if the spec defines several.
        inputs: shapes for its inputs, instead of those in the spec.
        parameters: the values of each parameter: a list or range of them, a single one, or a text
            as `archdsl sweep -p` takes it: "1..6", "16..256 by 16", "BasicBlock,Bottleneck".
        where: a condition in the language, on parameters and figures: "parameters < 5e6".
        random: how many variants are drawn instead of taking all; `seed` decides which.
        jobs: how many processes count.
        scheduler: address of a Dask cluster that counts: "tcp://192.168.0.7:8786".
        limits, search: as for `load`.
        named: more parameters, as in `width=[0.5, 1.0]`.

    Raises:
        ArchError: the spec is wrong, or what is asked for makes no sense. A variant that can't be
            built is a row with its `error`.
    """
    for what, given, kind, form in (
        ("where", where, str, 'a condition as a text: "parameters < 5e6"'),
        ("scheduler", scheduler, str, 'an address: "tcp://192.168.0.7:8786"'),
        ("random", random, int, "a number of variants"),
        ("seed", seed, int, "an integer"),
        ("jobs", jobs, int, "a number of processes"),
    ):
        if not isinstance(given, kind) and not (given is None and what not in ("seed", "jobs")):
            reason = f"`{what}` must be {form}, not {printable(repr(given), 60)}"
            raise ArchError(BadSweep(reason=reason))
    read = Spec(fspath(spec), limits=limits, search=[*map(fspath, search)], layers=registered())
    name = network or read.network

    def axis(key: str, given: object) -> Axis:
        kind = read.parameter_types(name).get(key, "")
        if isinstance(given, str):
            return axis_of(key, given, lambda text: read.parse_value(key, text, name), kind)
        several = given if isinstance(given, list | tuple | range) else [given]
        texts: dict[int, str] = {}
        values = []
        for one in several:
            (value,) = read.values(name, {key: one}).values()
            if isinstance(one, str) and isinstance(value, BlockValue):
                texts[id(value)] = one
            values.append(value)
        if isinstance(several, range):
            return axis_from(key, several, repr)
        return axis_from(key, values, lambda value: texts.get(id(value), repr(value)))

    axes = [axis(key, given) for key, given in joined(parameters, named).items()]
    shapes = {key: tuple(shape) for key, shape in (inputs or {}).items()}
    conditions = [where] if where else []
    return request(read, name, axes, shapes, conditions, random, seed, jobs, scheduler or "")


def request(
    spec: Spec,
    network: str | None,
    axes: Sequence[Axis],
    shapes: Shapes,
    where: Sequence[str] = (),
    random: int | None = None,
    seed: int = 0,
    jobs: int = 1,
    scheduler: str = "",
) -> Sweep:
    """Return the sweep of a spec that was read, with conditions all of which must be true.

    Raises:
        ArchError: the spec is wrong, or what is asked for makes no sense.
    """
    spec.require_sound()
    if network is None:
        path = printable(spec.file.source.path)
        raise ArchError(BadNetwork(reason=f"{path} defines no network"))
    declared = {one.name: one for one in spec.parameters(network)}
    _require_parameters(network, declared, axes)
    if random is not None and random < 1:
        raise ArchError(BadSweep(reason=f"a sample of {random} variants is none"))
    if not 1 <= jobs <= MOST_JOBS:
        raise ArchError(BadSweep(reason=f"{jobs} processes can't count: 1 to {MOST_JOBS:,} can"))
    space = Space(tuple(axes))
    require_finite(space, random)
    given = [axis.name for axis in axes]
    figures = [unhidden(name, declared) for name in (*NAMES, *SHORT.values())]
    conditions = Conditions(
        where,
        spec.file,
        parameters=given,
        figures=figures,
        open_parameters=[name for name in declared if name not in given],
        layers=spec.layers,
        limits=spec.limits,
    )
    facts: dict[str, object] = {
        "version": __version__,
        "network": network,
        "files": _digest(spec.reader.contents),
        "values": {axis.name: axis.said for axis in axes},
        "inputs": {name: list(shape) for name, shape in shapes.items()},
        "limits": spec.limits._asdict(),
        "layers": {name: _source_of(kind) for name, kind in spec.layers.own.items()},
        "figures": list(NAMES),
    }
    plan = Plan(
        _digest([dumps([*facts.items()]).encode()]),
        __version__,
        spec.file,
        network,
        space,
        shapes,
        spec.layers.own,
        spec.limits,
    )
    return Sweep(plan, [*declared], facts, conditions, random, seed, jobs, scheduler)


def _require_parameters(
    network: str, declared: Mapping[str, ast.Parameter], axes: Sequence[Axis]
) -> None:
    for axis in axes:
        if axis.name not in declared:
            reason = f"network `{network}` has no parameter called `{printable(axis.name, 60)}`"
            hint = did_you_mean(axis.name, declared) or "it has no open parameters"
            raise ArchError(BadNetwork(reason=reason, hint=hint))
    given = {axis.name for axis in axes}
    lacking = [one for one in declared.values() if one.default is None and one.name not in given]
    if lacking:
        quoted = " and ".join(f"`{one.name}`" for one in lacking)
        reason = f"network `{network}` needs a value for {quoted}"
        raise ArchError(
            BadNetwork(reason=reason, hint=f"give it one with -p {lacking[0].name}=...")
        )
    if not axes:
        hint = did_you_mean("", declared)
        reason = "a sweep needs a parameter with its values: `-p width=0.5,0.75,1.0`"
        raise ArchError(BadSweep(reason=reason, hint=hint))


def _digest(parts: Sequence[bytes]) -> str:
    whole = sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def _source_of(kind: type[Layer]) -> str:
    """Return a digest of the file that a layer of the user's own is written in."""
    try:
        return _digest([inspect.getsource(inspect.getmodule(kind) or kind).encode()])
    except (OSError, TypeError):  # it was typed in
        return repr(kind)
