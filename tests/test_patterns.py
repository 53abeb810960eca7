"""Names by pattern: what a pattern means, and which names a rename gives."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import archdsl
from archdsl.diagnostics import ArchError
from archdsl.patterns import (
    _signs,
    matches,
    matching,
    rename_of,
    renamed,
    renamed_one,
    written_rename,
)

some = settings(derandomize=True, deadline=None, database=None, max_examples=300)
names = st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=4).map(".".join)
patterns = st.text("ab.*?", min_size=1, max_size=7)


@some
@given(names, patterns)
def test_a_pattern_means_what_it_means_to_a_shell_and_what_is_below(
    name: str, pattern: str
) -> None:
    expected = fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.?*")

    assert matches(name, [pattern]) == expected


@pytest.mark.parametrize(
    ("name", "pattern", "means"),
    [
        ("a[0].w", "a[0]", True),
        ("a0.w", "a[0]", False),
        ("line\nbreak.w", "line*", True),
        ("fc2.weight", "fc", False),
        ("fc.weight", "fc", True),
        ("fc.weight", "", False),
        ("a" * 5_000, "*a" * 30 + "b", False),  # and it takes no time to find out
    ],
)
def test_names_with_anything_in_them(name: str, pattern: str, means: bool) -> None:
    assert matches(name, [pattern]) == means


@some
@given(names, patterns)
def test_a_pattern_renamed_to_itself_changes_nothing(name: str, pattern: str) -> None:
    assert renamed_one(name, pattern, pattern) == (name if matches(name, [pattern]) else None)


@some
@given(names, names)
def test_a_prefix_goes_and_comes_back(name: str, prefix: str) -> None:
    longer = renamed_one(name, "*", f"{prefix}.*")

    assert longer == f"{prefix}.{name}"
    assert renamed_one(longer, f"{prefix}.*", "*") == name


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("module.fc.weight", "module.*", "*", "fc.weight"),
        ("fc.weight", "module.*", "*", None),
        ("head.fc.weight", "head", "classifier", "classifier.fc.weight"),
        ("head.fc.weight", "head.*", "*", "fc.weight"),
        ("a.0.bn.weight", "a.*.bn", "a.*.norm", "a.0.norm.weight"),
        ("a.0.bn.bn.weight", "a.*.bn.*", "a.*.norm.*", "a.0.norm.bn.weight"),
        ("layer1.0.w", "layer?.*", "stage?.block*", "stage1.block0.w"),
        ("x.gamma", "*.gamma", "*.weight", "x.weight"),
        ("a.b.c", "*", "x.*", "x.a.b.c"),
        ("a[0].w", "a[0]", "b", "b.w"),
    ],
)
def test_what_a_rename_gives(name: str, old: str, new: str, expected: str | None) -> None:
    assert renamed_one(name, old, new) == expected


def test_renames_are_done_one_after_the_other() -> None:
    given = ["module.a.w", "module.b.w"]

    assert renamed(given, {"module.*": "*", "a": "c"}) == {
        "module.a.w": "c.w",
        "module.b.w": "b.w",
    }
    assert renamed(given, {}) == {name: name for name in given}
    assert renamed(["a", "b"], {"a": "c", "b": "a", "c": "b"}) == {"a": "b", "b": "a"}


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("module.*=*", "module.*", "*"),
        (r"a\=b.*=c.*", "a=b.*", "c.*"),
        (r"a=b\=c", "a", "b=c"),
        (r"\==\=", "=", "="),
        (r"a\\=b", r"a\\", "b"),  # a backslash that stands for itself, then the sign between
        (r"a\*=b", r"a\*", "b"),
    ],
)
def test_where_a_rename_is_split(text: str, old: str, new: str) -> None:
    assert rename_of(text) == (old, new)
    assert written_rename(old, new) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=b=c", r"has several `=`: one that belongs to a name is written `\=`"),
        ("a==b", "has several `=`"),
        ("a", "is not OLD=NEW"),
        (r"a\=b", "is not OLD=NEW"),
        ("=a", "is not OLD=NEW"),
        ("a=", "is not OLD=NEW"),
        ("=", "is not OLD=NEW"),
        ("", "is not OLD=NEW"),
    ],
)
def test_what_is_no_rename(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        rename_of(text)


ODD = st.text("ab.=\\*?", min_size=1, max_size=6)


@given(ODD, ODD, ODD)
def test_a_rename_is_written_as_it_is_read(name: str, old: str, new: str) -> None:
    """Whatever the names are, what is written means the same."""
    read = rename_of(written_rename(old, new))

    if all(_signs(new).count(sign) <= _signs(old).count(sign) for sign in "*?"):
        assert renamed_one(name, *read) == renamed_one(name, old, new)


@pytest.mark.parametrize(
    ("renames", "said"),
    [
        ({"modul.*": "*"}, "no stored weight is called `modul.*`"),
        ({"a": "b"}, "`a.w` and `b.w` would both be called `b.w`"),
        ({"*": "x"}, "`a.w` and `b.w` would both be called `x`"),
        ({"a.*": "*.*"}, "the new name has more `*` or `?` than the old one"),
        ({"a.*": "?"}, "the new name has more `*` or `?` than the old one"),
        ({"a.w": ""}, "nothing is left of `a.w`"),
    ],
)
def test_what_can_not_be_done(renames: dict[str, str], said: str) -> None:
    with pytest.raises(ArchError) as caught:
        renamed(["a.w", "b.w"], renames)

    assert said in str(caught.value)


def test_all_patterns_must_mean_something() -> None:
    assert matching(["a.w", "b.w"], ["a", "*.w"]) == {"a.w", "b.w"}
    with pytest.raises(ArchError, match="no parameter and no buffer is called `c`"):
        matching(["a.w", "b.w"], ["a", "c"])


def test_a_string_alone_is_one_pattern() -> None:
    network = archdsl.load("lenet5")

    assert matching(["fc.weight", "conv.weight"], "fc") == {"fc.weight"}
    assert network.count(freeze="C*").report == network.count(freeze=["C*"]).report


@pytest.mark.parametrize("wrong", [[3], [None], [b"fc"], ["fc", 3]])
def test_what_is_no_string_is_no_pattern(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a pattern is a string"):
        matching(["fc.weight"], wrong)


@pytest.mark.parametrize("wrong", [None, 3, b"fc", ["fc", 3], [["fc"]], [None]])
def test_what_is_no_pattern(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a pattern is a string"):
        matching(["fc"], wrong)


@pytest.mark.parametrize(
    "wrong", [{"a": 3}, {3: "a"}, {3: None}, [("a", "b")], "a=b", {"a": "b", "c": None}, 3]
)
def test_what_are_no_renames(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"`rename` is {'module.\*': '\*'} or the like, and not"):
        renamed(["a"], wrong)
