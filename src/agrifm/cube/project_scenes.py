"""Which scenes a project asks for: those of its provider or catalogue, and its local files.

Searching writes nothing, so that a fetch and its forecast share it; `SourceAnswer.keep` writes the answer of a
catalogue next to the cube.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from agrifm.area_tiles import tile_grid, tile_reach
from agrifm.config import Project
from agrifm.errors import ConfigError
from agrifm.grid import Grid, utm_zone
from agrifm.outputs import unfinished as unfinished_at
from agrifm.scene.area import Area, read_area
from agrifm.scene.described_products import described_products
from agrifm.scene.local_files import search_files
from agrifm.scene.products import Product, find_product
from agrifm.scene.providers import find_provider, provider_of
from agrifm.scene.reach import ANYWHERE, Reach
from agrifm.scene.remote import TRAFFIC, is_remote
from agrifm.scene.scenes_file import is_answer_to, request_of, write_collection
from agrifm.scene.search import search_catalog
from agrifm.scene.search_result import SearchResult

SCENES = "scenes.json"
"""Item collection next to the cube: the scenes that were found, from which the cube is built."""


@dataclass(frozen=True)
class WantedImagery:
    """What a project asks for: its area and its products."""

    area: Area
    products: tuple[Product, ...]
    grid: Grid | None = None
    """Of a tile of a divided area, the ground that its cube covers."""
    around: BaseGeometry | None = None
    """Of a tile, where its scenes are: wider than its area."""

    @property
    def searched(self) -> BaseGeometry:
        """Where scenes are searched, in longitude and latitude."""
        return self.area.shape if self.around is None else self.around


@dataclass(frozen=True)
class SourceAnswer:
    """What a provider or a catalogue answered."""

    search: SearchResult
    request: dict[str, Any] | None = None
    """What was asked for, if the answer is to be kept next to the cube."""
    notes: tuple[str, ...] = ()
    """Whether an earlier answer was used instead."""

    def keep(self, path: Path) -> None:
        """Write the answer, unless there is nothing new in it; see `agrifm.scene.scenes_file.write_collection`."""
        if self.request is not None:
            search = self.search
            write_collection(path, search.items, search.removed, self.request, search.unusable.reasons)


def wanted_imagery(project: Project, doing: str = "fetching") -> WantedImagery:
    """Return the area and the products of a project; a mistake in them is refused before anything is searched.

    Args:
        doing: what is being done, for the error.

    Raises:
        ConfigError: the area or the source is absent, or the area or a product cannot be used.
        CubeError: the area is not in one UTM zone.
    """
    imagery = project.imagery
    if project.season.area is None or not imagery.has_source:
        missing = "area" if project.season.area is None else "catalog"
        raise ConfigError(
            f"{doing}: the project has no `{missing}`, which a project of a series table needs only for a cube; give "
            "`area` under [season] and `provider`, `catalog` or [[imagery.files]]",
            key=missing,
        )
    described = described_products(imagery.product)
    if (tile := project.tile) is not None:
        products = tuple(find_product(name, described) for name in imagery.products)
        return WantedImagery(Area(tile.area), products, tile_grid(tile), tile_reach(tile))
    area = read_area(project.season.area, project.directory, project.season.buffer, project.season)
    if not imagery.native_grid:
        utm_zone(area.shape)
    return WantedImagery(area, tuple(find_product(name, described) for name in imagery.products))


def search_source(project: Project, wanted: WantedImagery) -> SourceAnswer:
    """Search the project's provider or catalogue.

    An unfinished build from a server goes on with the scenes that were found when it began, whatever the server has
    by now.

    Raises:
        ConfigError: the provider does not have a product.
        SceneError: see `search_catalog`.
    """
    with TRAFFIC.purpose("search"):
        return _search(project, wanted.products, wanted.searched)


def with_local_files(project: Project, search: SearchResult) -> SearchResult:
    """Add the scenes of the project's local files to a search, and refuse what its keys refuse.

    Raises:
        SceneError: scenes are unusable, and the project does not leave them out.
    """
    imagery, season = project.imagery, project.season.season
    for files in imagery.files:
        product = find_product(files.product, described_products(imagery.product))
        search.extend(
            search_files(project.directory, files.pattern, product, season, imagery.skip, files.baseline, "skip")
        )
    if imagery.without_quality == "keep":
        search.scenes = [replace(scene, unmasked=True) for scene in search.scenes]
    if imagery.missing == "stop":  # else the build leaves them out of their frames, which stay
        search.refuse_incomplete()
    search.unusable.require_rest(search.scenes, imagery.missing)
    return search


def _search(project: Project, products: Sequence[Product], area: BaseGeometry) -> SourceAnswer:
    imagery, season = project.imagery, project.season.season
    source = imagery.catalog
    if imagery.provider is not None:
        provider = find_provider(imagery.provider)
        foreign = [product.name for product in products if provider_of(product) != provider]
        if foreign:
            raise ConfigError(
                f"searching {provider.title}: it has no product {', '.join(map(repr, foreign))}; it has "
                f"{', '.join(product.name for product in provider.products)}"
            )
        source = provider.url
    if source is None:
        return SourceAnswer(SearchResult())
    if not is_remote(source):
        path = project.path(source)
        source = str(path / "catalog.json" if path.is_dir() else path)
    written = project.results / SCENES
    request = request_of(source, season, area, imagery.products, imagery.cloud, imagery.skip)
    unfinished = unfinished_at(project.observed_cube).exists()
    # agrifm wrote the project's own scenes.json, which may name any folder that an earlier catalogue was in
    reach = ANYWHERE if source == str(written) else Reach.of(source, imagery.reach, project.directory)
    if unfinished and is_remote(source) and is_answer_to(written, request):
        search = search_catalog(str(written), products, season, area, imagery.skip, imagery.cloud, reach, "skip")
        note = f"continued with the {len(search.items)} scenes of {SCENES}; delete it to search anew"
        return SourceAnswer(search, notes=(note,))
    search = search_catalog(source, products, season, area, imagery.skip, imagery.cloud, reach, "skip")
    is_new = is_remote(source) or Path(source).resolve() != written.resolve()
    return SourceAnswer(search, request if is_new else None)
