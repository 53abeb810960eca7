"""Maps against hooks on the compiled module, whatever the batch, and shares of classes."""

from __future__ import annotations

from typing import Any

import pytest
from seen_networks import MEANS, SMALL

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("text", [SMALL, MEANS])
def test_maps_are_what_hooks_on_the_modules_see(lens_of: Any, images: Any, text: str) -> None:
    lens = lens_of(text)
    nodes = [
        name
        for name, node in lens.checked.nodes.items()
        if isinstance(lens.steps.owned(node) if node.inputs else None, torch.nn.Module)
    ]
    modules = {lens.steps.owned(lens.checked.nodes[name]): name for name in nodes}
    seen: dict[str, Any] = {}
    calls: dict[Any, int] = {}

    def hook(module: Any, given: Any, output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        seen[modules[module]] = output.clone()

    handles = [module.register_forward_hook(hook) for module in modules]
    lens.module(images)
    for handle in handles:
        handle.remove()
    # activations without weights may be one module that is called several times
    once = [name for module, name in modules.items() if calls[module] == 1]

    found = lens.tensors(images, nodes)

    assert len(once) >= 6
    for name in once:
        assert torch.equal(found[name], seen[name]) or bool(
            (found[name] - seen[name]).abs().max() <= 1e-9
        )


def test_results_do_not_depend_on_the_batch(lens_of: Any, images: Any) -> None:
    from archdsl.backends.seeing.class_maps import grad_cam
    from archdsl.backends.seeing.occlusion import occlude

    alone, together = lens_of(SMALL, batch=1), lens_of(SMALL, batch=64)

    for compute in (
        lambda lens: lens.answers(images),
        lambda lens: lens.tensors(images, ["c3"])["c3"],
        lambda lens: grad_cam(lens, "c2", images, [0, 1, 2, 3, 4]),
        lambda lens: occlude(lens, images[0], 1, 9, 4).shares,
        lambda lens: occlude(lens, images[0], 1, 9, 4).strengths,
    ):
        one, other = compute(alone), compute(together)
        assert bool((one - other).abs().max() <= 1e-9)


@pytest.mark.parametrize(
    ("end", "shares"),
    [
        ("Linear(4)", lambda x: x.softmax(1)),
        ("Linear(4) -> Softmax(1)", lambda x: x),
        ("Linear(4) -> LogSoftmax(1)", lambda x: x.exp()),
        ("Linear(1)", lambda x: x.sigmoid()),
        ("Linear(4) -> Sigmoid", lambda x: x),
        ("Linear(4) -> ReLU", lambda x: x.softmax(1)),
        ("Linear(4) -> Dropout(0.5)", lambda x: x.softmax(1)),
    ],
)
def test_shares_of_classes(lens_of: Any, images: Any, end: str, shares: Any) -> None:
    lens = lens_of(
        f"network net {{ input image: [3, 32, 32]\n  Conv2d(4, 9) -> Flatten -> {end}\n}}"
    )

    assert bool((lens.answers(images) - shares(lens.module(images))).abs().max() <= 1e-9)


def test_shares_of_a_network_that_answers_for_each_place(lens_of: Any, images: Any) -> None:
    lens = lens_of(
        "network net { input image: [3, 32, 32]\n  Conv2d(4, 9) -> ReLU -> Conv2d(6, 1)\n}"
    )

    assert lens.sights.classes == 6
    wanted = lens.module(images).softmax(1).mean((2, 3))
    assert bool((lens.answers(images) - wanted).abs().max() <= 1e-9)
