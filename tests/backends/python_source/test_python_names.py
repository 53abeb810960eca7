"""Names and literals by themselves: whatever a spec says, Python reads it as it was meant."""

from __future__ import annotations

import ast
import keyword

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archdsl.backends.python_source.names import (
    IDENTIFIER,
    LONGEST_NAME,
    argument,
    attribute,
    camel_case,
    class_name,
    countable,
    is_number,
    literal,
    numbered,
    positional,
    prose,
    quoted,
    snake_case,
    unique,
    variable,
)

# Where one way of writing a character ends and the next begins
BORDERS = "".join(map(chr, (0, 0x1F, 0x20, 0x7E, 0x7F, 0xFF, 0x100, 0xFFFF, 0x10000, 0x10FFFF)))
TEXTS = st.text(st.characters() | st.sampled_from(BORDERS + "\"'\\\n\r{}"), max_size=12)


@settings(deadline=None, derandomize=True)
@given(TEXTS)
@example(BORDERS)
@example("\ud800\udfff")
@example("'\"")
def test_strings_are_read_back(text: str) -> None:
    written = quoted(text)

    assert ast.literal_eval(written) == text
    assert written.isascii()
    assert written.isprintable()
    assert written[0] == ('"' if '"' not in text or "'" in text else "'")


@settings(deadline=None, derandomize=True)
@given(TEXTS)
@example(BORDERS)
def test_prose_ends_no_docstring(text: str) -> None:
    written = prose(text)

    assert written.isascii()
    assert written.isprintable()
    assert ast.literal_eval(f'"""{written}"""') == " ".join(text.replace('"', "'").split())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, derandomize=True)
@given(VALUES)
def test_values_are_read_back(value: object) -> None:
    read = eval(literal(value), {"inf": float("inf")})

    assert read == value
    assert repr(read) == repr(value)  # also whether it is a bool, a list, a negative zero


@settings(deadline=None, derandomize=True)
@given(
    TEXTS | st.sampled_from([*keyword.kwlist, "list", "self", "torch", "a" * 60, "7", "_7", "_"])
)
def test_names_are_names(text: str) -> None:
    name, of_class = variable(text), class_name(text)

    for one in (name, of_class):
        assert not one or (IDENTIFIER.match(one) and not keyword.iskeyword(one))
        assert len(one) <= LONGEST_NAME + len("Block_")
    assert of_class
    if IDENTIFIER.match(text):
        assert not keyword.iskeyword(argument(text))
        assert not argument(text).startswith("__")


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("conv12", ("conv", 12)),
        ("conv0", ("conv", 0)),
        ("conv01", ("conv0", 1)),
        ("conv00", ("conv0", 0)),
        ("7", ("", 7)),
        ("conv", ("conv", -1)),
        ("c-1", ("c-1", -1)),
        ("é1", ("é1", -1)),
    ],
)
def test_numbers_at_the_end_of_labels(label: str, parts: tuple[str, int]) -> None:
    assert numbered(label) == parts


def test_lists_are_told_by_their_labels() -> None:
    assert is_number("10")
    assert not is_number("x1")
    assert not is_number("²")
    assert positional(["0", "1", "2"])
    assert not positional(["1", "2"])
    assert not positional(["0", "01"])


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("conv", "self.conv"),
        ("0", 'getattr(self, "0")'),
        ("class", 'getattr(self, "class")'),
        ("__x", 'getattr(self, "__x")'),
        ("a-b", 'getattr(self, "a-b")'),
        ("é", 'self.get_submodule("\\xe9")'),
        ("é-1", 'getattr(self, "\\xe9-1")'),
    ],
)
def test_attributes_of_any_name(label: str, written: str) -> None:
    assert attribute("self", label) == written


def test_the_case_of_names() -> None:
    assert [snake_case(name) for name in ("AuxLogits", "ReLU", "conv2D", "x2Conv")] == [
        "aux_logits",
        "relu",
        "conv2d",
        "x2_conv",
    ]
    assert camel_case("inception_v3") == "InceptionV3"
    assert camel_case("a-b.cD") == "ABCD"


def test_names_that_are_taken_get_numbers() -> None:
    assert unique("x", {"y"}) == "x"
    assert unique("x", {"x", "x2"}) == "x3"
    assert unique("conv3", {"conv3"}) == "conv3_2"
    assert countable("conv") == "conv"
