"""Names of other frameworks lead to what there is."""

from __future__ import annotations

import re

import pytest

from archdsl.layers.elsewhere import ELSEWHERE, elsewhere
from archdsl.layers.registry import Registry


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_it_names_is_there_and_the_name_is_not(name: str) -> None:
    layers = Registry()
    named = re.findall(r"\b[A-Z]\w+(?=[`(,])", ELSEWHERE[name])

    assert all(each in layers for each in named)
    assert name not in {each.lower() for each in layers}
    assert elsewhere(name.upper()) == ELSEWHERE[name]


def test_a_name_of_nobody() -> None:
    assert elsewhere("Florp") == ""
