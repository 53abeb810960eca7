"""The networks that torchvision or timm have as well, and how to build those there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import timm
import torch
import torchvision
from torch import nn
from torchvision.models.regnet import BlockParams

from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
MODELS = torchvision.models


@dataclass(frozen=True)
class Twin:
    """A network of a spec, with parameters for it, and what builds the same one elsewhere."""

    file: str
    network: str
    build: Callable[[], nn.Module]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def graph(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> CheckedGraph:
        """Return our graph, for inputs of other shapes than the spec's if they are given."""
        return Spec(str(SPECS / self.file)).graph(self.network, self.parameters, shapes)

    def other(self, device: str) -> nn.Module:
        """Build the other one on a device, in evaluation mode."""
        with torch.device(device):
            return self.build().eval()


def _torchvision(file: str, *names: str) -> dict[str, Twin]:
    return {name: Twin(file, name, getattr(MODELS, name)) for name in names}


def _regnets(kind: str, *sizes: str) -> dict[str, Twin]:
    names = [f"regnet_{kind}_{size}" for size in sizes]
    return {name: Twin("regnet.arch", name, partial(_regnet, name)) for name in names}


def _regnet(name: str) -> nn.Module:
    """Build a RegNet, whose widths torchvision computes with tensors that must have numbers."""
    computed = BlockParams.from_init_params

    def with_numbers(**growth: Any) -> BlockParams:
        with torch.device("cpu"):
            return computed(**growth)

    with mock.patch.object(BlockParams, "from_init_params", with_numbers):
        made: nn.Module = getattr(MODELS, name)()
    return made


def _segmentation(file: str, *names: str, **options: Any) -> dict[str, Twin]:
    makes = {name: getattr(MODELS.segmentation, name) for name in names}
    options["weights_backbone"] = None
    return {name: Twin(file, name, partial(make, **options)) for name, make in makes.items()}


def _video(file: str, *names: str) -> dict[str, Twin]:
    return {name: Twin(file, name, getattr(MODELS.video, name)) for name in names}


def _timm(file: str, network: str, name: str) -> Twin:
    return Twin(file, network, partial(timm.create_model, name))


def _mobilenet(width: float) -> Twin:
    make = partial(MODELS.mobilenet_v2, width_mult=width)
    return Twin("mobilenet_v2.arch", "mobilenet_v2", make, {"width": width})


TWINS = {
    **_torchvision("alexnet.arch", "alexnet"),
    **_torchvision("vgg.arch", "vgg11", "vgg13", "vgg16", "vgg19"),
    **_torchvision("vgg.arch", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    "googlenet": Twin("googlenet.arch", "googlenet", partial(MODELS.googlenet, init_weights=False)),
    "googlenet, no auxiliary heads": Twin(
        "googlenet.arch",
        "googlenet",
        partial(MODELS.googlenet, init_weights=False, aux_logits=False),
        {"aux": False},
    ),
    "googlenet, recentred": Twin(
        "googlenet.arch",
        "googlenet",
        partial(MODELS.googlenet, init_weights=False, transform_input=True),
        {"transform_input": True},
    ),
    "inception_v3": Twin(
        "inception_v3.arch", "inception_v3", partial(MODELS.inception_v3, init_weights=False)
    ),
    "inception_v3, no auxiliary head": Twin(
        "inception_v3.arch",
        "inception_v3",
        partial(MODELS.inception_v3, init_weights=False, aux_logits=False),
        {"aux": False},
    ),
    "inception_v3, recentred": Twin(
        "inception_v3.arch",
        "inception_v3",
        partial(MODELS.inception_v3, init_weights=False, transform_input=True),
        {"transform_input": True},
    ),
    "inception_v4": _timm("inception_v4.arch", "inception_v4", "inception_v4"),
    "inception_resnet_v2": _timm(
        "inception_resnet.arch", "inception_resnet_v2", "inception_resnet_v2"
    ),
    **_torchvision("resnet.arch", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    **_torchvision("resnext.arch", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    **_torchvision("wide_resnet.arch", "wide_resnet50_2", "wide_resnet101_2"),
    **_regnets("x", "400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf"),
    **_regnets("y", "400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf"),
    **_torchvision("densenet.arch", "densenet121", "densenet161", "densenet169", "densenet201"),
    "mobilenet_v1": _timm("mobilenet_v1.arch", "mobilenet_v1", "mobilenetv1_100"),
    "mobilenet_v2": _mobilenet(1.0),
    "mobilenet_v2, 1.4": _mobilenet(1.4),
    "mobilenet_v2, 0.35": _mobilenet(0.35),
    **_torchvision("mobilenet_v3.arch", "mobilenet_v3_small", "mobilenet_v3_large"),
    **_torchvision("mnasnet.arch", *(f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3"))),
    **_torchvision("squeezenet.arch", "squeezenet1_0", "squeezenet1_1"),
    "xception": _timm("xception.arch", "xception", "legacy_xception"),
    **_torchvision("vit.arch", "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32"),
    **_torchvision(
        "convnext.arch", *(f"convnext_{size}" for size in ("tiny", "small", "base", "large"))
    ),
    **_torchvision("efficientnet.arch", *(f"efficientnet_b{number}" for number in range(8))),
    **_torchvision("efficientnet_v2.arch", *(f"efficientnet_v2_{size}" for size in "sml")),
    **_torchvision(
        "shufflenet_v2.arch", *(f"shufflenet_v2_x{w}" for w in ("0_5", "1_0", "1_5", "2_0"))
    ),
    **_segmentation(
        "deeplabv3.arch",
        *(f"deeplabv3_{body}" for body in ("resnet50", "resnet101", "mobilenet_v3_large")),
        aux_loss=True,
    ),
    **_segmentation("fcn.arch", "fcn_resnet50", "fcn_resnet101", aux_loss=True),
    **_segmentation("lraspp.arch", "lraspp_mobilenet_v3_large"),
    **_video("video_resnet.arch", "r3d_18", "mc3_18", "r2plus1d_18"),
    **_video("s3d.arch", "s3d"),
}
