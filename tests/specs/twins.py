"""The networks that torchvision or timm have as well, and how to build those there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import timm
import torch
import torchvision
from efficientdet_twin import EfficientDet
from small_twins import Classifier, Discriminator, Generator, Tagger
from torch import nn
from torchvision.models.regnet import BlockParams
from torchvision.models.video.mvit import MSBlockConfig, MViT
from torchvision.models.video.swin_transformer import SwinTransformer3d
from torchvision.ops import FrozenBatchNorm2d

from archdsl.graph import CheckedGraph
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"
MODELS = torchvision.models


@dataclass(frozen=True)
class Twin:
    """A network of a spec, with parameters for it, and what builds the same one elsewhere.

    Outputs are compared for `inputs`: small ones are enough, and show what adapts to their size.
    """

    file: str
    network: str
    build: Callable[[], nn.Module]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"image": (3, 64, 64)})

    def graph(self, shapes: Mapping[str, tuple[int, ...]] | None = None) -> CheckedGraph:
        """Return our graph, for inputs of other shapes than the spec's if they are given."""
        return Spec(str(SPECS / self.file)).graph(self.network, self.parameters, shapes)

    def other(self, device: str) -> nn.Module:
        """Build the other one on a device, in evaluation mode."""
        with torch.device(device):
            return self.build().eval()


def draw(batch: int, shapes: Iterable[Sequence[int]]) -> list[torch.Tensor]:
    """Return tokens below 20 for inputs of one axis, and random numbers for the others."""
    return [
        torch.randint(20, (batch, *shape)) if len(shape) == 1 else torch.randn(batch, *shape)
        for shape in shapes
    ]


