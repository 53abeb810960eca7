"""A Dask cluster counts the same, also when a worker is killed on the way."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.variants import running

distributed = pytest.importorskip("distributed", reason="pip install 'archdsl[dask]'")
NET = Path(__file__).with_name("net.arch")
ASKED: Any = {"width": "1..60", "depth": "0..5", "unit": "Plain,Grouped(groups = 2)"}


@pytest.fixture
def cluster() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask itself, on ports and on workers that are gone
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as running_cluster:
            yield running_cluster


@pytest.mark.slow
def test_no_row_is_lost_or_doubled_when_a_worker_is_killed(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = [*archdsl.sweep(NET, **ASKED)]
    numbers: list[int] = []
    real = running.outcomes

    def watched(*asked: Any) -> Iterator[Any]:
        for number, part in enumerate(real(*asked)):
            if number == 3:  # while others are under way
                with distributed.Client(cluster, set_as_default=False) as client:
                    pids = client.run(os.getpid)
                os.kill(next(iter(pids.values())), signal.SIGKILL)
            numbers.extend(outcome.number for outcome in part)
            yield part

    monkeypatch.setattr("archdsl.variants.sweep.outcomes", watched)
    rows = [*archdsl.sweep(NET, **ASKED, scheduler=cluster.scheduler_address)]

    assert rows == expected
    assert sorted(numbers) == [*range(720)]


@pytest.mark.slow
def test_workers_need_no_file(cluster: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.arch"
    path.write_bytes(NET.read_bytes())
    sweep = archdsl.sweep(path, width=[1, 2, 3], scheduler=cluster.scheduler_address)
    path.unlink()

    assert [row["width"] for row in sweep] == [1, 2, 3]


def test_no_cluster_there_is_said() -> None:
    with pytest.raises(archdsl.ArchError, match="no Dask scheduler answers at `tcp://localhost:1`"):
        [*archdsl.sweep(NET, width=[1], scheduler="tcp://localhost:1")]
