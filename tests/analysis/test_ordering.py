"""Comparisons of formulas: what is certain is said, and nothing that is wrong."""

from __future__ import annotations

from building import H, W
from hypothesis import given, settings
from hypothesis import strategies as st

from archdsl.analysis.ordering import never_less
from archdsl.layers.sizes import Formula, Size


def test_numbers() -> None:
    assert never_less(3, 3)
    assert never_less(4, 3)
    assert not never_less(2, 3)


def test_certain() -> None:
    assert never_less(H, H // 2)
    assert never_less(H * W, (H // 2) * (W // 2) * 4)
    assert never_less((H + 1) // 2, H // 2)
    assert never_less(H * W, H)
    assert never_less(H, 1)


def test_uncertain() -> None:
    assert not never_less(H, W)
    assert not never_less(H // 2, H)
    assert not never_less(H, 2)
    assert not never_less(2 * (H // 2), H)


def test_a_product_of_what_may_be_negative_is_uncertain() -> None:
    """`n//2` is at most n/2, but its square may be more than that of n/2: -1//2 is -1."""
    half = (H - W) // 2

    assert value(4 * half * half, {"H": 1, "W": 2}) > value((H - W) * (H - W), {"H": 1, "W": 2})
    assert not never_less((H - W) * (H - W), 4 * half * half)


@st.composite
def formulas(draw: st.DrawFn) -> Size:
    size: Size = draw(st.sampled_from([H, W]))
    for _ in range(draw(st.integers(0, 4))):
        what = draw(st.integers(0, 3))
        number = draw(st.integers(1, 5))
        if what == 0:
            size = size + draw(st.integers(-5, 5))
        elif what == 1:
            size = size * number
        elif what == 2:
            size = size // number
        else:
            size = size * draw(st.sampled_from([H, W, H // 2, (H - W) // 2]))
    return size


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Size, Size]:
    """Return two formulas, of which the second often comes of making the first smaller."""
    left = draw(formulas())
    if draw(st.booleans()):
        return left, draw(formulas())
    right = left
    for _ in range(draw(st.integers(0, 2))):
        number = draw(st.integers(1, 4))
        right = draw(st.sampled_from([right - number, right // number, right - H, right - W]))
    return left, right


def test_what_is_claimed_holds() -> None:
    """And something is claimed, of pairs that are the same and of others."""
    claimed: list[bool] = []

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(pairs())
    def check(pair: tuple[Size, Size]) -> None:
        left, right = pair
        if not never_less(left, right):
            return
        claimed.append(left == right)
        for height in (1, 2, 3, 5, 8, 13, 32):
            for width in (1, 2, 3, 7, 16):
                values = {"H": height, "W": width}
                assert value(left, values) >= value(right, values)

    check()
    assert claimed.count(False) >= 30
    assert claimed.count(True) >= 10


def value(size: Size, values: dict[str, int]) -> int:
    found = size.evaluate(values) if isinstance(size, Formula) else size
    assert isinstance(found, int)
    return found
