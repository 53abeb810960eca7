"""Which free sizes make shapes agree, against trying them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from building import Builder, H, W
from hypothesis import given, settings
from hypothesis import strategies as st
from sketches import convolution, unet

from archdsl.analysis.agreement import (
    Assumptions,
    assumptions,
    without_floors,
    without_rounding,
)
from archdsl.analysis.solving import Requirement, period_of, solve
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Layer, LayerError, Shape, construct
from archdsl.layers.merge import Add, Concat
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Formula, FormulaError, Size, substitute
from archdsl.pipeline import Spec


def graph_of(text: str) -> CheckedGraph:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "spec.arch"
        path.write_text(text)
        spec = Spec(str(path))
        return spec.graph(spec.network)


@pytest.mark.parametrize(("levels", "multiple"), [(1, 2), (3, 8), (4, 16), (5, 32)])
def test_a_unet_takes_multiples(levels: int, multiple: int) -> None:
    found = assumptions(unet(H, W, levels, base=4))

    assert found.sentences() == (
        f"H must be a multiple of {multiple}",
        f"W must be a multiple of {multiple}",
    )


def test_fixed_sizes_assume_nothing() -> None:
    assert assumptions(unet(64, 64)) == Assumptions({})


def test_kernels_need_room() -> None:
    net = Builder()
    net.input("x", 1, H, W)
    net.put("a", convolution(1, 7))
    net.put("b", convolution(1, 3, stride=2))

    assert assumptions(net.checked()).sentences() == (
        "H must be at least 9",
        "W must be at least 9",
    )


def test_sizes_of_several_names_are_told_as_equations() -> None:
    net = Builder()
    net.input("x", 1, H, 4)
    net.input("y", 1, W, 4)
    net.put("sum", Add(), "x", "y")

    assert assumptions(net.checked()).sentences() == ("H must be equal to W",)


def lookup(context: int, formula: str) -> Assumptions:
    text = f"""network n {{ input tokens: [T]; wte: Embedding(50, 8)
      constant places: [in.shape[0]] = [{formula} for i]
      from places -> wpe: Embedding({context}, 8)
      output o }}"""
    return assumptions(graph_of(text))


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("i", "T must be at most 32"),
        ("i + 2", "T must be at most 30"),
        ("3 * i", "T must be at most 11"),
        ("i + 31", "T must be at most 1"),
        ("min(i, 31)", ""),
        ("in.shape[0] - 1 - i", "T must be at most 32"),
        (
            "in.shape[0] + 31 - 0 * i",
            "no T makes all shapes agree and keeps indices in their tables",
        ),
        ("in.shape[0] - 4 - 0 * i", "T must be at least 4 and at most 35"),
    ],
)
def test_indices_that_grow_with_a_size_bound_it(formula: str, said: str) -> None:
    found = lookup(32, formula)

    assert "".join(found.sentences()) == said
    assert found.possible == (not said.startswith("no "))


@given(
    st.integers(1, 6), st.sets(st.integers(0, 5), min_size=1), st.integers(1, 9), st.integers(1, 40)
)
def test_the_value_of_a_bounded_size_does(
    modulus: int, rests: set[int], least: int, most: int
) -> None:
    rests = {rest % modulus for rest in rests}
    known = Requirement("n", least, modulus, tuple(sorted(rests))).up_to(most)
    allowed = [n for n in range(least, most + 1) if n % modulus in rests]

    assert known.possible == bool(allowed)
    for start in range(1, most + 5) if allowed else ():
        assert known.value(start) == next((n for n in allowed if n >= start), allowed[-1])


def test_shapes_that_never_agree() -> None:
    net = Builder()
    net.input("x", 1, H)
    net.put("both", Concat(), "x", "x", agreements=((H, 2 * (H // 2)), (H, 2 * (H // 2) + 1)))

    found = assumptions(net.checked())

    assert not found.possible
    assert found.sentences() == ("no H makes all shapes agree",)


def test_sentences() -> None:
    assert str(Requirement("H")) == ""
    assert str(Requirement("H", 5)) == "H must be at least 5"
    assert str(Requirement("H", 33, 16, (0,))) == "H must be a multiple of 16 and at least 48"
    assert str(Requirement("H", 1, 4, (1, 3))) == (
        "H must be a number that leaves 1 or 3 when divided by 4"
    )
    assert str(Requirement("H", 1, 8, (0, 1, 2, 5))) == (
        "H must be a number that leaves 0 to 2 or 5 when divided by 8"
    )
    assert str(Requirement("H", only=(7,))) == "H must be 7"
    assert str(Requirement("H", only=(1, 2, 3))) == "H must be 1, 2 or 3"
    assert str(Requirement("H", only=(1, 2, 3, 4, 5))) == "H must be 1, 2, 3, 4 or some others"


def test_the_first_value_that_does() -> None:
    few = Requirement("H", only=(2, 5, 9))
    assert [few.value(start) for start in (1, 2, 3, 5, 9, 10)] == [2, 2, 5, 5, 9, 9]
    many = Requirement("H", 5, 4, (0, 3))
    assert [many.value(start) for start in (1, 7, 8, 9, 11)] == [7, 7, 8, 11, 11]


def test_a_single_value() -> None:
    assert str(solve("H", [H - 7])) == "H must be 7"
    assert str(solve("H", [H - 7], least=8)) == "no H makes all shapes agree"
    assert str(solve("H", [H - 7, 2 * H - 14])) == "H must be 7"
    assert str(solve("H", [H - 7, H - 8])) == "no H makes all shapes agree"


def test_period() -> None:
    assert period_of((H // 2) * (W // 3) + H) == 6
    assert period_of((H // 2 + H) // 5) == 10


def test_without_floors() -> None:
    known = Assumptions({"H": Requirement("H", 1, 4, (0,)), "W": Requirement("W")})

    assert without_floors(6 * (H // 4) * W, known) == [(("H", "W"), 1.5)]
    assert without_floors(H // 8, known) is None
    assert without_floors(W // 2, known) is None


def test_without_rounding() -> None:
    known = Assumptions({"H": Requirement("H", 9), "W": Requirement("W", 1, 2, (0,))})

    assert without_rounding(known, [3, H, W // 2]) == known
    found = without_rounding(known, [(H + 3) // 4 * W, H // 6])
    assert found.requirements["H"] == Requirement("H", 9, 12, (0,))
    assert found.requirements["W"].modulus == 12
    assert without_rounding(known, [H // 997, H // 991]) == known
    several = Assumptions({"H": Requirement("H", 1, 4, (0, 1)), "W": Requirement("W", 1, 4, (1,))})
    assert without_rounding(several, [H // 8]).requirements == {
        "H": Requirement("H", 1, 8, (0,)),
        "W": Requirement("W", 1, 4, (1,)),
    }


STEPS = st.lists(st.tuples(st.sampled_from("+*/"), st.integers(1, 4)), max_size=4)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(STEPS, STEPS), min_size=1, max_size=2), st.integers(1, 5))
def test_solved_as_by_trying(pairs: list[tuple[list, list]], least: int) -> None:
    differences = [apply(left) - apply(right) for left, right in pairs]
    formulas = [size for size in differences if isinstance(size, Formula)]
    found = solve("H", formulas, least)

    for height in range(least, 100):
        holds = all(formula.evaluate({"H": height}) == 0 for formula in formulas)
        if found.only:
            claimed = height in found.only
        else:
            claimed = found.possible and height % found.modulus in found.remainders
        assert claimed <= holds
        if not claimed and holds:
            assert not found.only  # single values beside whole remainders are left out
            assert found.possible


def apply(steps: list[tuple[str, int]]) -> Size:
    size: Size = H
    for sign, number in steps:
        size = size + number if sign == "+" else size * number if sign == "*" else size // number
    return size


def opened(inputs: Sequence[Shape], kept: int) -> list[Shape]:
    """Make all sizes above 1 free but for the first `kept` axes; equal ones have one name."""
    names: dict[tuple[int, Size], Size] = {}
    return [
        tuple(
            size
            if axis < kept or size == 1
            else names.setdefault((axis, size), Formula.named(f"s{len(names)}"))
            for axis, size in enumerate(shape)
        )
        for shape in inputs
    ]


def takes(layer: Layer, inputs: Sequence[Shape], values: dict[str, Size]) -> bool:
    """Tell whether a layer takes those sizes as they stand, and leaves no axis without a place."""
    try:
        facts = layer.infer(
            tuple(tuple(substitute(size, values) for size in shape) for shape in inputs)
        )
    except LayerError:
        return False
    return all(not isinstance(size, int) or size >= 1 for size in facts.output) and all(
        left == right for left, right in facts.agreements if isinstance(left - right, int)
    )


# What spreads an axis of size 1 does so of masks whose other sizes follow from other inputs.
SPREADING = {"ScaledDotProductAttention"}
KINDS = sorted(Registry().values(), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_allowed_is_what_layers_take(kind: type[Layer]) -> None:
    """A size that is allowed is taken where it is given, and no smaller one is."""
    for example in kind.examples:
        for kept in (0, 1, 2):
            inputs = opened(example.inputs, kept)
            net = Builder()
            names = [net.input(f"x{number}", *shape) for number, shape in enumerate(inputs)]
            try:
                layer = construct(kind, example.arguments)
                net.put("layer", layer, *names)
            except (LayerError, FormulaError):
                continue
            known = assumptions(net.checked())
            if known.equations:
                continue
            for name, requirement in known.requirements.items():
                allowed = {requirement.value(start) for start in range(1, 40)}
                least = 2 if kind.__name__ in SPREADING else 1
                for value in range(least, requirement.value(1) + 3):
                    assert takes(layer, inputs, {name: value}) == (value in allowed)
