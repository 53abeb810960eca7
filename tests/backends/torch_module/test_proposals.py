"""What is proposed where weights don't fit: it was tried, does what it says, and is short."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import archdsl

pytest.importorskip("torch")

from archdsl.backends.torch_module.proposals import (
    MOST_PATTERNS,
    Shapes,
    fewest_patterns,
    fitting_renames,
)
from archdsl.patterns import matches, renamed

some = settings(derandomize=True, deadline=None, database=None, max_examples=100)
part = st.sampled_from(["a", "b", "conv", "bn", "0", "1"])
leaf = st.sampled_from(["weight", "bias", "running_mean"])
trees = st.sets(
    st.tuples(st.lists(part, min_size=1, max_size=3), leaf).map(lambda t: ".".join([*t[0], t[1]])),
    min_size=2,
    max_size=8,
)


@cache
def state(network: str) -> Shapes:
    module = archdsl.load(network).compile(device="meta")
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@some
@given(trees, st.data())
def test_patterns_mean_exactly_what_differs(names: set[str], data: st.DataObject) -> None:
    meant = data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1))
    others = names - meant
    found = fewest_patterns(meant, others)

    if not found:  # as many as no one would type
        assert len(meant) > MOST_PATTERNS
        return
    assert {name for name in names if matches(name, found)} == meant
    scopes = {".".join(name.split(".")[:depth]) for name in meant for depth in range(1, 6)}
    for fewer in range(1, len(found)):
        for chosen in combinations(sorted(scopes), fewer):
            assert {name for name in names if matches(name, chosen)} != meant


@pytest.mark.parametrize(
    ("network", "meant", "expected"),
    [
        ("inception_v3", ["fc.*", "AuxLogits.fc.*"], ["fc.*", "AuxLogits.fc.*"]),
        ("resnet18", ["*.num_batches_tracked"], ["*.num_batches_tracked"]),
        ("resnet18", ["fc.bias"], ["fc.bias"]),
        ("resnet18", ["layer4.1", "layer4.0"], ["layer4.*"]),
        ("resnet18", ["fc", "*.running_mean"], ["*.running_mean", "fc.*"]),
        ("resnet18", ["layer1.*.weight"], ["layer1.*.weight"]),
    ],
)
def test_patterns_of_published_networks(
    network: str, meant: list[str], expected: list[str]
) -> None:
    names = list(state(network))
    wrong = [name for name in names if matches(name, meant)]
    found = fewest_patterns(wrong, set(names) - set(wrong))

    assert sorted(found) == sorted(expected)


def test_too_many_patterns_are_none() -> None:
    names = [f"a{n}.weight" for n in range(40)]
    assert fewest_patterns(names[::2], names[1::2]) == []
    assert len(fewest_patterns(names[:MOST_PATTERNS], names[MOST_PATTERNS:])) == MOST_PATTERNS


def test_a_sign_in_a_name_is_written_so_that_it_means_that_name_alone() -> None:
    assert fewest_patterns(["a*.w"], ["ab.w"]) == [r"a\*.w"]
    assert fewest_patterns(["a*.w"], ["b.w"]) == [r"a\*.w"]


def prefixed(shapes: Shapes, prefix: str) -> Shapes:
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


@pytest.mark.parametrize("network", ["resnet18", "inception_v3", "vit_b_16"])
@pytest.mark.parametrize(
    "prefix", ["module", "model", "_orig_mod", "state_dict", "backbone", "module.model.net"]
)
def test_a_prefix_is_taken_away_or_put_before(network: str, prefix: str) -> None:
    own = state(network)
    stored = prefixed(own, f"{prefix}.")

    assert fitting_renames(own, stored) == {f"{prefix}.*": "*"}
    assert fitting_renames(stored, own) == {"*": f"{prefix}.*"}
    assert fitting_renames(own, own) == {}


@pytest.mark.parametrize(("word", "into"), [("layer", "stage"), ("layer", "blocks.layer_")])
def test_one_rename_for_names_that_begin_alike(word: str, into: str) -> None:
    """More of them than renames are proposed, so that one for each would leave weights out."""
    own = state("resnet18")
    stored = {name.replace(word, into): shape for name, shape in own.items()}

    found = fitting_renames(own, stored)

    assert set(renamed(list(stored), found).values()) == set(own)
    assert len(found) == 1


def test_one_rename_for_many_places() -> None:
    own = state("resnet18")

    def changed(old: str, new: str) -> Shapes:
        return {name.replace(old, new): shape for name, shape in own.items()}

    assert fitting_renames(own, changed("fc.", "head.")) == {"head.*": "fc.*"}
    assert fitting_renames(own, changed("downsample", "shortcut")) == {
        "*.shortcut.*": "*.downsample.*"
    }
    assert fitting_renames(own, changed(".running_mean", ".mean")) == {"*.mean": "*.running_mean"}
    compiled = {name.replace(".", "._orig_mod.", 1): shape for name, shape in own.items()}
    assert fitting_renames(own, compiled) == {"*._orig_mod.*": "*.*"}


def test_a_second_rename_where_one_does_not_do() -> None:
    own = state("resnet18")
    stored = {f"module.{name.replace('fc.', 'head.')}": own[name] for name in own}

    assert fitting_renames(own, stored) == {"module.*": "*", "head.*": "fc.*"}


def test_weights_of_another_network_are_not_renamed() -> None:
    assert fitting_renames(state("resnet18"), state("lenet5")) == {}
    assert fitting_renames(state("inception_v3"), state("resnet18")) == {}
    assert fitting_renames({}, state("lenet5")) == {}


@some
@given(trees, st.lists(part, min_size=1, max_size=3), st.lists(part, max_size=2), st.data())
def test_a_rename_that_was_done_is_found_undone(
    names: set[str], old: list[str], new: list[str], data: st.DataObject
) -> None:
    """Whatever is found makes at least as many names fit as what had been done."""
    shapes = {name: (data.draw(st.integers(1, 3)),) for name in sorted(names)}
    own = prefixed(shapes, "".join(f"{one}." for one in new))
    stored = prefixed(shapes, "".join(f"{one}." for one in old))
    assume(not set(own) & set(stored))
    renames = fitting_renames(own, stored)
    now = renamed(list(stored), renames)
    after = {now[name]: shape for name, shape in stored.items()}

    assert 2 * sum(after.get(name) == shape for name, shape in own.items()) >= len(own)
