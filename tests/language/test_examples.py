"""The examples that the language was designed with, as they stand there."""

from __future__ import annotations

from pathlib import Path

from shown import Arch, Stages, lines, outputs

from archdsl.pipeline import Spec

INCEPTION = """
network inception_v3(classes: int = 1000, dropout: float = 0.5) {
  "Inception v3: Szegedy et al., Rethinking the Inception Architecture, 2015. arXiv:1512.00567"
  input image: [3, 299, 299]

  Conv2d_1a_3x3: ConvBN(32, 3, stride = 2)
  Conv2d_2a_3x3: ConvBN(32, 3)
  Conv2d_2b_3x3: ConvBN(64, 3, padding = 1)
  maxpool1: MaxPool2d(3, stride = 2)
  Conv2d_3b_1x1: ConvBN(80, 1)
  Conv2d_4a_3x3: ConvBN(192, 3)
  maxpool2: MaxPool2d(3, stride = 2)

  Mixed_5b: InceptionA(pool = 32)
  Mixed_5c: InceptionA(pool = 64)
  Mixed_5d: InceptionA(pool = 64)
  output aux when training {
    AuxLogits: AuxHead(classes)
  }
  avgpool: AdaptiveAvgPool2d(1)
  dropout: Dropout(dropout)
  Flatten
  fc: Linear(classes)
}

block AuxHead(classes) {
  AdaptiveAvgPool2d(1) -> Flatten
  fc: Linear(classes)
}

block ConvBN(out, kernel, stride = 1, padding = 0) {
  conv: Conv2d(out, kernel, stride, padding, bias = false)
  bn: BatchNorm2d(eps = 0.001)
  ReLU
}

block InceptionA(pool) {
  concat {
    branch { branch1x1: ConvBN(64, 1) }
    branch { branch5x5_1: ConvBN(48, 1) -> branch5x5_2: ConvBN(64, 5, padding = 2) }
    branch {
      branch3x3dbl_1: ConvBN(64, 1)
      branch3x3dbl_2: ConvBN(96, 3, padding = 1)
      branch3x3dbl_3: ConvBN(96, 3, padding = 1)
    }
    branch { AvgPool2d(3, stride = 1, padding = 1) -> branch_pool: ConvBN(pool, 1) }
  }
}
"""


def test_inception(arch: Arch) -> None:
    graph = arch(INCEPTION, classes=10)

    assert outputs(graph) == {"output": "fc", "aux": "AuxLogits.fc"}
    assert graph.description.startswith("Inception v3")
    assert [graph.nodes[f"Mixed_5{letter}.concat"].shape for letter in "bcd"] == [
        (256, 35, 35),
        (288, 35, 35),
        (288, 35, 35),
    ]
    block = [line for line in lines(graph) if line.startswith("Mixed_5b.") and "ReLU" not in line]
    assert block == [
        "Mixed_5b.branch1x1.conv Conv2d(maxpool2) 64 x 35 x 35",
        "Mixed_5b.branch1x1.bn BatchNorm2d(Mixed_5b.branch1x1.conv) 64 x 35 x 35",
        "Mixed_5b.branch5x5_1.conv Conv2d(maxpool2) 48 x 35 x 35",
        "Mixed_5b.branch5x5_1.bn BatchNorm2d(Mixed_5b.branch5x5_1.conv) 48 x 35 x 35",
        "Mixed_5b.branch5x5_2.conv Conv2d(Mixed_5b.branch5x5_1.2) 64 x 35 x 35",
        "Mixed_5b.branch5x5_2.bn BatchNorm2d(Mixed_5b.branch5x5_2.conv) 64 x 35 x 35",
        "Mixed_5b.branch3x3dbl_1.conv Conv2d(maxpool2) 64 x 35 x 35",
        "Mixed_5b.branch3x3dbl_1.bn BatchNorm2d(Mixed_5b.branch3x3dbl_1.conv) 64 x 35 x 35",
        "Mixed_5b.branch3x3dbl_2.conv Conv2d(Mixed_5b.branch3x3dbl_1.2) 96 x 35 x 35",
        "Mixed_5b.branch3x3dbl_2.bn BatchNorm2d(Mixed_5b.branch3x3dbl_2.conv) 96 x 35 x 35",
        "Mixed_5b.branch3x3dbl_3.conv Conv2d(Mixed_5b.branch3x3dbl_2.2) 96 x 35 x 35",
        "Mixed_5b.branch3x3dbl_3.bn BatchNorm2d(Mixed_5b.branch3x3dbl_3.conv) 96 x 35 x 35",
        "Mixed_5b.6 AvgPool2d(maxpool2) 192 x 35 x 35",
        "Mixed_5b.branch_pool.conv Conv2d(Mixed_5b.6) 32 x 35 x 35",
        "Mixed_5b.branch_pool.bn BatchNorm2d(Mixed_5b.branch_pool.conv) 32 x 35 x 35",
        "Mixed_5b.concat concat(Mixed_5b.branch1x1.2, Mixed_5b.branch5x5_2.2, "
        "Mixed_5b.branch3x3dbl_3.2, Mixed_5b.branch_pool.2) 256 x 35 x 35",
    ]


