"""Layers of a user's own: what is registered, and what a faulty one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import archdsl
from archdsl import own_layers
from archdsl.layers.base import Facts, Shapes, TorchFunction, single


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave no layer of a test registered."""
    before = dict(own_layers._registered)
    yield
    own_layers._registered.clear()
    own_layers._registered.update(before)


def spec(folder: Path, stage: str) -> str:
    path = folder / "net.arch"
    path.write_text(f"network net {{\n  input x: [8]\n  {stage}\n}}\n")
    return str(path)


def test_a_registered_layer_is_part_of_the_language(tmp_path: Path) -> None:
    @archdsl.layer
    class Twice(archdsl.Layer):
        """Its input, twice."""

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(single(inputs), TorchFunction("{0} + {0}"))

    assert archdsl.load(spec(tmp_path, "Twice")).checked.nodes["0"].layer == Twice()


def test_a_layer_is_unknown_before_it_is_registered(tmp_path: Path) -> None:
    with pytest.raises(archdsl.ArchError, match="no layer or block called `Twice`"):
        archdsl.load(spec(tmp_path, "Twice"))


def test_what_goes_wrong_in_a_layer_is_shown_where_it_is_used(tmp_path: Path) -> None:
    @archdsl.layer
    class Faulty(archdsl.Layer):
        """Divides by zero."""

        def infer(self, inputs: Shapes) -> Facts:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(archdsl.ArchError) as caught:
        archdsl.load(spec(tmp_path, "Faulty"))

    assert "`Faulty` fails with ZeroDivisionError: division by zero" in str(caught.value)
    assert "net.arch:3:3" in str(caught.value)
    assert "not in the spec" in str(caught.value)


@pytest.mark.parametrize("count", [float("nan"), 1.5, "many", None])
def test_a_layer_that_counts_what_is_no_integer(tmp_path: Path, count: object) -> None:
    """It would come out as JSON that nobody can read."""

    @archdsl.layer
    class Vague(archdsl.Layer):
        """Its input."""

        def infer(self, inputs: Shapes) -> Facts:
            return Facts(single(inputs), TorchFunction("{0}"), other={"vague": count})  # type: ignore[dict-item]

    with pytest.raises(archdsl.ArchError, match="and a count is an integer"):
        archdsl.load(spec(tmp_path, "Vague"))


def test_names_of_the_package_and_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="Conv2d"):
        archdsl.layer(type("Conv2d", (archdsl.Layer,), {"infer": None}))
    with pytest.raises(TypeError):
        archdsl.layer(int)  # type: ignore[type-var]
