"""The part of an image that is shown holds every pixel that an activation depends on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")

from archdsl.backends.python_source import generate  # noqa: E402
from archdsl.backends.seeing.nodes import Sights  # noqa: E402
from archdsl.backends.torch_module import torch_module  # noqa: E402
from archdsl.backends.torch_module.stepping import Steps, out_of_place  # noqa: E402
from archdsl.pipeline import Spec  # noqa: E402

UNET = Path(__file__).with_name("unet.arch")
NETWORKS = (
    "inception_v3", "googlenet", "resnet50", "densenet121", "mobilenet_v2", "deeplabv3_resnet50",
    str(UNET),
)  # fmt: skip


def pixels_outside(spec: str, count: int, seed: int) -> list[str]:
    """Return nodes of which a pixel with a gradient lies outside the part that is shown."""
    checked = Spec(spec).graph()
    source = generate(checked)
    torch.manual_seed(seed)
    module = torch_module(checked, source).eval().requires_grad_(False)
    out_of_place(module)
    sights = Sights(checked)
    steps = Steps(module, checked, source.moved)
    drawn = random.Random(seed)
    able = [name for name in checked.nodes if sights.has_places(name) and name != sights.image]
    names = drawn.sample(able, min(count, len(able)))
    (shape,) = checked.inputs.values()
    image = torch.randn(1, *map(int, map(str, shape)))
    outside = []
    for name in names:
        given = image.clone().requires_grad_()
        maps = steps.run({sights.image: given}, [name])[name]
        row, column = (drawn.randrange(size) for size in maps.shape[2:])
        # by random factors, so that channels don't cancel each other out
        total = (maps[0, :, row, column] * torch.randn(maps.shape[1])).sum()
        (slope,) = torch.autograd.grad(total, given)
        seen = slope[0].abs().sum(0) > 0
        box = sights.box(name, row, column)
        seen[box.top : box.bottom, box.left : box.right] = False
        if seen.any():
            outside.append(f"{name} at {row}, {column}: {box}")
    return outside


@pytest.mark.slow
@pytest.mark.parametrize("spec", NETWORKS, ids=lambda name: Path(name).stem)
def test_no_pixel_with_a_gradient_lies_outside(spec: str) -> None:
    seed = random.randrange(10**6)  # another sample in each run
    assert pixels_outside(spec, 2, seed) == [], f"seed {seed}"


CASES = {
    "zeros": "ZeroPad2d(8) -> Conv2d(4, 3)",
    "reflected": "ReflectionPad2d(5) -> Conv2d(4, 3)",
    "replicated": "ReplicationPad2d(5) -> Conv2d(4, 3)",
    "circular": "CircularPad2d(5) -> Conv2d(4, 3)",
    "circular within": 'Conv2d(4, 3) -> Conv2d(4, 3, padding = 1, padding_mode = "circular")',
    "cut and reflected": "Slice(5, 12, dim = 2) -> ReflectionPad2d(3) -> Conv2d(4, 3)",
    "reflected within": 'Conv2d(4, 5, padding = 2, padding_mode = "reflect") -> Conv2d(4, 3)',
    "enlarged": "Conv2d(4, 3) -> Upsample(scale_factor = 2) -> Conv2d(4, 3)",
    "squeezed": "mul { branch {} branch { AdaptiveAvgPool2d(1) -> Conv2d(3, 1) } }",
    "adaptive": "AdaptiveAvgPool2d([7, 5]) -> Conv2d(4, 3)",
    "transposed": "ConvTranspose2d(4, 3, stride = 2) -> Conv2d(4, 5)",
    "turned": "Conv2d(4, 3) -> Permute([0, 1, 3, 2]) -> Conv2d(4, [1, 5])",
    "channels last": "Permute([0, 2, 3, 1]) -> LayerNorm -> Permute([0, 3, 1, 2]) -> Conv2d(4, 3)",
    "flattened": "Conv2d(4, 3) -> Flatten -> Unflatten(1, [4, 12, 14]) -> Conv2d(4, 3)",
}


@pytest.mark.parametrize("name", CASES)
def test_no_pixel_lies_outside_for_any_node_of_small_networks(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(f"network net {{ input image: [3, 14, 16]\n  {CASES[name]}\n}}")

    for seed in range(5):
        assert pixels_outside(str(path), 50, seed) == []
