"""What a search found: its scenes, and how many scenes each filter removed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pystac

from agrifm.errors import SceneError
from agrifm.imagery_config import MissingChoice
from agrifm.scene.products import Product
from agrifm.scene.scene import Scene
from agrifm.scene.unusable import Unusable
from agrifm.season import Season

SKIPPED = "skipped on request"
OTHER_COLLECTIONS = "of other collections"
REMEDIES = {
    "outside the season": "check the dates",
    "outside the area": "check the area",
    "of another satellite": "check the products",
    "without a geometry": "repair the items, or use another catalogue",
    "cloudier than": "raise `cloud`, which is in percent",
    "files of": "name the product of these files in the [[imagery.files]] table",
    SKIPPED: "take ids out of `skip`",
}
"""By the beginning of a reason, what to do if it removed most scenes."""


@dataclass
class SearchResult:
    """The scenes of a search, and how many each filter removed."""

    scenes: list[Scene] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    skipped: list[Scene] = field(default_factory=list)
    """Scenes that the project skips."""
    unread: list[str] = field(default_factory=list)
    """Ids of scenes that the project skips and that are not usable either."""
    items: list[pystac.Item] = field(default_factory=list)
    """Items of the scenes, skipped ones included."""
    without_cloud_cover: int = 0
    """Number of scenes that were kept because they state no cloud cover, if there is a limit."""
    other_collections: Counter[str] = field(default_factory=Counter)
    """Items of collections without a requested product, by collection, "" for none."""
    cloud_covers: list[float] = field(default_factory=list)
    """Cloud covers that scenes state, percent, before the limit, if there is one."""
    unusable: Unusable = field(default_factory=Unusable)
    """Items and files that cannot become scenes; `build_cube` refuses them, unless they are to be left out."""

    def extend(self, other: "SearchResult") -> None:
        """Add the scenes and counts of another search."""
        self.scenes += other.scenes
        self.removed += other.removed
        self.skipped += other.skipped
        self.unread += other.unread
        self.items += other.items
        self.without_cloud_cover += other.without_cloud_cover
        self.other_collections += other.other_collections
        self.cloud_covers += other.cloud_covers
        self.unusable.extend(other.unusable)

    def keep(self, scene: Scene, season: Season, skip: Sequence[str]) -> bool:
        """Keep a scene unless it is outside the season or in `skip`, else count it; returns True if it was kept."""
        last = scene.last_day or scene.day
        if scene.day > season.end or last < season.start:
            self.removed["outside the season"] += 1
        elif scene.id in skip:
            self.removed[SKIPPED] += 1
            self.skipped.append(scene)
        else:
            self.scenes.append(scene)
            return True
        return False

    def refuse(self, name: str, error: SceneError, sensor: str, skip: Sequence[str]) -> None:
        """Note what cannot become a scene; `skip` exists to leave it out."""
        if name in skip:
            self.removed[SKIPPED] += 1
            self.unread.append(name)
        else:
            self.unusable.add(name, error, sensor)

    def refuse_incomplete(self) -> None:
        """Take out scenes that lack an asset, as unusable, before any pixel is read."""
        scenes, self.scenes = self.scenes, []
        for scene in scenes:
            try:
                scene.require_assets()
                self.scenes.append(scene)
            except SceneError as error:
                self.unusable.add(scene.id, error, scene.product.sensor)

    def require_some(
        self, season: Season, where: str, products: Sequence[Product] = (), missing: MissingChoice = "stop"
    ) -> None:
        """Refuse an empty result, with the number of scenes that each filter removed, and unusable scenes.

        Args:
            products: those that were searched for in a catalogue.
            missing: "skip" leaves the unusable ones in the result, for `build_cube`.

        Raises:
            SceneError: no scene is left, or some are unusable; all of these are named.
        """
        if missing == "stop":
            self.unusable.require_rest(self.scenes, missing)
        if not self.scenes and not self.unusable.errors:
            counts = (
                ", ".join(f"{count} {reason}" for reason, count in self.removed.items()) or "the catalogue sent no item"
            )
            reason = max(self.removed, key=self.removed.__getitem__, default="")
            remedy = next((what for start, what in REMEDIES.items() if reason.startswith(start)), None)
            if reason == OTHER_COLLECTIONS and self.other_collections and products:
                remedy = self._about_collections(products)
            raise SceneError(
                f"searching {where} for scenes from {season.start} to {season.end}: none found ({counts}); "
                f"{remedy or 'check the dates, the area and the products'}",
                removed=dict(self.removed),
            )

    def _about_collections(self, products: Sequence[Product]) -> str:
        """Say which collections the items are of, which were wanted, and how to read the items nevertheless."""
        counts = self.other_collections.most_common()
        found = ", ".join(f"{repr(name) if name else 'no collection'} ({count})" for name, count in counts[:5])
        wanted = " or ".join(repr(product.collection) for product in products)
        return (
            f"its items state {found}, not the collection {wanted}; check `products`, or if they are the same "
            f'files, describe them in [imagery.product] with a `name`, like = "{products[0].name}" and '
            f'collection = "{counts[0][0]}", and put that name into `products`'
        )
