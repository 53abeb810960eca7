"""The images that excite channels most against what sorting everything gives."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from seen_networks import SMALL

torch = pytest.importorskip("torch")

from archdsl.backends.seeing.top import top  # noqa: E402


def many(count: int) -> Any:
    return torch.randn(
        count, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("batch", [1, 7, 40, 64])
def test_top_is_what_sorting_all_gives(lens_of: Any, batch: int) -> None:
    lens, images, layers = lens_of(SMALL, batch=batch), many(40), ["c1", "pool", "c3"]
    told: list[int] = []

    found = top(lens, layers, 40, lambda number: images[number], 9, told.append)

    assert sum(told) == 40
    for name in layers:
        maps = lens.steps.run({"image": images}, [name])[name]
        one = found[name]
        assert one.values.shape == (maps.shape[1], 9)
        for channel in range(maps.shape[1]):
            best = maps[:, channel].flatten(1).max(1).values
            order = best.argsort(descending=True, stable=True)[:9]
            assert one.images[channel].tolist() == order.tolist()
            for place in range(9):
                number, row, column = (int(each[channel, place]) for each in one[:3])
                value = maps[number, channel, row, column]
                assert float(value) == pytest.approx(float(maps[number, channel].max()), abs=1e-9)
                assert float(one.values[channel, place]) == pytest.approx(float(value), abs=1e-9)


def test_of_equal_images_the_first_come_first(lens_of: Any) -> None:
    lens, image = lens_of(SMALL, batch=3), many(1)[0]

    found = top(lens, ["c3"], 10, lambda number: image, 4)["c3"]

    assert found.images.tolist() == [[0, 1, 2, 3]] * 16


def test_fewer_images_than_are_wanted(lens_of: Any) -> None:
    lens, images = lens_of(SMALL), many(3)

    assert top(lens, ["c3"], 3, lambda number: images[number], 9)["c3"].values.shape == (16, 3)


def test_an_image_that_fails_ends_it(lens_of: Any) -> None:
    def read(number: int) -> Any:
        if number == 5:
            raise ValueError("broken")
        return many(1)[0]

    with pytest.raises(ValueError, match="broken"):
        top(lens_of(SMALL, batch=2), ["c3"], 10, read, 9)


def test_memory_does_not_grow_with_the_folder(lens_of: Any) -> None:
    lens = lens_of(SMALL, batch=4)

    def read(number: int) -> Any:
        # memory of Python, which is counted, as images that are read take it
        array = bytearray(
            torch.full((3, 32, 32), number / 100, dtype=torch.float64).numpy().tobytes()
        )
        return torch.frombuffer(array, dtype=torch.float64).reshape(3, 32, 32)

    peaks = []
    for count in (20, 200):
        tracemalloc.start()
        top(lens, ["c3"], count, read, 9)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 200_000  # 180 images more hold 4,400,000 bytes
