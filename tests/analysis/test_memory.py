"""Bytes of activations by hand, and against a plain simulation of random graphs."""

from __future__ import annotations

from random import Random

import pytest
from building import Builder, H, W
from sketches import convolution, unet

from archdsl.analysis.cost import cost
from archdsl.analysis.memory import MemoryTable, memory
from archdsl.graph import CheckedGraph
from archdsl.layers.activation import ReLU
from archdsl.layers.attention import MultiheadAttention
from archdsl.layers.base import Shape
from archdsl.layers.embedding import Embedding
from archdsl.layers.merge import Add, Concat
from archdsl.layers.reshape import Flatten
from archdsl.layers.sizes import Formula, Size, substitute
from archdsl.layers.tensor import OwnTensor


def table_of(checked: CheckedGraph) -> MemoryTable:
    return memory(checked, cost(checked))


def test_a_chain_holds_two_neighbours() -> None:
    net = Builder()
    net.input("x", 1, 10, 10)
    net.put("wide", convolution(8, 1))
    net.put("narrow", convolution(2, 1))
    net.put("last", convolution(1, 1))

    table = table_of(net.checked())

    assert table.nodes == {"x": 400, "wide": 3_200, "narrow": 800, "last": 400}
    assert table.training == 4_800
    assert (table.peak, table.peak_at) == (4_000, "narrow")
    assert (table.inputs, table.parameters, table.buffers) == (400, 4 * (8 + 16 + 2), 0)


def test_attention_holds_what_it_makes_of_its_input() -> None:
    """Measured with `saved_tensors_hooks`; in torchinfo it is missing (#373, #144, #149)."""
    net = Builder()
    net.input("x", 1000, 100)
    net.put("attention", MultiheadAttention(num_heads=1))

    table = table_of(net.checked())

    # input, queries, keys, values, what they give, output; and the logarithms of 1,000 sums
    assert table.training == table.peak == 4 * (6 * 1000 * 100 + 1000)
    assert table.nodes["attention"] == 4 * 1000 * 100


def test_weights_are_kept_where_some_are_dropped() -> None:
    kept: list[int] = []
    for dropout in (0.0, 0.1):
        net = Builder()
        net.input("x", 50, 8)
        net.put("attention", MultiheadAttention(num_heads=2, dropout=dropout))
        table = table_of(net.checked())
        assert table.peak == 4 * (6 * 50 * 8 + 2 * 50)  # inference drops none
        kept.append(table.training)

    assert kept[1] - kept[0] == 4 * (2 * 50 * 8 + 3 * 2 * 50 * 50)


def test_a_skip_is_held_until_it_is_added() -> None:
    net = Builder()
    net.input("x", 4, 10, 10)
    net.put("a", convolution(4, 1))
    net.put("b", convolution(4, 1))
    net.put("sum", Add(), "b", "x")

    assert table_of(net.checked()).peak == 3 * 1_600


def test_a_view_takes_nothing_and_keeps_what_it_views() -> None:
    net = Builder()
    net.input("x", 4, 10, 10)
    net.put("a", convolution(4, 1))
    net.put("flat", Flatten())
    net.put("b", convolution(1, 1), "a")
    net.put("flat_b", Flatten())
    net.put("both", Concat(), "flat", "flat_b")

    table = table_of(net.checked())

    assert table.nodes["flat"] == table.nodes["flat_b"] == 0
    assert (table.peak, table.peak_at) == (1_600 + 400 + 2_000, "both")


def test_outputs_stay() -> None:
    net = Builder()
    net.input("x", 4, 10, 10)
    net.put("early", convolution(4, 1))
    net.output("early")
    net.put("a", convolution(1, 1))
    net.put("b", convolution(1, 1))
    net.output("late")

    assert table_of(net.checked()).peak == 1_600 + 1_600
    assert table_of(net.checked()).peak_at == "early"


def test_what_only_training_runs_is_kept_by_training_alone() -> None:
    net = Builder()
    net.input("x", 4, 10, 10)
    net.put("aux", convolution(400, 1))
    net.output("aux", training_only=True)
    net.put("head", convolution(1, 1), "x")
    net.output("main")

    table = table_of(net.checked())

    assert table.training == 1_600 + 160_000 + 400
    assert table.peak == 1_600 + 400


def test_indices_take_eight_bytes_and_own_tensors_are_no_activations() -> None:
    net = Builder()
    net.input("tokens", 16, dtype="int")
    words = net.put("words", Embedding(num_embeddings=10, embedding_dim=4))
    net.put("place", OwnTensor(shape=(16, 4)))
    net.put("sum", Add(), words, "place")

    table = table_of(net.checked())

    assert table.nodes == {"tokens": 128, "words": 256, "place": 0, "sum": 256}
    assert table.parameters == 4 * (40 + 64)


def test_bytes_per_number() -> None:
    net = Builder()
    net.input("x", 4, 10, 10)
    net.put("a", convolution(4, 1))
    checked = net.checked()

    table = memory(checked, cost(checked), bytes_per_number=2)

    assert (table.training, table.peak, table.parameters) == (1_600, 1_600, 32)