RESNET = """
block Bottleneck(width, stride = 1, expansion = 4) {
  residual {
    conv1: Conv2d(width, 1, bias = false)
    bn1: BatchNorm2d
    ReLU
    conv2: Conv2d(width, 3, stride, padding = 1, bias = false)
    bn2: BatchNorm2d
    ReLU
    conv3: Conv2d(expansion * width, 1, bias = false)
    bn3: BatchNorm2d
  } shortcut {
    if stride != 1 or in.channels != expansion * width {
      downsample: { Conv2d(expansion * width, 1, stride, bias = false); BatchNorm2d }
    }
  }
  ReLU
}

network ResNet(unit: block, depths: list, classes: int = 1000) {
  input image: [3, 224, 224]
  conv1: Conv2d(64, 7, stride = 2, padding = 3, bias = false)
  bn1: BatchNorm2d
  ReLU
  maxpool: MaxPool2d(3, stride = 2, padding = 1)
  for i in range(4) {
    "layer{i + 1}": {
      unit(64 * 2 ** i, stride = 1 if i == 0 else 2)
      repeat depths[i] - 1 { unit(64 * 2 ** i) }
    }
  }
  avgpool: AdaptiveAvgPool2d(1)
  Flatten
  fc: Linear(classes)
}
network resnet50 = ResNet(Bottleneck, [3, 4, 6, 3])
"""


def test_resnet(arch: Arch) -> None:
    graph = arch(RESNET)

    names = [name for name in graph.nodes if name.startswith("layer2.0.")]
    assert graph.name == "resnet50"
    assert names == [
        "layer2.0.conv1",
        "layer2.0.bn1",
        "layer2.0.2",
        "layer2.0.conv2",
        "layer2.0.bn2",
        "layer2.0.5",
        "layer2.0.conv3",
        "layer2.0.bn3",
        "layer2.0.downsample.0",
        "layer2.0.downsample.1",
        "layer2.0.add",
        "layer2.0.9",
    ]
    assert graph.nodes["layer2.0.add"].inputs == ("layer2.0.bn3", "layer2.0.downsample.1")
    assert graph.nodes["layer2.1.add"].inputs == ("layer2.1.bn3", "layer2.0.9")
    assert [graph.nodes[f"layer{i}.0.add"].shape for i in (1, 2, 3, 4)] == [
        (256, 56, 56),
        (512, 28, 28),
        (1024, 14, 14),
        (2048, 7, 7),
    ]
    blocks = [name for name, scope in graph.scopes.items() if scope.block == "Bottleneck"]
    assert len(blocks) == 3 + 4 + 6 + 3
    assert arch(RESNET, classes=10).nodes["fc"].shape == (10,)


