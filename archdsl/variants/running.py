"""Counts the variants of a plan: in this process, in several, or on a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED
from itertools import islice
from typing import Any

from archdsl.diagnostics import ArchError, printable
from archdsl.variants.errors import BadSweep
from archdsl.variants.plan import Counting, Outcome, Plan, work

PART = 32  # variants that are handed over at once
# with a port; a scheme other than these says itself where it leads
ADDRESS = re.compile(
    r"((tcp|tls|wss?|ucx)://)?(\[[0-9A-Fa-f:.%]+\]|[\w.-]+):[0-9]{1,5}|(?!(tcp|tls|wss?|ucx):)\w+://.+"
)
WAITING = 4  # parts that wait for each process, so that none has to


def outcomes(
    plan: Plan, numbers: Iterable[int], jobs: int = 1, scheduler: str = ""
) -> Iterator[list[Outcome]]:
    """Yield what comes of variants, in parts, as it is done: whoever did it, it is the same.

    Raises:
        ArchError: there is no such cluster, or what it needs is not installed, or a process that
            counted was ended from outside.
    """
    if scheduler:
        yield from _on_cluster(plan, numbers, scheduler)
    elif jobs > 1:
        yield from _in_processes(plan, numbers, jobs)
    else:
        counting = Counting(plan)
        for number in numbers:
            yield [counting.outcome(number)]


def _parts(numbers: Iterable[int]) -> Iterator[list[int]]:
    waiting = iter(numbers)
    while part := list(islice(waiting, PART)):
        yield part


def _in_processes(plan: Plan, numbers: Iterable[int], jobs: int) -> Iterator[list[Outcome]]:
    from concurrent.futures import ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_all_start_methods, get_context

    # a forked process has the layers that this one has registered, wherever they were written
    method = "fork" if "fork" in get_all_start_methods() else "spawn"
    pool = ProcessPoolExecutor(jobs, get_context(method), _begin, (plan,))
    try:
        yield from _handed_over(
            lambda part: pool.submit(_go_on, part),
            _parts(numbers),
            jobs * WAITING,
            lambda running: wait(running, return_when=FIRST_COMPLETED).done,
        )
    except BrokenProcessPool:
        reason = "a process that counted variants was ended from outside: is there enough memory?"
        raise ArchError(BadSweep(reason=reason, hint="the same command goes on")) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_plan: Plan | None = None  # of a process that counts


def _begin(plan: Plan) -> None:
    """Prepare a process that counts: what interrupts, interrupts the one that hands over."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _plan
    _plan = plan


def _go_on(part: list[int]) -> list[Outcome]:
    assert _plan is not None
    return work(_plan, part)


def _on_cluster(plan: Plan, numbers: Iterable[int], scheduler: str) -> Iterator[list[Outcome]]:
    shown, hint = printable(scheduler, 60), "its address is like tcp://192.168.0.7:8786"
    if not ADDRESS.fullmatch(scheduler):  # a client that fails at it waits before it says so
        raise ArchError(BadSweep(reason=f"`{shown}` is no address of a scheduler", hint=hint))
    try:
        from dask import distributed
    except ImportError:
        reason = "a scheduler needs Dask, which is not installed"
        install = "install it: `pip install 'archdsl[dask]'`"
        raise ArchError(BadSweep(reason=reason, hint=install)) from None
    try:
        client: Any = distributed.Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = f"no Dask scheduler answers at `{shown}`: {printable(str(error), 100)}"
        raise ArchError(BadSweep(reason=reason, hint=hint)) from None

    def some(running: list[Any]) -> Iterable[Any]:
        with client.as_current():  # and at no other time: it is nobody else's
            done: Iterable[Any] = distributed.wait(running, return_when=FIRST_COMPLETED).done
            return done

    try:
        most = WAITING * max(1, sum(client.nthreads().values()))
        yield from _handed_over(
            # what it gives is a function of these, so a part that a lost worker had is done again
            lambda part: client.submit(work, plan, part, pure=False, retries=3),
            _parts(numbers),
            most,
            some,
        )
    finally:
        client.close()


def _handed_over(
    submit: Callable[[list[int]], Any],
    parts: Iterator[list[int]],
    most: int,
    some: Callable[[list[Any]], Iterable[Any]],
) -> Iterator[list[Outcome]]:
    """Keep so many parts on their way, and yield each when it is done."""
    running = [submit(part) for part in islice(parts, most)]
    while running:
        done = set(some(running))
        running = [one for one in running if one not in done]
        for one in done:
            yield one.result()
        running += [submit(part) for part in islice(parts, most - len(running))]
