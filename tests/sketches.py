"""Networks of the literature, drawn by hand for tests of the analyses."""

from __future__ import annotations

from building import Builder

from archdsl.graph import CheckedGraph
from archdsl.layers.adaptive_pooling import AdaptiveAvgPool2d
from archdsl.layers.convolution import Conv2d
from archdsl.layers.linear import Linear
from archdsl.layers.merge import Add, Concat
from archdsl.layers.normalization import BatchNorm2d
from archdsl.layers.pooling import MaxPool2d
from archdsl.layers.reshape import Flatten
from archdsl.layers.sizes import Size
from archdsl.layers.transposed_convolution import ConvTranspose2d


def convolution(channels: int, kernel: int, stride: int = 1, padding: int = 0) -> Conv2d:
    return Conv2d(
        out_channels=channels,
        kernel_size=(kernel, kernel),
        stride=(stride, stride),
        padding=(padding, padding),
        bias=False,
    )


def biased(channels: int, kernel: int, padding: int = 0) -> Conv2d:
    return Conv2d(out_channels=channels, kernel_size=(kernel, kernel), padding=(padding, padding))


def vgg16() -> CheckedGraph:
    """VGG-16 without its activations (Simonyan and Zisserman, 2014)."""
    net = Builder("vgg16")
    net.input("image", 3, 224, 224)
    for stage, (channels, depth) in enumerate(
        [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], start=1
    ):
        for number in range(1, depth + 1):
            net.put(f"conv{stage}_{number}", biased(channels, 3, padding=1))
        net.put(f"pool{stage}", MaxPool2d(kernel_size=2))
    net.put("flatten", Flatten())
    for number, features in enumerate([4096, 4096, 1000], start=6):
        net.put(f"fc{number}", Linear(out_features=features))
    return net.checked()


def resnet50(stride_first: bool = False) -> CheckedGraph:
    """ResNet-50 without activations: strides at the 3x3 as torchvision has them.

    With `stride_first` they are at the 1x1 before it, as in the paper.
    """
    net = Builder("resnet50", {"": "resnet50"})
    net.input("image", 3, 224, 224)
    net.put("conv1", convolution(64, 7, stride=2, padding=3))
    net.put("bn1", BatchNorm2d())
    x = net.put("maxpool", MaxPool2d(kernel_size=3, stride=2, padding=1))
    for stage, depth in enumerate([3, 4, 6, 3], start=1):
        for unit in range(depth):
            stride = 2 if stage > 1 and unit == 0 else 1
            strides = (stride, 1) if stride_first else (1, stride)
            x = _bottleneck(net, f"layer{stage}.{unit}", x, 32 * 2**stage, *strides)
    net.put("avgpool", AdaptiveAvgPool2d(output_size=1))
    net.put("flatten", Flatten())
    net.put("fc", Linear(out_features=1000))
    return net.checked()


def _bottleneck(net: Builder, name: str, x: str, width: int, first: int, second: int) -> str:
    net.put(f"{name}.conv1", convolution(width, 1, first), x)
    net.put(f"{name}.bn1", BatchNorm2d())
    net.put(f"{name}.conv2", convolution(width, 3, second, padding=1))
    net.put(f"{name}.bn2", BatchNorm2d())
    net.put(f"{name}.conv3", convolution(4 * width, 1))
    body = net.put(f"{name}.bn3", BatchNorm2d())
    if net.nodes[x].shape != net.nodes[body].shape:
        net.put(f"{name}.downsample.0", convolution(4 * width, 1, first * second), x)
        x = net.put(f"{name}.downsample.1", BatchNorm2d())
    return net.put(f"{name}.add", Add(), body, x)


def unet(height: Size, width: Size, levels: int = 4, base: int = 64) -> CheckedGraph:
    """U-Net with padded convolutions (Ronneberger, Fischer, Brox, 2015)."""
    net = Builder("unet")
    net.input("image", 3, height, width)
    skips = []
    for level in range(levels):
        skips.append(_twice(net, f"enc{level}", base * 2**level))
        net.put(f"down{level}", MaxPool2d(kernel_size=2))
    _twice(net, "middle", base * 2**levels)
    for level in reversed(range(levels)):
        channels = base * 2**level
        up = ConvTranspose2d(out_channels=channels, kernel_size=2, stride=2)
        raised = net.put(f"up{level}", up)
        net.put(f"concat{level}", Concat(), skips[level], raised)
        _twice(net, f"dec{level}", channels)
    net.put("head", biased(2, 1))
    return net.checked()


def _twice(net: Builder, name: str, channels: int) -> str:
    net.put(f"{name}.conv1", biased(channels, 3, padding=1))
    return net.put(f"{name}.conv2", biased(channels, 3, padding=1))
