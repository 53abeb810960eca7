"""Every tensor in a text comes from where it does in the module, or the module is refused."""

from __future__ import annotations

from collections.abc import Callable

import modules
import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import graph_of
from archdsl.network import Network

Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


CASTS: dict[str, tuple[Function, str]] = {
    "float": (lambda x, y: (y > 0).float() * x, 'To("float")'),
    "to": (lambda x, y: (y > 0).to(y.dtype) + y, 'To("float")'),
    "to a device": (lambda x, y: (y > 0).to("cpu", torch.float32) + y, 'To("float")'),
    "to another": (lambda x, y: (y > 0).to(y) + y, 'To("float")'),
    "type_as": (lambda x, y: (y > 0).type_as(x) + y, 'To("float")'),
    "type": (lambda x, y: (y > 0).type(torch.float32) + y, 'To("float")'),
    "a product": (lambda x, y: (y > 0) * y, "Greater(0)"),
    "a mean": (lambda x, y: y * (y > 0).float().mean(1, keepdim=True), 'To("float")'),
    "an index": (lambda x, y: y + y.argmax(1, keepdim=True).float(), 'To("float")'),
    "cut": (lambda x, y: y.mul(9).long().float(), 'To("int")'),
    "short": (lambda x, y: y.mul(9).int() * y, 'To("int")'),
    "bool": (lambda x, y: torch.where(y.relu().bool(), x, y), 'To("bool")'),
    "less a mask": (lambda x, y: y * (1 - (x > 0).float()), "Shift(1)"),
    "twice": (lambda x, y: (y > 0).long().float() + (y > 1).float() * y, 'To("int")'),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_cast_is_a_layer(name: str) -> None:
    function, wanted = CASTS[name]
    module = modules.Of(function)

    network = archdsl.from_torch(module, torch.randn(2, 4))

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    assert wanted in network.spec
    numbers = 5 * torch.randn(7, 4)
    assert torch.equal(network.compile().eval()(numbers), module.eval()(numbers))
    assert network.count().macs == 16


class Masked(nn.Module):
    """What stands at places of padding is left out of a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        there = (ids > 0).float().unsqueeze(-1)
        return (self.words(ids) * there).sum(1) / there.sum(1).clamp(min=1)


def test_a_mask_of_indices_is_one() -> None:
    network = archdsl.from_torch(Masked(), torch.randint(0, 10, (2, 6)))

    assert network.proof.same
    assert 'Greater(0) -> To("float")' in network.spec


def unseen(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        return y + x


REFUSED: dict[str, tuple[Function, str]] = {
    "unseen": (lambda x, y: unseen(x, y).relu(), "nobody saw whence"),
    "an unseen output": (unseen, "nobody saw whence"),
    "64 bits": (lambda x, y: (y > 0).double().float() + y, "`double` from bool to float64"),
    "64 bits of indices": (
        lambda x, y: y.argmax(1, keepdim=True).double().float() + y,
        "`double` from int64 to float64",
    ),
    "halves": (lambda x, y: y.half().float() + x, "`half` from float32 to float16"),
    "bytes": (lambda x, y: y.mul(99).long().to(torch.uint8).float(), "from int64 to uint8"),
    "bits": (lambda x, y: y.view(torch.int32).view(torch.float32) + x, "a view of the bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_refused_and_counted(name: str) -> None:
    function, said = REFUSED[name]

    network = archdsl.from_torch(modules.Of(function), torch.randn(2, 4))

    with pytest.raises(ImportingError, match=said):
        _ = network.spec
    # what only leads to a tensor that nobody saw isn't known to be needed
    assert network.count().macs == (0 if "unseen" in name else 16)
    assert "from torch" in str(network.count())


def test_what_nobody_saw_is_no_constant_in_a_count() -> None:
    module = modules.Of(lambda x, y: unseen(x, y).relu())

    count = Network(graph_of(module, (torch.randn(2, 4),), "net")).count()

    assert "constant" not in str(count)
    assert "nobody saw whence" in str(count)
