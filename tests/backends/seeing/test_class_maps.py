"""CAM and Grad-CAM against Captum and against their formulas."""

from __future__ import annotations

from typing import Any

import pytest
from seen_networks import MEANS, SMALL

torch = pytest.importorskip("torch")

from archdsl.backends.seeing import class_maps  # noqa: E402

CLASSES = [0, 3, 1, 4, 2]


def nearly(one: Any, other: Any) -> bool:
    return bool((one - other).abs().max() <= 1e-6)


@pytest.mark.parametrize(
    ("text", "name"), [(SMALL, "c3"), (SMALL, "c2"), (MEANS, "c2"), (MEANS, "c1")]
)
def test_grad_cam_is_that_of_captum(lens_of: Any, images: Any, text: str, name: str) -> None:
    attr = pytest.importorskip("captum.attr")
    lens = lens_of(text)
    layer = lens.steps.owned(lens.checked.nodes[name])
    wanted = attr.LayerGradCam(lens.module, layer).attribute(
        images, target=CLASSES, relu_attributions=True
    )

    found = class_maps.grad_cam(lens, name, images, CLASSES)

    assert found.abs().max() > 0
    assert nearly(found, wanted[:, 0])


def test_grad_cam_is_its_formula(lens_of: Any, images: Any) -> None:
    """Of a merge as well, which is no module, so that no hook sees it."""
    lens = lens_of(MEANS)
    (merge,) = [name for name, node in lens.checked.nodes.items() if node.layer.merges]
    own = lens.module.get_parameter("c1.weight").requires_grad_()
    maps = lens.steps.run({"image": images}, [merge])[merge]
    scores = lens.module(images)
    found = class_maps.grad_cam(lens, merge, images, CLASSES)

    for number, cls in enumerate(CLASSES):
        held = maps[number : number + 1].detach().requires_grad_()
        given = {"image": images[number : number + 1], merge: held}
        score = lens.steps.run(given, [lens.sights.output])[lens.sights.output][0, cls]
        assert score.item() == pytest.approx(scores[number, cls].item(), abs=1e-9)
        (slope,) = torch.autograd.grad(score, held)
        wanted = (slope.mean((2, 3), keepdim=True) * held).sum(1).relu()[0]
        assert nearly(found[number], wanted)
    own.requires_grad_(False)


def test_cam_is_its_formula(lens_of: Any, images: Any) -> None:
    lens = lens_of(MEANS)
    head = class_maps.mean_head(lens)
    assert head
    fc = lens.module.get_submodule("fc")
    assert nearly(head.weights, fc.weight)
    assert nearly(head.bias, fc.bias)
    maps = lens.tensors(images, [head.maps])[head.maps]
    wanted = torch.stack(
        [
            (fc.weight[cls][:, None, None] * each).sum(0)
            for cls, each in zip(CLASSES, maps, strict=True)
        ]
    )

    found = class_maps.class_activation(lens, head, images, CLASSES)

    assert nearly(found, wanted)
    scores = found.mean((1, 2)) + head.bias[CLASSES]
    assert nearly(scores, lens.module(images)[range(5), CLASSES])


NIN = """network nin { input image: [3, 32, 32]
  Conv2d(6, 3) -> ReLU -> Conv2d(4, 1) -> ReLU
  AvgPool2d(30) -> Flatten -> Softmax(1)
}"""


def test_cam_of_maps_that_are_classes(lens_of: Any, images: Any) -> None:
    lens = lens_of(NIN)
    head = class_maps.mean_head(lens)

    assert head
    assert nearly(head.weights, torch.eye(4, dtype=torch.float64))
    assert nearly(lens.answers(images), lens.module(images))  # no softmax of a softmax


@pytest.mark.parametrize(
    "end",
    [
        "Flatten -> Linear(5)",
        "AdaptiveMaxPool2d(1) -> Flatten -> Linear(5)",
        "AdaptiveAvgPool2d(2) -> Flatten -> Linear(5)",
        "AdaptiveAvgPool2d(1) -> Flatten -> Linear(9) -> ReLU -> Linear(5)",
        "AdaptiveAvgPool2d(1) -> Sigmoid -> Flatten -> Linear(5)",
    ],
)
def test_no_cam_where_scores_do_not_follow_from_means(lens_of: Any, end: str) -> None:
    lens = lens_of(f"network net {{ input image: [3, 32, 32]\n  Conv2d(4, 3) -> ReLU -> {end}\n}}")

    assert class_maps.mean_head(lens) is None


@pytest.mark.parametrize(
    "end",
    [
        "AdaptiveAvgPool2d(1) -> Flatten -> Linear(5)",
        "AdaptiveAvgPool2d(1) -> Conv2d(5, 1) -> Flatten",
        "Conv2d(5, 1) -> AdaptiveAvgPool2d(1) -> Flatten",
        "AvgPool2d(30) -> Dropout(0.5) -> Flatten -> Linear(7) -> Linear(5)",
        "AdaptiveAvgPool2d(1) -> BatchNorm2d -> Flatten -> Linear(5) -> LogSoftmax(1)",
    ],
)
def test_cam_wherever_scores_follow_from_means(lens_of: Any, images: Any, end: str) -> None:
    lens = lens_of(f"network net {{ input image: [3, 32, 32]\n  Conv2d(4, 3) -> ReLU -> {end}\n}}")
    head = class_maps.mean_head(lens)

    assert head
    found = class_maps.class_activation(lens, head, images, CLASSES)
    scores = lens.tensors(images, [lens.scores])[lens.scores]
    assert nearly(found.mean((1, 2)) + head.bias[CLASSES], scores.flatten(1)[range(5), CLASSES])


def test_curves_of_what_is_faithful_by_construction(lens_of: Any) -> None:
    """A network that looks at the upper left quarter alone: the map that says so is the best."""
    quarter = "Slice(0, 16, dim = 2) -> Slice(0, 16, dim = 3)"
    end = "AvgPool2d(16) -> Flatten -> Linear(2)"
    lens = lens_of(f"network net {{ input image: [3, 32, 32]\n  {quarter} -> {end}\n}}")
    with torch.no_grad():
        lens.module.get_parameter("4.weight").copy_(torch.tensor([[9.0] * 3, [0.0] * 3]))
        lens.module.get_parameter("4.bias").zero_()
    image = torch.full((3, 32, 32), 2.0, dtype=torch.float64)
    right = torch.zeros(32, 32)
    right[:16, :16] = 1
    faithful, wrong = (class_maps.curves(lens, image, 0, each) for each in (right, 1 - right))
    random = class_maps.at_random(lens, image, 0)

    assert faithful.areas[0] < random.areas[0] < wrong.areas[0]
    grey = lens.answers(lens.preparation.grey.double().expand(1, 3, 32, 32))[0, 0]
    for curve in (faithful, wrong, random):
        assert curve.deletion[0] == pytest.approx(lens.answers(image[None])[0, 0].item())
        assert curve.deletion[-1] == pytest.approx(grey.item())
        assert curve.insertion[-1] == pytest.approx(lens.answers(image[None])[0, 0].item())
