"""What comes into a module is called as the spec calls it, in the spec's order."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from compiled import load, parameters, verified

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("read", [*itertools.permutations(["low", "mid", "high"])])
def test_inputs_of_a_block_keep_their_names_and_order(
    read: tuple[str, ...], tmp_path: Path
) -> None:
    first, second, third = read
    spec = f"""
    block Fuse {{
      input low
      input mid
      input high
      from {first} -> conv: Conv2d(4, 1)
      add {{ branch {{}} branch {{ from {second} -> Conv2d(4, 1) -> ReLU }} }}
      add {{ branch {{ from {third} }} branch {{}} }}
    }}
    network net {{
      input image: [4, 5, 5]
      a: Conv2d(4, 1)
      b: Conv2d(4, 1)
      from a, b, image -> Fuse
      c: in
      from image, c, a -> Fuse
    }}"""

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    assert text.count("class Fuse") == 1
    assert parameters(text, "Fuse", "forward") == ["low", "mid", "high"]


def test_an_only_input_keeps_its_name_and_value(tmp_path: Path) -> None:
    spec = """
    block Head { input features; conv: Conv2d(3, 1); ReLU; add { branch {} branch { Scale(2) } } }
    network net { input image: [3, 5, 5]; Head }"""

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    assert parameters(text, "Head", "forward") == ["features"]
    assert "features = " not in text


def test_a_list_of_inputs_is_numbered(tmp_path: Path) -> None:
    spec = """
    block Sum {
      input first
      input maps[]
      from maps[1] -> conv: Conv2d(3, 1)
      add { branch {} branch { from first } branch { from maps[0] } }
    }
    network net {
      input image: [3, 5, 5]
      a: Conv2d(3, 1)
      b: Conv2d(3, 1)
      from b, a, image -> Sum
    }"""

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    assert parameters(text, "Sum", "forward") == ["first", "maps_0", "maps_1"]


def test_a_tensor_that_comes_in_twice_is_taken_once(tmp_path: Path) -> None:
    spec = """
    block Sum { input one; input two; input three
      from three -> conv: Conv2d(3, 1)
      add { branch {} branch { from one } branch { from two } }
    }
    network net { input image: [3, 5, 5]; a: Conv2d(3, 1); from image, a, image -> Sum }"""

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    assert parameters(text, "Sum", "forward") == ["one", "two"]


NAMES = {
    "Image": "Image",
    "imageA": "imageA",
    "image_a": "image_a",
    "_": "_",
    "class": "class_",
    "lambda": "lambda_",
    "self": "self_",
    "torch": "torch_",
    "nn": "nn_",
    "F": "F_",
    "math": "math_",
    "i": "i_",
    "list": "list_",
    "__secret": "x__secret",
    "NetOutputs": "NetOutputs2",
    "a_name_that_is_longer_than_the_forty_letters_of_others": (
        "a_name_that_is_longer_than_the_forty_letters_of_others"
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_python_or_torch_keeps_get_one_close_to_it(name: str, tmp_path: Path) -> None:
    spec = f"""
    block Pick {{
      input other
      input {name}
      from {name} -> conv: Conv2d(3, 1)
      add {{ branch {{}} branch {{ from other }} }}
    }}
    network net {{
      input {name}: [3, 5, 5]
      input torch_: [3, 5, 5]
      from torch_, {name} -> Pick
      output y
      output z {{ ReLU }}
    }}"""

    text, found = verified(load(tmp_path, spec))

    assert found.agrees
    (first, second) = parameters(text, "Net", "forward")
    assert first == NAMES[name]
    assert second == ("torch_2" if name == "torch" else "torch_")
    assert parameters(text, "Pick", "forward") == ["other", NAMES[name]]
