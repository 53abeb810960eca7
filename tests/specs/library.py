"""Every network of the library that can be taken as it is: all its parameters have values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archdsl.elaborate.network import open_parameters
from archdsl.pipeline import Spec

SPECS = Path(__file__).parents[2] / "specs"


def complete(spec: Spec) -> list[str]:
    return [
        name
        for name in spec.networks
        if all(parameter.default is not None for parameter in open_parameters(spec.file, name))
    ]


FILES = {path.stem: Spec(str(path)) for path in sorted(SPECS.glob("*.arch"))}
NETWORKS = {name: spec for spec in FILES.values() for name in complete(spec)}
# Built otherwise than the first network of their file
OTHERWISE = {
    "alexnet_2012", "dcgan_generator", "deeplabv3_resnet50", "gru_classifier",
    "inception_resnet_v2", "lenet5_dense", "lenet5_rbf", "plain20", "r2plus1d_18", "regnet_y_400mf",
    "resnet18", "resnet18_a", "resnet20_b", "resnet34_c", "resnet50", "vgg11_bn", "vgg11_lrn",
}  # fmt: skip


# Files whose networks are blocks of other files, with other numbers
ALIKE = {"efficientnet_v2", "fcn", "resnext", "wide_resnet"}
# Of families that take long; small ones are made of these, "MaxViT, small"
LONG = {"maxvit_t", "mvit_v1_b", "swin3d_t"}


def _sample() -> Iterator[str]:
    for stem, spec in FILES.items():
        if stem in ALIKE:
            continue
        names = complete(spec)
        yield from names if stem == "blocks" else {*names[:1]} - LONG
    yield from OTHERWISE


# What costs seconds for each network is done for these in each run, and for all by hand.
SAMPLE = frozenset(_sample())


def sampled(names: Iterable[str] = NETWORKS, large: Collection[str] = ()) -> list[Any]:
    """Return names of networks for `parametrize`: what is not in the sample is `whole`.

    A variant of one has its name and a comma first: "googlenet, recentred". Those of a family that
    are made for tests are "MaxViT, small".

    Args:
        large: names of the sample for which it takes too long all the same.
    """
    return [
        name
        if (name.partition(",")[0] in SAMPLE or name.endswith("small")) and name not in large
        else pytest.param(name, marks=pytest.mark.whole)
        for name in names
    ]
