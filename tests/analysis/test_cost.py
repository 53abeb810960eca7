"""Parameters, multiply-accumulates and other operations against published figures."""

from __future__ import annotations

import pytest
from building import Builder, H, W
from sketches import biased, convolution, resnet50, unet, vgg16

from archdsl import load
from archdsl.analysis.cost import Cost, Parameters, Usage, cost, totals
from archdsl.layers.merge import Add
from archdsl.layers.normalization import BatchNorm2d
from archdsl.layers.sizes import FormulaError
from archdsl.layers.tensor import OwnTensor


def test_published_figures() -> None:
    vgg, resnet = cost(vgg16()), cost(resnet50())

    assert vgg.parameters == Parameters(138_357_544, 138_357_544, 138_357_544)
    assert vgg.macs == Usage(15_470_264_320, 15_470_264_320)
    assert resnet.parameters.total == 25_557_032
    assert resnet.macs.inference == 4_089_184_256
    assert resnet.buffers.training == 53_173  # two a channel, and one for each of 53 layers


def test_a_module_applied_twice_learns_once_and_works_twice() -> None:
    net = Builder()
    net.input("x", 4, 8, 8)
    net.put("a", biased(4, 3, padding=1))
    net.put("bn", BatchNorm2d())
    net.put("a2", biased(4, 3, padding=1), shares="a")
    net.put("bn2", BatchNorm2d(), shares="bn")
    net.put("a3", biased(4, 3, padding=1), shares="a2")

    costs = cost(net.checked())

    assert costs.parameters.total == 148 + 8
    assert costs.buffers.training == 9
    assert costs.macs.inference == 3 * 9_216
    assert costs.nodes["a3"] == Cost(0, 0, 9_216, {"bias": 256})
    assert costs.other["bias"] == Usage(3 * 256, 3 * 256)


def test_what_only_training_needs_is_counted_apart() -> None:
    net = Builder()
    net.input("x", 4, 8, 8)
    net.put("trunk", biased(4, 3, padding=1))
    net.put("aux", biased(2, 1), "trunk")
    net.put("aux_bn", BatchNorm2d())
    net.output("aux", training_only=True)
    net.put("head", biased(2, 1), "trunk")
    net.output("main")

    costs = cost(net.checked())

    assert costs.parameters == Parameters(148 + 10 + 4 + 10, 148 + 10 + 4 + 10, 148 + 10)
    assert costs.buffers == Usage(inference=0, training=5)
    assert costs.macs == Usage(9_216 + 512, 9_216 + 512 + 512)
    assert costs.other["bias"] == Usage(256 + 128, 256 + 128 + 128)
    assert costs.other["normalization"].inference == 0


def test_parameters_that_inference_reuses_from_a_training_branch_are_needed() -> None:
    net = Builder()
    net.input("x", 4, 8, 8)
    net.put("aux", convolution(2, 1))
    net.output("aux", training_only=True)
    net.put("head", convolution(2, 1), "x", shares="aux")
    net.output("main")

    assert cost(net.checked()).parameters.inference == 8
    assert totals(net.checked()).parameters.inference == 8


def test_totals_alone_are_those_of_the_table() -> None:
    shared = Builder()
    shared.input("x", 4, H, W)
    shared.put("a", biased(4, 3, padding=1))
    shared.put("b", biased(4, 3, padding=1), shares="a")
    shared.put("aux", biased(2, 1), "a")
    shared.output("aux", training_only=True)
    shared.put("again", biased(2, 1), "b", shares="aux")
    shared.put("more", biased(2, 1), "a")
    shared.output("more", training_only=True)
    shared.put("head", biased(3, 1), "again")
    shared.output("main")

    for checked in (shared.checked(), load("resnet50").checked, load("inception_v3").checked):
        costs, found = cost(checked), totals(checked)
        assert found.parameters == costs.parameters
        assert found.macs == costs.macs


def test_tensors_of_the_network_are_counted() -> None:
    net = Builder()
    net.input("x", 4, 8, 8)
    net.put("gamma", OwnTensor(shape=(4, 1, 1), value=1))
    net.put("mean", OwnTensor(shape=(4, 8, 8), learnable=False))
    net.put("sum", Add(), "x", "gamma", "mean")

    costs = cost(net.checked())

    assert costs.parameters.total == 4
    assert costs.buffers == Usage(256, 256)
    assert costs.other == {"elementwise": Usage(512, 512)}


def test_counts_of_free_sizes_give_the_numbers_of_fixed_ones() -> None:
    free, fixed = cost(unet(H, W)), cost(unet(96, 160))

    assert free.parameters == fixed.parameters
    assert free.macs.inference.evaluate({"H": 96, "W": 160}) == fixed.macs.inference
    for heading, usage in free.other.items():
        assert usage.training.evaluate({"H": 96, "W": 160}) == fixed.other[heading].training


def test_a_total_too_intricate_to_write_is_refused() -> None:
    net = Builder()
    net.input("x", 1, H, W)
    for kernel in range(2, 300):
        net.put(f"n{kernel}", convolution(1, kernel, stride=kernel), "x")

    with pytest.raises(FormulaError, match="too intricate"):
        cost(net.checked())
