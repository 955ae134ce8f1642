"""Workers that a command starts: processes of this machine or jobs of Slurm; one that ends is started again."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

LOOK_SECONDS = 1.0
"""Between two looks at the workers."""
GRACE_SECONDS = 60.0
"""How long a worker may be away: a process that dies is started again by Dask, which takes some seconds."""
DASHBOARD = "127.0.0.1:0"
"""Where a scheduler's own page is: any free port, which other machines do not reach."""
KEPT = {"distributed.deploy.lost-worker-timeout": "1000 days"}
"""Dask gives up workers that are away for 15 s and does not start others."""


@contextmanager
def local_workers(count: int) -> Iterator[Any]:
    """Start processes of this machine, each with one unit at a time; yields their cluster."""
    distributed: Any = import_module("distributed")
    cluster = distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        memory_limit=0,  # the system's limit alone: a share of the memory may be too little for a unit
        dashboard_address=DASHBOARD,
        silence_logs=logging.CRITICAL,
    )
    with cluster, _kept(cluster, lambda: cluster.scale(count), may_queue=False):
        yield cluster


@contextmanager
def slurm_jobs(count: int) -> Iterator[Any]:
    """Submit jobs with the options of dask-jobqueue's configuration; yields their cluster, cancels them at the end."""
    jobqueue: Any = import_module("dask_jobqueue")
    cluster = jobqueue.SLURMCluster(scheduler_options={"dashboard_address": DASHBOARD}, silence_logs=logging.CRITICAL)
    with cluster:
        cluster.scale(jobs=count)
        with _kept(cluster, lambda: cluster.scale(jobs=count), may_queue=True):
            yield cluster


@contextmanager
def _kept(cluster: Any, start: Callable[[], None], may_queue: bool) -> Iterator[None]:
    """Start another worker for each that has ended."""
    ended = threading.Event()
    watch = threading.Thread(target=_keep, args=(cluster, start, may_queue, ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _keep(cluster: Any, start: Callable[[], None], may_queue: bool, ended: threading.Event) -> None:
    """See `_kept`.

    Args:
        start: starts those that are in the cluster's specification and are not there.
        may_queue: whether a worker that was never there is waited for without a limit.
    """
    seen: dict[Any, float] = {}  # when a worker was last there, or was to be started
    while not ended.wait(LOOK_SECONDS):
        there = [str(worker.name) for worker in list(cluster.scheduler.workers.values())]
        for name in list(cluster.worker_spec):
            # the workers of a job with several processes are called NAME-0, NAME-1 …
            if any(worker == str(name) or worker.startswith(f"{name}-") for worker in there):
                seen[name] = time.monotonic()
                continue
            if not may_queue:
                seen.setdefault(name, time.monotonic())
            closed = getattr(getattr(cluster.workers.get(name), "status", None), "name", "") in ("closed", "failed")
            if closed or time.monotonic() - seen.get(name, time.monotonic()) > GRACE_SECONDS:
                seen.pop(name, None)
                lost = cluster.workers.pop(name, None)
                if lost is not None:
                    cluster.loop.add_callback(lost.close)
                start()
