"""What a layer is as a Python value: made of checked arguments, and then unchanging."""

from __future__ import annotations

import copy
import pickle
from typing import ClassVar

import pytest

from archdsl.layers.base import ArgumentErrors, Facts, Layer, Shapes, TorchFunction
from archdsl.layers.convolution import Conv2d


class Plain(Layer):
    """A user's own layer, with mere types."""

    word_of_class: ClassVar[str] = "no argument"

    width: int
    scale: float = 1.0
    name: str = "plain"
    fast: bool = False

    def infer(self, inputs: Shapes) -> Facts:
        return Facts(output=(self.width,), torch=TorchFunction("{0}"))


def test_arguments_are_the_annotations_in_order() -> None:
    assert list(Plain.model_fields) == ["width", "scale", "name", "fast"]
    assert [name for name, one in Plain.model_fields.items() if one.is_required()] == ["width"]


def test_equal_arguments_make_equal_layers() -> None:
    one, two = Plain(width=3), Plain(width=3, scale=1.0)

    assert one == two
    assert hash(one) == hash(two)
    assert one != Plain(width=4)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


def test_a_layer_never_changes() -> None:
    layer = Plain(width=3)

    with pytest.raises(AttributeError, match="never changes"):
        layer.width = 4
    assert layer.model_copy({"width": 4}) == Plain(width=4)
    assert layer.width == 3


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("width", 3.0, "must be an integer"),
        ("width", True, "must be an integer"),
        ("scale", "3", "must be a number"),
        ("name", 3, "must be a string"),
        ("fast", 1, "must be true or false"),
    ],
)
def test_plain_types_are_checked(name: str, value: object, reason: str) -> None:
    with pytest.raises(ArgumentErrors) as caught:
        Plain(**{"width": 3, name: value})  # type: ignore[arg-type]

    assert caught.value.reasons == {name: reason}


def test_every_wrong_argument_is_named() -> None:
    with pytest.raises(ArgumentErrors) as caught:
        Conv2d(out_channels=0, kernel_size=(3, 3, 3), bias=1)

    assert list(caught.value.reasons) == ["out_channels", "kernel_size", "bias"]


def test_arguments_must_be_known_and_given() -> None:
    with pytest.raises(TypeError, match="needs `width`"):
        Plain()
    with pytest.raises(TypeError, match="has no argument 'heigth'"):
        Plain(width=3, heigth=3)
