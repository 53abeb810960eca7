"""Every layer, as its examples use it: the text is clean, and torch does what was worked out."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from building import LAYERS, Builder
from compiled import load, require_success, verified
from torch import nn

from archdsl.backends.python_source import python_source
from archdsl.backends.python_source.makers import takes_size_first
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Example, Layer, TorchModule, construct
from archdsl.layers.sizes import Formula

EXAMPLES = [
    pytest.param(LAYERS[name], example, id=f"{name}-{number}")
    for name in LAYERS
    for number, example in enumerate(LAYERS[name].examples)
]


def network(kind: type[Layer], example: Example) -> CheckedGraph:
    """Return a network of one layer, as an example uses it."""
    builder = Builder("one")
    names = [builder.input(f"x{i}", *shape) for i, shape in enumerate(example.inputs)]
    builder.put("layer", construct(kind, example.arguments), *names)
    return builder.checked()


def is_known(example: Example) -> bool:
    return not any(isinstance(size, Formula) for shape in example.inputs for size in shape)


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_it_agrees_with_torch(kind: type[Layer], example: Example) -> None:
    if not is_known(example):
        pytest.skip("has free sizes")
    if sum(size for shape in example.inputs for size in shape if isinstance(size, int)) > 2_000:
        pytest.skip("is large")

    _, found = verified(network(kind, example))

    assert not found.disagreeing
    assert not found.differing
    assert found.parameters.agrees, found.parameters


@pytest.mark.parametrize(("kind", "example"), EXAMPLES)
def test_what_comes_in_is_told_from_arguments_of_the_layer(
    kind: type[Layer], example: Example
) -> None:
    layer = construct(kind, example.arguments)
    made = layer.infer(example.inputs).torch
    if not (isinstance(made, TorchModule) and made.positional and made.target.startswith("nn.")):
        return

    first = next(iter(inspect.signature(getattr(nn, kind.__name__)).parameters))

    assert takes_size_first(layer, made) == (first not in kind.model_fields)


def test_numbers_are_called_as_their_layers_call_them(tmp_path: Path) -> None:
    text = """network net { input image: [8, 32, 32]; a: P(2, 3, 4); b: P(4, 1, 2) }
    block P(a, b, c) {
      AdaptiveAvgPool2d(a if a > 3 else 3) -> GroupNorm(c if c > 1 else 1) -> Conv2d(16, 1)
      PixelShuffle(c // 2 if c > 4 else 2) -> LocalResponseNorm(b if b > 2 else 2)
      ZeroPadShortcut(8)
    }"""
    source = python_source(load(tmp_path, text))

    for call in (
        "nn.AdaptiveAvgPool2d(output_size)",
        "nn.GroupNorm(num_groups, 8)",
        "nn.PixelShuffle(upscale_factor)",
        "nn.LocalResponseNorm(size)",
        "ZeroPadShortcut(channels, 8)",
    ):
        assert call in source


def test_the_text_is_clean(tmp_path: Path) -> None:
    for number, parameters in enumerate(EXAMPLES):
        kind, example = parameters.values
        if is_known(example):
            (tmp_path / f"layer_{number}.py").write_text(python_source(network(kind, example)))
    require_success("ruff", "check", "--isolated", "--no-cache", str(tmp_path))
    require_success(
        "ruff", "format", "--isolated", "--no-cache", "--check", "--diff", str(tmp_path)
    )


@pytest.mark.slow
def test_the_types_are_right(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    folder.mkdir()
    for number, parameters in enumerate(EXAMPLES):
        kind, example = parameters.values
        if is_known(example):
            (folder / f"layer_{number}.py").write_text(python_source(network(kind, example)))
    untyped = "--disable-error-code=import-untyped"  # torchvision has no types
    cache = f"--cache-dir={tmp_path / 'cache'}"
    require_success("mypy", "--strict", untyped, "--config-file=", cache, str(folder))
