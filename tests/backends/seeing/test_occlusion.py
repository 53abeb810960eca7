"""Occlusion against Captum, and against covering by hand."""

from __future__ import annotations

from typing import Any

import pytest
from seen_networks import MEANS, SMALL

torch = pytest.importorskip("torch")

from archdsl.backends.seeing.occlusion import occlude, starts  # noqa: E402


@pytest.mark.parametrize("text", [SMALL, MEANS])
@pytest.mark.parametrize(("size", "step"), [(8, 4), (8, 8), (16, 2)])
def test_occlusion_is_that_of_captum(
    lens_of: Any, images: Any, text: str, size: int, step: int
) -> None:
    attr = pytest.importorskip("captum.attr")
    lens = lens_of(text)
    grey = lens.preparation.grey.double().expand_as(images[:1])
    wanted = attr.Occlusion(lambda given: lens.module(given).softmax(1)).attribute(
        images[:1],
        sliding_window_shapes=(3, size, size),
        strides=(3, step, step),
        baselines=grey,
        target=2,
    )

    found = occlude(lens, images[0], 2, size, step).attributions(32, 32)

    assert found.abs().max() > 0
    assert bool((found - wanted[0]).abs().max() <= 1e-6)


@pytest.mark.parametrize(("size", "step"), [(7, 5), (10, 3), (31, 8)])
def test_occlusion_is_what_covering_by_hand_gives(
    lens_of: Any, images: Any, size: int, step: int
) -> None:
    lens = lens_of(SMALL)
    found = occlude(lens, images[1], 4, size, step, "c2")
    whole = lens.steps.run({"image": images[1:2]}, ["c2"])["c2"][0].sum((1, 2))

    assert found.channel == int(whole.argmax())
    assert found.strength == pytest.approx(float(whole.max()))
    for row, top in enumerate(found.tops):
        for column, left in enumerate(found.lefts):
            covered = images[1:2].clone()
            covered[:, :, top : top + size, left : left + size] = lens.preparation.grey
            shares = lens.module(covered).softmax(1)[0]
            assert float(found.shares[row, column]) == pytest.approx(float(shares[4]))
            assert int(found.winners[row, column]) == int(shares.argmax())
            maps = lens.steps.run({"image": covered}, ["c2"])["c2"][0, found.channel]
            assert float(found.strengths[row, column]) == pytest.approx(float(maps.sum()))


@pytest.mark.parametrize(
    ("places", "size", "step", "wanted"),
    [
        (8, 4, 4, (0, 4)),
        (9, 4, 4, (0, 4, 5)),
        (8, 4, 9, (0, 4)),
        (4, 4, 1, (0,)),
        (3, 4, 1, (0,)),
        (6, 1, 2, (0, 2, 4, 5)),
    ],
)
def test_the_square_comes_to_every_place(
    places: int, size: int, step: int, wanted: tuple[int, ...]
) -> None:
    assert starts(places, size, step) == wanted
