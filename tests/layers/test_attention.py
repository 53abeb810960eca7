"""Attention against torch's module and torchvision's, with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_facts import Built
from torchvision.models.swin_transformer import ShiftedWindowAttention as Reference

from archdsl.backends.torch_module.verifying import macs_of
from archdsl.layers.attention import MultiheadAttention, ShiftedWindowAttention
from archdsl.layers.base import LayerError, Shapes
from archdsl.layers.sizes import Formula, substitute

WINDOWS = [
    pytest.param((7, 7), (3, 3), (14, 14), id="swin"),
    pytest.param((7, 7), (0, 0), (14, 14), id="without-shift"),
    pytest.param((7, 7), (3, 3), (7, 7), id="one-window"),
    pytest.param((4, 3), (2, 1), (10, 8), id="padded"),
    pytest.param((4, 3), (2, 0), (8, 9), id="shifted-down-only"),
    pytest.param((4, 3), (2, 1), (4, 9), id="one-row-of-windows"),
    pytest.param((2, 3), (5, 4), (9, 9), id="shift-beyond-the-window"),
]


@pytest.mark.parametrize(("window", "shift", "image"), WINDOWS)
@pytest.mark.parametrize("training", [False, True])
def test_shifted_windows_are_those_of_torchvision(
    window: tuple[int, int], shift: tuple[int, int], image: tuple[int, int], training: bool
) -> None:
    layer = ShiftedWindowAttention(
        window_size=window, shift_size=shift, num_heads=2, attention_dropout=0.2, dropout=0.1
    )
    facts = layer.infer(((*image, 6),))
    ours = Built(facts.torch).own.train(training)
    reference = Reference(6, list(window), list(shift), 2, attention_dropout=0.2, dropout=0.1)
    reference.train(training)
    ours.load_state_dict(reference.state_dict(), strict=True)

    x = torch.randn(3, *image, 6)
    torch.manual_seed(1)
    output = ours(x)
    torch.manual_seed(1)

    assert torch.equal(output, reference(x))
    assert list(ours.state_dict()) == list(reference.state_dict())


@pytest.mark.parametrize(("window", "shift", "image"), WINDOWS)
def test_shifted_windows_count_the_padded_image(
    window: tuple[int, int], shift: tuple[int, int], image: tuple[int, int]
) -> None:
    layer = ShiftedWindowAttention(window_size=window, shift_size=shift, num_heads=2)
    facts = layer.infer(((*image, 6),))
    free = layer.infer(((Formula.named("H"), Formula.named("W"), 6),))
    attention, x = Built(facts.torch), torch.randn(1, *image, 6)

    assert macs_of(lambda: attention(x)) == facts.macs
    assert substitute(free.macs, {"H": image[0], "W": image[1]}) == facts.macs


def test_fresh_position_index_is_that_of_torchvision() -> None:
    layer = ShiftedWindowAttention(window_size=(2, 5), shift_size=0, num_heads=1)
    ours = Built(layer.infer(((4, 5, 3),)).torch).own

    reference = Reference(3, [2, 5], [0, 0], 1)
    assert torch.equal(ours.relative_position_index, reference.relative_position_index)


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param(((6, 8),), id="self"),
        pytest.param(((6, 8), (4, 8)), id="memory"),
        pytest.param(((6, 8), (4, 5)), id="memory-of-other-width"),
        pytest.param(((6, 8), (4, 5), (4, 3)), id="query-key-value"),
    ],
)
@pytest.mark.parametrize("extra", [False, True])
def test_multihead_attention_gives_the_output_of_torch(shapes: Shapes, extra: bool) -> None:
    layer = MultiheadAttention(num_heads=2, add_bias_kv=extra, add_zero_attn=extra)
    facts = layer.infer(shapes)
    ours = Built(facts.torch)
    key, value = shapes[min(1, len(shapes) - 1)], shapes[-1]
    reference = nn.MultiheadAttention(
        8,
        2,
        add_bias_kv=extra,
        add_zero_attn=extra,
        kdim=key[1],
        vdim=value[1],
        batch_first=True,
    )
    ours.own.load_state_dict(reference.state_dict(), strict=True)

    inputs = [torch.randn(2, *shape) for shape in shapes]
    query, *others = inputs
    memory, last = others[0] if others else query, others[-1] if others else query

    torch.testing.assert_close(ours(*inputs), reference(query, memory, last)[0])
    assert macs_of(lambda: ours(*inputs)) == 2 * facts.macs


def test_heads_must_divide_the_features() -> None:
    with pytest.raises(LayerError, match="num_heads = 3 to divide its 8 features"):
        MultiheadAttention(num_heads=3).infer(((6, 8),))
    with pytest.raises(LayerError, match="num_heads = 4 to divide its 6 features"):
        ShiftedWindowAttention(window_size=2, shift_size=0, num_heads=4).infer(((4, 4, 6),))


def test_free_features_must_be_a_multiple_of_the_heads() -> None:
    features = Formula.named("D")
    facts = MultiheadAttention(num_heads=3).infer(((6, features),))

    assert facts.agreements == ((features % 3, 0),)


def test_keys_and_values_must_be_as_many() -> None:
    with pytest.raises(LayerError, match="as many keys as values, and has 4 and 5"):
        MultiheadAttention(num_heads=2).infer(((6, 8), (4, 8), (5, 8)))
