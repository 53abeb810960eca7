"""The values of a parameter in a sweep: how they are written, and which of all are drawn."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archdsl
from archdsl.pipeline import Spec
from archdsl.variants.axes import Axis, Steps, axis_of
from archdsl.variants.space import MOST_VARIANTS, Space, drawn, require_finite

NET = Path(__file__).with_name("net.arch")


def axis(text: str, name: str = "width") -> Axis:
    spec = Spec(str(NET))
    kind = spec.parameter_types(spec.network)[name]
    return axis_of(name, text, lambda part: spec.parse_value(name, part, spec.network), kind)


def shown(axis: Axis) -> list[Any]:
    return [axis.shown(at) for at in range(axis.length)]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("width", "1..6", [1, 2, 3, 4, 5, 6]),
        ("width", "16..64 by 16", [16, 32, 48, 64]),
        ("width", "16..63 by 16", [16, 32, 48]),
        ("width", "6..1 by -2", [6, 4, 2]),
        ("width", "3..3", [3]),
        ("width", "-2..1", [-2, -1, 0, 1]),
        ("width", "0.1..0.5 by 0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),  # not 0.30000000000000004
        ("width", "1..2 by 0.5", [1.0, 1.5, 2.0]),
        ("width", "0.5, 0.75,1.0", [0.5, 0.75, 1.0]),
        ("width", "1..3,8,16..48 by 16", [1, 2, 3, 8, 16, 32, 48]),
        ("width", "2 * most,twice(8)", [40, 16]),
        ("width", "true", [True]),
        ("kernels", "[3, 3],(1,),[k for k in range(2)]", [(3, 3), (1,), (0, 1)]),
        ("unit", "Plain,Grouped(groups = 4),none", ["Plain", "Grouped(groups = 4)", None]),
        ("act", 'relu,tanh,"a,b"', ["relu", "tanh", "a,b"]),
        ("act", "1..3", ["1..3"]),
    ],
)
def test_values_are_read(name: str, text: str, values: list[Any]) -> None:
    found = shown(axis(text, name))

    assert found == values
    assert [*map(type, found)] == [*map(type, values)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1..", "without an end"),
        ("..6", "without a start"),
        ("..", "without a start"),
        ("1..6 by 0", "whose step is 0"),
        ("6..1", "whose step leads away from its end"),
        ("1..6 by -1", "whose step leads away"),
        ("0.5..1.5", "without a step"),
        ("1...6", "is no range"),
        ("a..b", "is no range"),
        ("1..6 by", "is no range"),
        ("1..1e99 by 1", "goes beyond"),
        ("0..9000000000000000000 by 0.1", "goes beyond"),
        ("", "has no values"),
        (" ", "has no values"),
        ("1,,2", "nothing between two commas"),
        ("1,2,1", "has `1` twice"),
        ("1..2,1..3", "has `1` twice, in two ranges"),
        ("3..3,1..5", "has `3` twice"),
        ("1..9 by 2,8..2 by -3", "has `5` twice"),
        ("0..9000000000000000000 by 6,1..9000000000000000000 by 5", "has `6` twice"),
        ("0.1..0.5 by 0.1,0.3", "has `0.3` twice, alone and in a range"),
        ("0.1..0.5 by 0.1,0.25..0.5 by 0.05", "twice, in two ranges"),
        ("4,2 * 2", "has `4` twice"),
        ("2,1..3", "has `2` twice"),
        (",".join(f"{3 * at}..{3 * at + 1}" for at in range(101)), "more than 100 ranges"),
        ('"ab', "without an end"),
        ("wodth", "no value called `wodth`"),
        ("1 / 0", "divides by zero"),
        ("(1,2", "expected"),
    ],
)
def test_nonsense_is_refused(text: str, said: str) -> None:
    with pytest.raises(archdsl.ArchError) as caught:
        axis(text)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("kernels", "[3],[2 + 1]"), ("unit", "Grouped(groups = 2),Grouped(groups=2)")],
)
def test_the_same_value_in_other_words_is_refused(name: str, text: str) -> None:
    with pytest.raises(archdsl.ArchError, match="twice"):
        axis(text, name)
    with pytest.raises(archdsl.ArchError, match="has `4` twice"):
        archdsl.sweep(NET, width=[4, 4])
    assert axis("1,1.0,true").length == 3  # these are three


@given(
    *[st.tuples(st.integers(-20, 20), st.integers(-6, 6).filter(bool), st.integers(1, 8))] * 2,
    st.booleans(),
)
def test_ranges_have_a_number_in_common_where_one_is(
    one: tuple[int, int, int], other: tuple[int, int, int], whole: bool
) -> None:
    unit = Fraction(1) if whole else Fraction(1, 4)
    ranges = [Steps(first * unit, step * unit, count, whole) for first, step, count in (one, other)]
    both = {*ranges[0]} & {*ranges[1]}

    common = ranges[0].common(ranges[1])

    assert (common in both) if both else (common is None)
    assert {value for value in ranges[0] if ranges[1].has(value)} == both


def test_variants_are_each_value_with_each_other() -> None:
    space = Space((axis("1,2"), axis("[3],[5]", "kernels"), axis("0..2", "depth")))

    every = [space.values(number) for number in range(space.size)]

    assert space.size == len({str(one) for one in every}) == 12
    assert every[0] == {"width": 1, "kernels": (3,), "depth": 0}
    assert every[1] == {"width": 1, "kernels": (3,), "depth": 1}
    assert every[-1] == {"width": 2, "kernels": (5,), "depth": 2}


@given(st.integers(1, 600), st.integers(0, 2**40))
def test_what_is_drawn_is_every_variant_once(size: int, seed: int) -> None:
    assert sorted(drawn(size, seed)) == [*range(size)]


def test_a_sample_is_the_same_everywhere() -> None:
    """These numbers must never change: a sweep is repeated by its seed."""
    numbers = drawn(10**12, 1)

    assert [next(numbers) for _ in range(3)] == [739454741944, 499812516249, 976679843317]


def test_a_sample_is_spread_over_all() -> None:
    for seed in range(5):
        numbers = drawn(10**15, seed)
        found = [next(numbers) / 10**15 for _ in range(2_000)]
        parts = [sum(part / 10 <= one < (part + 1) / 10 for one in found) for part in range(10)]
        assert all(120 < number < 280 for number in parts), parts  # 200 each, give or take 6 sigma


def test_no_more_than_anybody_can_wait_for() -> None:
    million = axis("1..1000000")
    require_finite(Space((million,)), None)
    vast = Space((million, axis("1..1000000", "depth")))
    require_finite(vast, MOST_VARIANTS)

    with pytest.raises(archdsl.ArchError, match=r"1,000,000 x 1,000,000 = 1,000,000,000,000 var"):
        require_finite(vast, None)
    with pytest.raises(archdsl.ArchError, match="has 1,000,001 variants"):
        require_finite(vast, MOST_VARIANTS + 1)
