"""Layers of a user's own: classes in the file, or imported from the user's package."""

from __future__ import annotations

from pathlib import Path

import pytest
from compiled import verified

from archdsl.graph import CheckedGraph
from archdsl.layers.arguments import Flag, Number
from archdsl.layers.base import Facts, Layer, Shapes, TorchModule, single
from archdsl.layers.convolution import Conv2d
from archdsl.layers.normalization import BatchNorm2d
from archdsl.pipeline import Spec

SOURCE = '''\
class Gate(nn.Module):
    """A learnable factor for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return input * {text}
'''


class Gate(Layer):
    """A learnable factor for each channel."""

    text = "self.weight"

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        source = SOURCE.format(text=self.text)
        return Facts(
            output=shape,
            torch=TorchModule("Gate", (shape[0],), source=source),
            params={"weight": (shape[0], 1, 1)},
        )


class OtherGate(Gate):
    """Another layer whose class in torch has the same name."""

    text = "torch.sigmoid(self.weight)"


class Packaged(Layer):
    """A layer whose class in torch is in the user's package."""

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        torch = TorchModule("own_package.modules.Doubled", (shape[0],))
        return Facts(output=shape, torch=torch, params={"weight": (shape[0], 1, 1)})


def graph(folder: Path, text: str) -> CheckedGraph:
    path = folder / "net.arch"
    path.write_text(text)
    own = {"Gate": Gate, "OtherGate": OtherGate, "Packaged": Packaged}
    return Spec(str(path), layers=own).graph()


def test_classes_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    text = """block Gate2 { OtherGate; Conv2d(3, 1) }
    network net { input image: [3, 4, 4]
      a: Gate; b: OtherGate; c: Gate; d: Gate2; Gate: Gate
    }"""
    source, found = verified(graph(tmp_path, text))
    assert found.agrees
    assert source.count("class Gate") == 3


def test_a_class_of_a_package_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    code = SOURCE.format(text="self.weight * 2").replace("class Gate", "class Doubled")
    (package / "modules.py").write_text(f"import torch\nfrom torch import nn\n\n\n{code}")
    monkeypatch.syspath_prepend(tmp_path)

    text = "network net { input image: [3, 4, 4]; a: Packaged; Packaged; Conv2d(3, 1) }"
    source, found = verified(graph(tmp_path, text))

    assert found.agrees
    assert "\nimport own_package.modules\nfrom torch import nn\n" in source or (
        "\nimport own_package.modules\nimport torch\nfrom torch import nn\n" in source
    )
    assert "self.a = own_package.modules.Doubled(3)" in source


class Leaky(Layer):
    """A LeakyReLU with another default than torch's."""

    negative_slope: Number = 0.2

    def infer(self, inputs: Shapes) -> Facts:
        given = {"negative_slope": self.negative_slope}
        return Facts(single(inputs), TorchModule("nn.LeakyReLU", keywords=given))


class Conv3x3(Conv2d):
    """A convolution with other defaults than torch's."""

    kernel_size: tuple[int, ...] = (3, 3)
    padding: tuple[int, ...] = (1, 1)
    bias: Flag = False


class SmallNorm(BatchNorm2d):
    """Batch normalization with another default than torch's."""

    eps: Number = 0.001


def test_defaults_of_a_user_are_told_to_torch(tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text("""network net { input image: [3, 8, 8]
      Conv3x3(4) -> SmallNorm -> Leaky -> B(0.2) -> B(0.3) -> Conv3x3(4, bias = true) -> Leaky(0.01)
    }
    block B(slope) { SmallNorm(eps = 0.00001) -> Leaky(slope) }""")
    own: dict[str, type[Layer]] = {"Conv3x3": Conv3x3, "SmallNorm": SmallNorm, "Leaky": Leaky}
    source, found = verified(Spec(str(path), layers=own).graph())

    assert found.agrees
    for call in (
        "nn.Conv2d(3, 4, kernel_size=3, padding=1, bias=False)",
        "nn.Conv2d(4, 4, kernel_size=3, padding=1)",
        "nn.BatchNorm2d(4, eps=0.001)",
        "nn.BatchNorm2d(4),",
        "nn.LeakyReLU(negative_slope=0.2)",
        "nn.LeakyReLU(negative_slope=0.01)",
    ):
        assert call in source, source
