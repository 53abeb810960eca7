"""Figures from instances are those that are counted node by node."""

from __future__ import annotations

from pathlib import Path

import pytest
from generators import ArchSpec, arch_specs
from hypothesis import HealthCheck, given, settings

import archdsl
from archdsl.check import check
from archdsl.counting import count
from archdsl.elaborate.network import work_out
from archdsl.elaborate.world import Kept, World
from archdsl.pipeline import Spec
from archdsl.variants import plan as plans
from archdsl.variants.figures import NAMES, figures_of
from archdsl.variants.instances import Instances

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.arch"))


def both(path: Path) -> dict[str, bool]:
    """Compare all networks of a file, and return which were counted from instances."""
    spec, kept, instances = Spec(str(path)), Kept(), Instances()
    found = {}
    for name in spec.networks:
        if spec.is_complete(name):
            world = World(spec.layers, spec.limits, kept)
            worked = work_out(world, spec.file, name, {}, {})
            whole = figures_of(count(check(worked.graph())))
            figures = instances.figures(worked)
            assert figures is None or dict(zip(NAMES, figures, strict=True)) == dict(
                zip(NAMES, whole, strict=True)
            )
            found[name] = figures is not None
    return found


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_networks_that_come_with_the_package(path: Path) -> None:
    # these have outputs of training only, integers, or something that reads inside a block
    unusual = {"inception_v3", "googlenet", "googlenet_2014"}
    unusual |= {"bert_base", "bert_large", "gpt2", "gpt2_medium", "llama_7b", "llama_3_8b"}
    unusual |= {"swin_v2_t", "swin_v2_s", "swin_v2_b", "beit_base_patch16_224"}
    unusual |= {"maxvit_t", "mvit_v1_b", "mvit_v2_s", "swin3d_t", "swin3d_s", "swin3d_b"}
    unusual |= {"davit_tiny", "davit_small", "davit_base"}
    unusual |= {"dm_nfnet_f0", "dm_nfnet_f1", "dm_nfnet_f2", "dm_nfnet_f3"}
    unusual |= {
        "mobilevit_s",
        "mobilevit_xs",
        "mobilevit_xxs",
        "coatnet_0_rw_224",
        "coatnet_1_rw_224",
    }
    unusual |= {"t5_small_encoder", "t5_base_encoder", "t5_large_encoder"}
    unusual |= {"hrnet_w18", "gru_classifier", "lstm_tagger", "retinanet_resnet50_fpn"}
    unusual |= {"tf_efficientdet_d0", "tf_efficientdet_d1", "tf_efficientdet_d2", "efficientdet_d0"}
    unusual |= {"ddpm_cifar10_32", "ddpm_celebahq_256"}
    unusual |= {"yolov8n", "yolov8s", "yolov8m", "yolov8l", "yolov8x"}

    assert {name for name, counted in both(path).items() if not counted} <= unusual


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(spec=arch_specs(wide=True))
def test_random_networks(spec: ArchSpec, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_text(spec.text())

    both(path)


# What is unusual, or nearly so: each must be counted as it is node by node, one way or the other.
ODD = {
    "a block that gives what it gets": ("B -> Conv2d(4, 1)", "residual when false { }", True),
    "a view out of a block": ("B -> Linear(3)", "Flatten", True),
    "a view of what is still read": (
        "concat(dim = 1) { branch { B } branch { Flatten } }", "Flatten", True
    ),
    "what a block gets is read later": ("add { branch { B } branch { } }", "Conv2d(4, 1)", True),
    "what a block gets is read in the middle": (
        "B", "concat { branch { Conv2d(9, 1) -> ReLU -> Conv2d(1, 1) } branch { } }\n Conv2d(9, 1)",
        True,
    ),
    "a block in a block": ("B -> C", "ReLU -> Conv2d(4, 1)", True),
    "turns of a loop": ("repeat 5 { B } ReLU", "Conv2d(4, 1) -> ReLU", True),
    "loops in loops": ("repeat 3 { repeat 4 { B } ReLU }", "Conv2d(4, 1) -> ReLU", True),
    "a reference into a block": (
        "b: B\n add { branch {} branch { from b.c } }", "c: Conv2d(4, 1)\n ReLU", False
    ),
    "both results of a block": ("b: B\n add { branch {} branch { from b.side } }",
                                "c: Conv2d(4, 1)\n output side\n ReLU", None),
    "reuse": ("b: B\n reuse b", "Conv2d(4, 1)", False),
    "reuse in a block": ("B", "c: Conv2d(4, 1)\n reuse c", False),
    "an output of training": ("B -> ReLU\n output aux when training { Conv2d(1, 1) }\n ReLU",
                              "Conv2d(4, 1)", False),
    "several outputs": ("b: B\n output low\n Conv2d(2, 1)", "Conv2d(4, 1) -> ReLU", True),
    "a tensor of its own": (
        "B", "parameter w: [4, 1, 1]\n mul { branch {} branch { from w } }", True
    ),
    "integers of its own": (
        "B", "buffer w: [4, 1, 1] = 2\n mul { branch {} branch { from w } }", None
    ),
    "attention": (
        "Flatten(2) -> Permute([0, 2, 1]) -> B", "MultiheadAttention(2) -> LayerNorm", None
    ),
    "statistics": ("B -> C", "BatchNorm2d -> LocalResponseNorm(2) -> Dropout(0.5)", True),
    "a tensor twice": (
        "b: ReLU\n from b, b\n B",
        "input p\n input q\n add { branch { from p } branch { from q -> Conv2d(4, 1) } }", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_networks(name: str, tmp_path: Path) -> None:
    body, block, counted = ODD[name]
    path = tmp_path / "net.arch"
    path.write_text(
        f"network net {{\n input image: [4, 8, 8]\n {body}\n}}\n"
        f"block B {{\n {block}\n}}\nblock C {{ B -> Conv2d(4, 1) -> B }}\n"
    )
    try:
        found = both(path)["net"]
    except archdsl.ArchError:
        pytest.fail(f"{path.read_text()} is wrong")

    assert counted in (None, found)


def test_a_difference_is_never_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Instances, "figures", lambda self, worked: (1,) * len(NAMES))

    with pytest.raises(AssertionError, match="by blocks"):
        list(archdsl.sweep("lenet5", classes=[1, 2]))


def test_every_variant_of_small_spaces_is_that_which_is_worked_out_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plans, "WHOLE", 1)  # each is compared with its network node by node
    spaces = [
        ("mobilenet_v2", {"width": "0.25..1.5 by 0.25", "classes": "10,1000"}),
        (ROOT / "docs/mobilenet_search.arch", {"width": "0.5,1.0", "depth": "0.5,1.0,2.0",
                                               "expansion": "1..3", "size": "96,128"}),
        ("resnet.arch:ResNet", {"unit": "BasicBlock,Bottleneck(groups = 32, group_width = 4)",
                                "depths": "[1, 1, 1, 1],[2, 3, 1, 2]",
                                "option": "OptionA,OptionB,none"}),
        ("inception_v3", {"classes": "10,100", "aux": "true,false"}),
    ]  # fmt: skip
    for spec, parameters in spaces:
        name = spec if "." not in str(spec) else ROOT / "specs" / spec
        rows = [*archdsl.sweep(str(name), parameters=parameters)]
        assert not any(row["error"] for row in rows)
