"""Names of other frameworks lead to what there is."""

from __future__ import annotations

import re

import pytest
from shown import Wrong

from archdsl.elaborate.elsewhere import NO_LAYERS
from archdsl.layers.registry import Registry

LAYERS = Registry()
WORDS = ("concat", "add", "mul")
NAMES = sorted(
    {name for kind in (*LAYERS.values(), *map(LAYERS.word, WORDS)) for name, _ in kind.elsewhere}
)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_names_is_there_and_the_name_is_not(name: str) -> None:
    written = LAYERS.elsewhere(name)
    named = re.findall(r"\b[A-Z]\w+", written)

    assert written
    assert all(each in LAYERS for each in named)
    assert name not in {each.lower() for each in LAYERS}
    assert LAYERS.elsewhere(name.upper()) == written


@pytest.mark.parametrize("name", NO_LAYERS)
def test_what_is_no_layer_here_is_named_by_the_error(name: str, wrong: Wrong) -> None:
    (error,) = wrong(f"network N {{ input x: [3, 8, 8]\n{name.title()} }}")

    assert error.hint == NO_LAYERS[name]
    assert name not in {each.lower() for each in LAYERS}


def test_a_name_of_nobody() -> None:
    assert LAYERS.elsewhere("Florp") == ""
