"""The texts of errors that no spec gives by itself: of drawing, compiling and running.

They come of what is installed, or of the machine; that they are raised is tested where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from archdsl.diagnostics import Diagnostic, Source, Span, render

HERE = Path(__file__).parent
SPAN = Span(Source("net.arch", "network net {\n  input image: [3, H, W]\n}\n"), 8, 11)
pytest.importorskip("torch")


def made() -> dict[str, Diagnostic]:
    """Return an error of each kind, by the name of its text."""
    from archdsl.backends.deconvnet.errors import CannotProject
    from archdsl.backends.diagram import errors as drawing
    from archdsl.backends.optimizing import errors as optimizing
    from archdsl.backends.python_source.errors import NothingToEvaluate
    from archdsl.backends.seeing import errors as seeing
    from archdsl.backends.torch_module import errors as running
    from archdsl.counting import IntricateCosts
    from archdsl.importing import errors as importing
    from archdsl.importing.keras.errors import BadKeras
    from archdsl.importing.onnx.errors import BadOnnx
    from archdsl.node_names import NoSuchNode
    from archdsl.patterns import BadRename, NoCheckpoint, NoSuchParameter
    from archdsl.variants.errors import OtherSweep

    return {
        "E0603_training_only": NothingToEvaluate(span=SPAN, name="net"),
        "E0604_device": running.NoDevice(
            span=None, device="cuda:1", reason="torch sees no more than one GPU"
        ),
        "E0605_memory": running.TooLarge(
            span=SPAN, doing="running `net` with a batch of 64", needed="128.0 GiB", there="5.0 GiB"
        ),
        "E0606_free": running.SizeNotGiven(span=SPAN, names=("H", "W"), reason="they are free"),
        "E0607_weights": running.WrongWeights(
            span=None,
            path="net.safetensors",
            reason="doesn't fit the network: 1 missing, 1 surplus",
            more=("missing: fc.weight", "surplus: head.weight"),
            hint="`--rename 'head.weight=fc.weight'` makes all names fit",
        ),
        "E0608_pattern": NoSuchParameter(
            span=None, pattern="layer9.*", known=("conv1.weight", "bn1.weight")
        ),
        "E0612_rename": BadRename(
            span=None,
            rename="module.*=*.*",
            reason="the new name has more `*` or `?` than the old one",
        ),
        "E0609_export": running.CannotExport(
            span=None,
            form="safetensors",
            reason="on the meta device it has no numbers",
            hint="use `--device cpu`",
        ),
        "E0609_layer": running.CannotExport(
            span=None,
            form="ONNX",
            what="`tail.cut` (Halved)",
            reason="for an input of 1 x 4 x 65 its output is 1 x 4 x 32, and 1 x 4 x 33 in torch",
            hint="write a .pt2 file, which can hold it, or give it fixed sizes: `--input x=4x64`",
        ),
        "E0610_index": running.OutsideTable(span=SPAN),
        "E0611_older_torch": running.OlderTorch(
            span=SPAN, version="2.6.0", lacks="argument `bias` in `nn.BatchNorm2d`"
        ),
        "E0613_node": NoSuchNode(
            span=None,
            reason="nothing in `inception_v3` is called `Mixed_5d.brach1x1`",
            hint="did you mean `Mixed_5d.branch1x1` or `Mixed_6d.branch1x1`?",
        ),
        "E0613_several": NoSuchNode(
            span=None,
            reason="`body` gives several tensors of `pyramid`",
            hint="name one: `body.1` or `body.2`",
        ),
        "E0614_training": CannotProject(
            span=None,
            reason="`AuxLogits.fc` is there only in training, and activations are those of "
            "evaluation mode",
        ),
        "E0615_again": NoCheckpoint(
            span=SPAN, name="net.body", reason="a layer in it is applied from elsewhere"
        ),
        "E0616_package": running.NoPackage(span=SPAN, layer="DeformConv2d", package="torchvision"),
        "E0701_nothing_installed": drawing.NoEngine(
            span=None, format="pdf", engine=None, able=("dot", "pygraphviz")
        ),
        "E0702_failed": drawing.EngineFailed(span=None, engine="dot", said="out of memory"),
        "E0703_slow": drawing.TooSlow(span=None, engine="dot", seconds=60),
        "E0704_boxes": drawing.TooManyBoxes(span=None, boxes=5_000, limit=2_000, fitting=1),
        "E0707_page": drawing.TooLargePage(span=None, nodes=100_003, limit=20_000),
        "E0708_costs": IntricateCosts(span=None, network="pyramid"),
        "E0709_direction": drawing.PageFromLeftToRight(span=None, direction="LR"),
        "E0802_other_sweep": OtherSweep(
            span=None,
            path="out.csv.unfinished",
            reason="has rows of a sweep with another text of the spec",
        ),
        "E0811_image": seeing.BadImage(
            span=None,
            path="cat.png",
            reason="has 20,000 x 20,000 pixels, and at most 64,000,000 are decoded",
            hint="make it smaller first: a network sees a few hundred pixels",
        ),
        "E0812_folder": seeing.NoImages(
            span=None,
            what="photos has no images",
            hint="images are files that end in .jpg, .jpeg, .png, .gif, .bmp, .webp, ...",
        ),
        "E0813_input": seeing.NotForImages(
            span=SPAN, network="net", reason="has 2 inputs, and only networks with one can be seen"
        ),
        "E0814_layer": seeing.BadLayer(
            span=None,
            what="`fc6` (Linear) has no places to show: it gives 4096, and maps are "
            "channels x height x width",
            hint="`pool5` is the last one with places",
        ),
        "E0815_class": seeing.BadClass(
            span=None, what="there is no class `cta`", hint="did you mean `cat`?"
        ),
        "E0816_view": seeing.BadView(
            span=None, option="--top", reason="is a number from 1 to 100, and not 0"
        ),
        "E0821_engine": optimizing.BadEngine(
            span=None,
            engine="openvino",
            reason="needs openvino, which is not installed: pip install openvino",
        ),
        "E0822_pass": optimizing.BadOptimization(
            span=None,
            option="--passes",
            reason="is evaluation, scaling, pruning, exchanging, clamping, appending, joining or "
            "merging, and not `joinin`",
            hint="did you mean `joining`?",
        ),
        "E0901_module": importing.NoModule(
            span=None, what="`mypackage.nets`", reason="has no `Nett`; did you mean `Net`?"
        ),
        "E0902_pass": importing.NoForwardPass(
            span=None,
            what="`Net`",
            reason="RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 4x3)",
            place="mypackage/nets.py:21: return self.fc(x)",
        ),
        "E0904_onnx": BadOnnx(
            file="`net.onnx`",
            reason="says that the tensor `fc.weight` is of 1000x512, and holds 16 numbers for it",
        ),
        "E0905_keras": BadKeras(
            file="`net.keras`",
            reason="says that what `conv` gives is 8x8x16, and its layers make it 4x4x16",
        ),
        "E0903_words": importing.NotSayable(
            span=None,
            what="`Net`",
            missing=("2 times: `cumsum`, at mypackage/nets.py:14: x = torch.cumsum(x, 1)",),
        ),
        "E0711_times": drawing.WrongTimes(
            span=None, reason="the times have a layer `C1`, and `net` has none of that name"
        ),
        "E0706_choice": drawing.BadChoice(
            span=None, option="theme", value="pink", choices=("light", "dark")
        ),
    }


@pytest.mark.parametrize("name", sorted(made()))
def test_text(name: str, golden: Callable[[Path, str], None]) -> None:
    diagnostic = made()[name]

    assert name.startswith(f"{diagnostic.code}_")
    golden(HERE / f"{name}.txt", f"{render(diagnostic)}\n")