def test_dense_block(stages: Stages) -> None:
    others = """
    block DenseBlock(layers, growth = 32, squeeze = 4) {
      for i in range(layers) {
        concat {
          branch {}
          branch {
            "denselayer{i + 1}": {
              norm1: BatchNorm2d -> ReLU -> conv1: Conv2d(squeeze * growth, 1, bias = false)
              norm2: BatchNorm2d -> ReLU -> conv2: Conv2d(growth, 3, padding = 1, bias = false)
            }
          }
        }
      }
    }
    """
    assert stages("block1: DenseBlock(2)", others) == [
        "block1.denselayer1.norm1 BatchNorm2d(image) 4 x 8 x 8",
        "block1.denselayer1.1 ReLU(block1.denselayer1.norm1) 4 x 8 x 8",
        "block1.denselayer1.conv1 Conv2d(block1.denselayer1.1) 128 x 8 x 8",
        "block1.denselayer1.norm2 BatchNorm2d(block1.denselayer1.conv1) 128 x 8 x 8",
        "block1.denselayer1.4 ReLU(block1.denselayer1.norm2) 128 x 8 x 8",
        "block1.denselayer1.conv2 Conv2d(block1.denselayer1.4) 32 x 8 x 8",
        "block1.concat concat(image, block1.denselayer1.conv2) 36 x 8 x 8",
        "block1.denselayer2.norm1 BatchNorm2d(block1.concat) 36 x 8 x 8",
        "block1.denselayer2.1 ReLU(block1.denselayer2.norm1) 36 x 8 x 8",
        "block1.denselayer2.conv1 Conv2d(block1.denselayer2.1) 128 x 8 x 8",
        "block1.denselayer2.norm2 BatchNorm2d(block1.denselayer2.conv1) 128 x 8 x 8",
        "block1.denselayer2.4 ReLU(block1.denselayer2.norm2) 128 x 8 x 8",
        "block1.denselayer2.conv2 Conv2d(block1.denselayer2.4) 32 x 8 x 8",
        "block1.concat_2 concat(block1.concat, block1.denselayer2.conv2) 68 x 8 x 8",
    ]


def test_squeeze_and_excite(stages: Stages) -> None:
    others = """
    block SqueezeExcite(ratio = 4) {
      let channels = in.channels
      mul {
        branch {}
        branch {
          AdaptiveAvgPool2d(1)
          fc1: Conv2d(channels // ratio, 1) -> ReLU
          fc2: Conv2d(channels, 1) -> Sigmoid
        }
      }
    }
    """
    assert stages("se: SqueezeExcite", others) == [
        "se.0 AdaptiveAvgPool2d(image) 4 x 1 x 1",
        "se.fc1 Conv2d(se.0) 1 x 1 x 1",
        "se.2 ReLU(se.fc1) 1 x 1 x 1",
        "se.fc2 Conv2d(se.2) 4 x 1 x 1",
        "se.4 Sigmoid(se.fc2) 4 x 1 x 1",
        "se.mul mul(image, se.4) 4 x 8 x 8",
    ]


def test_dense_net_in_its_long_form(stages: Stages) -> None:
    body = """
    for i in range(3) {
      "layer{i}": Conv2d(2, 1)
      concat { branch { from image } for j in range(i + 1) { branch { from "layer{j}" } } }
    }
    """
    assert stages(body)[-1] == "concat_3 concat(image, layer0, layer1, layer2) 10 x 8 x 8"


def test_flat_names_of_a_checkpoint(stages: Stages) -> None:
    others = """
    block Inception(name, widths) {
      concat {
        branch { "{name}_1x1": Conv2d(widths[0], 1) }
        branch {
          "{name}_3x3_reduce": Conv2d(widths[1], 1)
          "{name}_3x3": Conv2d(widths[2], 3, padding = 1)
        }
      }
    }
    """
    body = """
    inline Inception("inception_3a", [2, 3, 4])
    inline Inception("inception_3b", [1, 1, 1])
    """
    assert [line.split()[0] for line in stages(body, others)] == [
        "inception_3a_1x1",
        "inception_3a_3x3_reduce",
        "inception_3a_3x3",
        "concat",
        "inception_3b_1x1",
        "inception_3b_3x3_reduce",
        "inception_3b_3x3",
        "concat_2",
    ]


def test_shipped_resnet_means_the_same_as_the_example(arch: Arch) -> None:
    shipped = Spec("resnet50").graph("resnet50")
    example = arch(RESNET)

    assert [line.partition(" ")[2].split("(")[0] for line in lines(shipped)] == [
        line.partition(" ")[2].split("(")[0] for line in lines(example)
    ]
    assert Path(shipped.span.source.path).name == "resnet.arch"
