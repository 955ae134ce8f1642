"""Jobs of Slurm as the workers of a cluster; one that ends, at its time limit or by a fault, is submitted again."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

LOOK_SECONDS = 15.0
"""Between two looks at the jobs; one without workers at two of them has ended."""


@contextmanager
def jobs(count: int) -> Iterator[Any]:
    """Submit jobs with the options of dask-jobqueue's configuration; yields their cluster, cancels them at the end."""
    jobqueue: Any = import_module("dask_jobqueue")
    ended = threading.Event()
    with jobqueue.SLURMCluster(scheduler_options={"dashboard_address": ":0"}, silence_logs=logging.CRITICAL) as cluster:
        cluster.scale(jobs=count)
        threading.Thread(target=_keep, args=(cluster, count, ended), daemon=True).start()
        try:
            yield cluster
        finally:
            ended.set()


def _keep(cluster: Any, count: int, ended: threading.Event) -> None:
    """Submit another job for each that has ended."""
    begun, absent = set[str](), set[str]()
    while not ended.wait(LOOK_SECONDS):
        workers = [str(worker.name) for worker in list(cluster.scheduler.workers.values())]
        known = [str(name) for name in list(cluster.worker_spec)]
        # the workers of a job with several processes are called NAME-0, NAME-1 …
        alive = {job for job in known if any(name == job or name.startswith(f"{job}-") for name in workers)}
        gone = begun - alive
        for job in absent & gone:
            cluster.worker_spec.pop(job, None)
        if absent & gone:
            cluster.scale(jobs=count)
        begun, absent = (begun | alive) - (absent & gone), gone