def image(size: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of a square image."""
    return {"image": (3, size, size)}


def _torchvision(file: str, *names: str, size: int = 64) -> dict[str, Twin]:
    return {name: Twin(file, name, getattr(MODELS, name), inputs=image(size)) for name in names}


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


class Frozen(FrozenBatchNorm2d):
    """A normalization as in torchvision's released detection models."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=0.0)


class RetinaNet(nn.Module):
    """torchvision's RetinaNet as it is with its weights, up to what comes out of its heads."""

    def __init__(self) -> None:
        super().__init__()
        with mock.patch.object(nn, "BatchNorm2d", Frozen):
            made = MODELS.detection.retinanet_resnet50_fpn(weights_backbone=None)
        self.backbone, self.head = made.backbone, made.head

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return a row for each anchor: [batch, anchors, 91] and [batch, anchors, 4]."""
        raw: dict[str, torch.Tensor] = self.head([*self.backbone(image).values()])
        return raw


def _video(file: str, shape: tuple[int, ...], *names: str) -> dict[str, Twin]:
    makes = {name: getattr(MODELS.video, name) for name in names}
    return {name: Twin(file, name, make, inputs={"video": shape}) for name, make in makes.items()}


def _small() -> dict[str, Twin]:
    """Return small networks of families whose own ones take long: ", small" puts them in a sample.

    What a MViT learns depends on how long and large the videos are.
    """
    maxvit = partial(MODELS.MaxVit, (32, 32), 32, 2, [32, 64], [1, 2], 32, 0.2)
    given: dict[str, Any] = {"widths": (32, 64), "depths": (1, 2), "drop": 0.2}
    sizes = {"window": 2, "size": 32}
    swin3d = partial(SwinTransformer3d, [2, 4, 4], 48, [2, 2], [3, 6], [8, 7, 7])
    swins = {"width": 48, "depths": (2, 2), "heads": (3, 6)}
    mvits = {"heads": (1, 2, 2, 4), "length": 4, "size": 64}
    video = {"video": (3, 4, 64, 64)}
    return {
        "MaxViT, small": Twin("maxvit.arch", "MaxViT", maxvit, given | sizes, image(32)),
        "Swin3d, small": Twin("swin3d.arch", "Swin3d", swin3d, swins, {"video": (3, 6, 70, 90)}),
        "MViT, small": Twin("mvit.arch", "MViT", partial(_mvit, "mvit_v1_b"), mvits, video),
        "MViT, second, small": Twin(
            "mvit.arch", "MViT", partial(_mvit, "mvit_v2_s"), mvits | {"second": True}, video
        ),
    }


def _mvit(name: str) -> nn.Module:
    def small(block_setting: list[MSBlockConfig], **options: Any) -> nn.Module:
        small = {"spatial_size": (64, 64), "temporal_size": 4}
        return MViT(block_setting=block_setting[:4], **options | small)

    with mock.patch("torchvision.models.video.mvit.MViT", small):
        made: nn.Module = getattr(MODELS.video, name)()
    return made


def _timm(file: str, *names: str, size: int = 64) -> dict[str, Twin]:
    makes = {name: partial(timm.create_model, name) for name in names}
    return {name: Twin(file, name, make, inputs=image(size)) for name, make in makes.items()}


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
        "inception_v3.arch",
        "inception_v3",
        partial(MODELS.inception_v3, init_weights=False),
        inputs=image(299),
    ),
    "inception_v3, no auxiliary head": Twin(
        "inception_v3.arch",
        "inception_v3",
        partial(MODELS.inception_v3, init_weights=False, aux_logits=False),
        {"aux": False},
        image(299),
    ),
    "inception_v3, recentred": Twin(
        "inception_v3.arch",
        "inception_v3",
        partial(MODELS.inception_v3, init_weights=False, transform_input=True),
        {"transform_input": True},
        image(299),
    ),
    **_timm("inception_v4.arch", "inception_v4", size=111),
    **_timm("inception_resnet.arch", "inception_resnet_v2", size=111),
    **_torchvision("resnet.arch", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    **_torchvision("resnext.arch", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    **_torchvision("wide_resnet.arch", "wide_resnet50_2", "wide_resnet101_2"),
    **_regnets("x", "400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf"),
    **_regnets("y", "400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf"),
    **_torchvision("densenet.arch", "densenet121", "densenet161", "densenet169", "densenet201"),
    "mobilenet_v1": Twin(
        "mobilenet_v1.arch", "mobilenet_v1", partial(timm.create_model, "mobilenetv1_100")
    ),
    "mobilenet_v2": _mobilenet(1.0),
    "mobilenet_v2, 1.4": _mobilenet(1.4),
    "mobilenet_v2, 0.35": _mobilenet(0.35),
    **_torchvision("mobilenet_v3.arch", "mobilenet_v3_small", "mobilenet_v3_large"),
    **_torchvision("mnasnet.arch", *(f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3"))),
    **_torchvision("squeezenet.arch", "squeezenet1_0", "squeezenet1_1"),
    "xception": Twin("xception.arch", "xception", partial(timm.create_model, "legacy_xception")),
    **_torchvision(
        "vit.arch", *(f"vit_{kind}" for kind in ("b_16", "b_32", "l_16", "l_32", "h_14")), size=224
    ),
    **_torchvision(
        "convnext.arch", *(f"convnext_{size}" for size in ("tiny", "small", "base", "large"))
    ),
    **_torchvision("maxvit.arch", "maxvit_t", size=224),
    **_torchvision("swin.arch", "swin_t", "swin_s", "swin_b"),
    **_torchvision("swin_v2.arch", "swin_v2_t", "swin_v2_s", "swin_v2_b"),
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
    **_video("video_resnet.arch", (3, 8, 32, 32), "r3d_18", "mc3_18", "r2plus1d_18"),
    **_video("s3d.arch", (3, 13, 209, 209), "s3d"),
    **_video("mvit.arch", (3, 16, 224, 224), "mvit_v1_b", "mvit_v2_s"),
    **_video("swin3d.arch", (3, 16, 60, 60), "swin3d_t", "swin3d_s", "swin3d_b"),
    **_small(),
    **_timm(
        "res2net.arch",
        *(f"res2net50_{kind}" for kind in ("26w_4s", "48w_2s", "14w_8s", "26w_6s", "26w_8s")),
        "res2net101_26w_4s",
    ),
    **_timm("convmixer.arch", "convmixer_768_32", "convmixer_1024_20_ks9_p14", "convmixer_1536_20"),
    **_timm(
        "mlp_mixer.arch",
        *(f"mixer_{kind}_224" for kind in ("s32", "s16", "b32", "b16", "l32", "l16")),
        size=224,
    ),
    **_timm("hrnet.arch", "hrnet_w18"),
    **_timm("nfnet.arch", *(f"dm_nfnet_f{number}" for number in range(4))),
    **_timm("davit.arch", "davit_tiny", "davit_small", "davit_base", size=97),
    **_timm("mobilevit.arch", *(f"mobilevit_{size}" for size in ("s", "xs", "xxs")), size=80),
    **_timm("coatnet.arch", "coatnet_0_rw_224", "coatnet_1_rw_224", size=224),
    **_timm("beit.arch", "beit_base_patch16_224", size=224),
    "retinanet_resnet50_fpn": Twin("retinanet.arch", "retinanet_resnet50_fpn", RetinaNet),
    "tf_efficientdet_d0": Twin(
        "efficientdet.arch", "tf_efficientdet_d0", EfficientDet, inputs=image(96)
    ),
    "dcgan_generator": Twin("dcgan.arch", "dcgan_generator", Generator, inputs={"z": (100, 1, 1)}),
    "dcgan_discriminator": Twin("dcgan.arch", "dcgan_discriminator", Discriminator),
    "lstm_tagger": Twin("recurrent.arch", "lstm_tagger", Tagger, inputs={"tokens": (9,)}),
    "gru_classifier": Twin("recurrent.arch", "gru_classifier", Classifier, inputs={"tokens": (9,)}),
}
