"""A network that was copied, or sent to another process, is the same network."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

import archdsl
from archdsl import Network


@pytest.mark.parametrize("send", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_its_source_and_counts_stay(send: Callable[[Network], Network]) -> None:
    network = archdsl.load("inception_v3")

    sent = send(network)

    assert "classes: int = 1000" in sent.source
    assert sent.source == network.source
    assert sent.count().to_dict() == network.count().to_dict()