@pytest.mark.parametrize("seed", range(30))
def test_peak_is_that_of_a_simulation(seed: int) -> None:
    random = Random(seed)
    net = Builder()
    net.input("x", 4, 4, 4)
    for at in range(random.randint(1, 12)):
        before = random.sample(list(net.nodes), k=min(len(net.nodes), random.randint(1, 3)))
        if len(before) == 1:
            net.put(f"n{at}", convolution(random.randint(1, 9), 1), *before)
        else:
            net.put(f"n{at}", Concat(), *before)
    for name in net.nodes:
        if not any(name in node.inputs for node in net.nodes.values()):
            net.output(name, name)

    assert table_of(net.checked()).peak == simulated_peak(net.checked())


def simulated_peak(checked: CheckedGraph) -> int:
    """Look, before each node, which tensors anything from there on still needs."""
    order = list(checked.nodes)
    most = 0
    for at in range(len(order)):
        later = {read for name in order[at:] for read in checked.nodes[name].inputs}
        later |= {output.node for output in checked.outputs}
        held = {name for name in order[:at] if name in later} | {order[at]}
        numbers = sum(
            checked.nodes[name].shape[0] * checked.nodes[name].shape[1] ** 2 for name in held
        )
        most = max(most, 4 * numbers)
    return most


def test_free_sizes_give_formulas_with_the_right_values() -> None:
    free = table_of(unet(H, W))

    for height, width in ((32, 32), (64, 160), (256, 256)):
        fixed = table_of(unet(height, width))
        values = {"H": height, "W": width}
        assert free.training.evaluate(values) == fixed.training
        assert free.peak is not None
        assert free.peak.evaluate(values) == fixed.peak


def chain(height: Size, shapes: list[Shape], pairs: list[tuple[Size, Size]]) -> CheckedGraph:
    net = Builder()
    net.input("x", 1, height)
    values = {"H": height}
    for shape in shapes:
        output = tuple(substitute(size, values) for size in shape)
        net.put(f"n{len(net.nodes)}", ReLU(), output=output)
    if isinstance(height, Formula):
        net.put("last", ReLU(), agreements=tuple(pairs))
    else:
        net.put("last", ReLU())
    return net.checked()


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([], id="all"),
        pytest.param([(H % 2, 0)], id="even"),
        pytest.param([(H % 3, 2)], id="one remainder"),
        pytest.param([(H % 4 // 2, 1)], id="several remainders"),
        pytest.param([(H, 7)], id="one"),
        pytest.param([(H // 3, 2)], id="several"),
    ],
)
def test_a_peak_that_is_given_holds_at_all_sizes_that_agree(pairs: list[tuple[Size, Size]]) -> None:
    random, given = Random(5), 0
    for _ in range(40):
        sizes = [H, H // 2 + 1, 2 * (H // 2) + 1, H + 2, 2 * ((H + 1) // 2), 9]
        shapes = [(random.randint(1, 4), random.choice(sizes)) for _ in range(4)]
        peak = table_of(chain(H, shapes, pairs)).peak
        if peak is None:
            continue
        given += 1
        for height in range(1, 40):
            if all(substitute(left, {"H": height}) == right for left, right in pairs):
                expected = table_of(chain(height, shapes, [])).peak
                assert substitute(peak, {"H": height}) == expected, (shapes, height)
    assert given > 10


def test_a_peak_that_depends_on_which_size_is_the_larger_is_not_given() -> None:
    net = Builder()
    net.input("tall", 1, H, 1)
    net.input("wide", 1, 1, W)
    net.put("a", convolution(100, 1), "tall")
    net.output("a")
    net.put("b", convolution(1, 1), "a")
    net.output("b")
    net.put("c", convolution(100, 1), "wide")
    net.put("d", convolution(1, 1), "c")
    net.put("e", convolution(1, 1), "d")
    net.output("e")
    checked = net.checked()

    table = table_of(checked)

    assert table.peak is not None  # everything about `tall` is held to the end

    net = Builder()
    net.input("tall", 1, H, 1)
    net.input("wide", 1, 1, W)
    net.put("a", convolution(100, 1), "tall")
    net.put("b", convolution(1, 1), "a")
    net.output("b")
    net.put("c", convolution(100, 1), "wide")
    net.put("d", convolution(1, 1), "c")
    net.output("d")

    table = table_of(net.checked())

    assert table.peak is None
    assert table.unknown == "which tensors take the most together depends on the free sizes"


@pytest.mark.parametrize(("value", "each"), [(2.5, 4), (2, 8), (True, 1)])
def test_a_buffer_takes_what_its_kind_of_numbers_does(value: object, each: int) -> None:
    net = Builder()
    net.input("x", 3, 5)
    net.put("held", OwnTensor(shape=(3, 5), value=value, learnable=False))
    net.put("sum", Add(), "x", "held")

    table = table_of(net.checked())
    assert table.buffers == 15 * each
    assert table.nodes["held"] == 0
    assert table.nodes["sum"] == 15 * 4


def test_no_peak_where_shapes_never_agree() -> None:
    net = Builder()
    net.input("x", 1, H)
    net.put("both", Concat(), "x", "x", agreements=((H, 2 * (H // 2)), (H, 2 * (H // 2) + 1)))

    table = table_of(net.checked())

    assert table.peak is None
    assert table.unknown == "no sizes make all shapes agree"
