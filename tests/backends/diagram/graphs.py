"""Networks put together by hand, for tests of pictures that need no parser."""

from __future__ import annotations

from building import Builder

from archdsl.graph import CheckedGraph


def conv_bn(b: Builder, label: str, out: int, kernel: int, **more: object) -> str:
    with b.block(label, "ConvBN", out=out, kernel=kernel, **more):
        b.layer("Conv2d", "conv", out_channels=out, kernel_size=kernel, bias=False, **more)
        b.layer("BatchNorm2d", "bn")
        return b.layer("ReLU")


def inception(modules: int = 3) -> CheckedGraph:
    """Return a stem and modules of four branches, with an output for training on the side."""
    b = Builder("inception", description="Modules of four branches")
    b.input("image", 3, 64, 64)
    conv_bn(b, "stem", 64, 3, stride=2, padding=1)
    b.layer("MaxPool2d", "pool", kernel_size=3, stride=2)
    for number in range(modules):
        with b.block(f"Mixed_{number}", "InceptionA", pool=32) as start:
            one = conv_bn(b, "branch1x1", 64, 1)
            b.flow = start
            conv_bn(b, "branch5x5_1", 48, 1)
            five = conv_bn(b, "branch5x5_2", 64, 5, padding=2)
            b.flow = start
            conv_bn(b, "branch3x3dbl_1", 64, 1)
            conv_bn(b, "branch3x3dbl_2", 96, 3, padding=1)
            three = conv_bn(b, "branch3x3dbl_3", 96, 3, padding=1)
            b.flow = start
            b.layer("AvgPool2d", kernel_size=3, stride=1, padding=1)
            pool = conv_bn(b, "branch_pool", 32, 1)
            b.merge("concat", one, five, three, pool)
    flow = b.flow
    with b.block("AuxLogits", "AuxHead", classes=10):
        conv_bn(b, "conv0", 128, 1)
        b.layer("AdaptiveAvgPool2d", output_size=1)
        b.layer("Flatten")
        b.layer("Linear", "fc", out_features=10)
    aux = b.flow
    b.flow = flow
    head(b)
    b.output("logits")
    b.flow = aux
    b.output("aux", training_only=True)
    return b.checked()


def head(b: Builder, classes: int = 10) -> None:
    b.layer("AdaptiveAvgPool2d", "avgpool", output_size=1)
    b.layer("Dropout", "dropout", p=0.5)
    b.layer("Flatten")
    b.layer("Linear", "fc", out_features=classes)


def bottleneck(b: Builder, label: str, width: int, stride: int, project: bool) -> None:
    with b.block(label, "Bottleneck", width=width, stride=stride) as start:
        b.layer("Conv2d", "conv1", out_channels=width, kernel_size=1, bias=False)
        b.layer("BatchNorm2d", "bn1")
        b.layer("ReLU")
        b.layer("Conv2d", "conv2", out_channels=width, kernel_size=3, stride=stride, padding=1)
        b.layer("BatchNorm2d", "bn2")
        b.layer("ReLU")
        b.layer("Conv2d", "conv3", out_channels=4 * width, kernel_size=1, bias=False)
        body = b.layer("BatchNorm2d", "bn3")
        b.flow = start
        if project:
            with b.block("downsample"):
                b.layer("Conv2d", out_channels=4 * width, kernel_size=1, stride=stride, bias=False)
                b.layer("BatchNorm2d")
        b.merge("add", body, b.flow)
        b.layer("ReLU")


def resnet(depths: tuple[int, ...] = (3, 4, 6, 3)) -> CheckedGraph:
    b = Builder("resnet", description="Residual blocks in four stages")
    b.input("image", 3, 224, 224)
    b.layer("Conv2d", "conv1", out_channels=64, kernel_size=7, stride=2, padding=3, bias=False)
    b.layer("BatchNorm2d", "bn1")
    b.layer("ReLU")
    b.layer("MaxPool2d", "maxpool", kernel_size=3, stride=2, padding=1)
    for stage, depth in enumerate(depths):
        with b.block(f"layer{stage + 1}"):
            for number in range(depth):
                stride = 2 if stage and not number else 1
                bottleneck(b, str(number), 64 * 2**stage, stride, project=not number)
    head(b)
    return b.checked()


def densenet(depths: tuple[int, ...] = (6, 12, 24, 16)) -> CheckedGraph:
    b = Builder("densenet", description="Each layer reads all before it")
    b.input("image", 3, 224, 224)
    b.layer("Conv2d", "conv0", out_channels=64, kernel_size=7, stride=2, padding=3, bias=False)
    b.layer("MaxPool2d", "pool0", kernel_size=3, stride=2, padding=1)
    for stage, depth in enumerate(depths):
        with b.block(f"denseblock{stage + 1}", "DenseBlock", layers=depth):
            for number in range(depth):
                start = b.flow
                with b.block(f"denselayer{number + 1}"):
                    b.layer("BatchNorm2d", "norm1")
                    b.layer("ReLU")
                    b.layer("Conv2d", "conv1", out_channels=128, kernel_size=1)
                    b.layer("BatchNorm2d", "norm2")
                    b.layer("ReLU")
                    b.layer("Conv2d", "conv2", out_channels=32, kernel_size=3, padding=1)
                b.merge("concat", start, b.flow)
        if stage < len(depths) - 1:
            with b.block(f"transition{stage + 1}", "Transition"):
                b.layer("BatchNorm2d", "norm")
                b.layer("Conv2d", "conv", out_channels=128, kernel_size=1)
                b.layer("AvgPool2d", "pool", kernel_size=2, stride=2)
    head(b)
    return b.checked()


def double_conv(b: Builder, label: str, out: int) -> str:
    with b.block(label, "DoubleConv", out=out):
        for _ in range(2):
            b.layer("Conv2d", out_channels=out, kernel_size=3, padding=1)
            b.layer("ReLU")
    return b.flow


def unet(levels: int = 4) -> CheckedGraph:
    b = Builder("unet", description="An encoder, a decoder, and skips between them")
    b.input("image", 3, 256, 256)
    skips = []
    for level in range(levels):
        skips.append(double_conv(b, f"enc{level + 1}", 64 * 2**level))
        b.layer("MaxPool2d", f"pool{level + 1}", kernel_size=2)
    double_conv(b, "middle", 64 * 2**levels)
    for level in reversed(range(levels)):
        b.layer(
            "ConvTranspose2d", f"up{level + 1}", out_channels=64 * 2**level, kernel_size=2, stride=2
        )
        b.merge("concat", skips[level], b.flow)
        double_conv(b, f"dec{level + 1}", 64 * 2**level)
    b.layer("Conv2d", "head", out_channels=2, kernel_size=1)
    b.output("mask")
    return b.checked()
