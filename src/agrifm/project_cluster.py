"""The project and the cluster of a command: the project is read first, so that no job waits for a mistake in it."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from agrifm.cluster import open_cluster, shared_path
from agrifm.config import Project, read_project


@contextmanager
def project_on_cluster(path: Path, address: str | None) -> Iterator[tuple[Project, Executor | None]]:
    """Read a project and open a cluster for it; see `read_project` and `open_cluster`.

    Args:
        path: of the project.
    """
    project = read_project(shared_path(address, path))
    with open_cluster(address, project.directory) as executor:
        yield project, executor
