"""`agrifm embed places`: the vectors of points or parcels, from a raster of embeddings, as GeoParquet.

Shape letters: K numbers of a vector, N places.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agrifm.errors import MapError, OutputError
from agrifm.files import AnyPath, as_path
from agrifm.mapping.embedding_raster import VectorRaster, is_on_raster, open_embedding, vectors_of_places
from agrifm.mapping.tessera_store import is_tessera, open_tessera
from agrifm.outputs import replace_file
from agrifm.samples.vector_table import EMBEDDING
from agrifm.vectors import NOTHING_STATED, VectorKeys, read_vector

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

TAG = b"agrifm embedding"
"""Key of the metadata of a file that this module wrote."""


def embed_places(
    places: AnyPath, raster: AnyPath, out: AnyPath, keys: VectorKeys = NOTHING_STATED, year: int | None = None
) -> list[str]:
    """Write places with their vectors; returns sentences on them.

    Args:
        places: vector file of points or of polygons; its columns are kept.
        raster: of `agrifm embed`, of AlphaEarth Foundations, or a Zarr store of TESSERA.
        out: a .parquet file, replaced only if it is one of this command.
        keys: what the user states of the file of places.
        year: of a store with several.

    Raises:
        MapError: the raster or the places cannot be used, or no place is on the raster.
        OutputError: `out` has another ending, or is another file.
    """
    places, out = as_path(places), as_path(out)
    if out.suffix != ".parquet":
        raise OutputError(f"writing vectors to {out}: choose a name that ends in .parquet", path=out)
    about = f"reading the places {places}"
    frame = read_vector(places, about, MapError, ["point", "polygon"], keys).frame
    frame = frame[frame.geometry.notna() & ~frame.geometry.is_empty].reset_index(drop=True)
    kinds = set(frame.geometry.geom_type)
    if kinds & {"Point"} and kinds - {"Point"}:
        raise MapError(f"{about}: it has points and polygons; give them in two files", kinds=sorted(kinds))
    if EMBEDDING in frame.columns:
        raise MapError(f"{about}: it has a column '{EMBEDDING}' already; rename it", column=EMBEDDING)
    rasters = _open_rasters(raster, year, frame) if len(frame) else []
    if not any(is_on_raster(one, frame).any() for one in rasters):
        raise MapError(
            f"{about}: none of its {len(frame)} places is on {raster}; give places of its area",
            places=len(frame),
        )
    vectors = vectors_of_places(rasters, frame)
    known = np.asarray(~np.isnan(vectors).any(axis=1))
    each = zip(vectors.astype(np.float32).tolist(), known.tolist(), strict=True)
    frame[EMBEDDING] = [vector if there else None for vector, there in each]
    with replace_file(out, f"writing vectors to {out}", _is_ours) as temporary:
        frame.to_parquet(temporary, index=False)
        _sign(temporary)
    without = "" if known.all() else f"; {int((~known).sum())} have none, because there is no vector where they are"
    counted = f"{int(known.sum())} of {len(frame)} places have a vector of {vectors.shape[1]} numbers"
    return [f"{counted}{without}", f"wrote {out}"]


def _open_rasters(path: AnyPath, year: int | None, places: "GeoDataFrame") -> Sequence[VectorRaster]:
    if is_tessera(path):
        return open_tessera(path, year, places)
    if year is not None:
        raise MapError(f"reading the embeddings {path}: a year is chosen of a store; remove --year", year=year)
    return [open_embedding(path)]


def _sign(path: Path) -> None:
    """Note in the metadata of a Parquet file that this module wrote it."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), TAG: b"1"}), path)


def _is_ours(path: Path) -> bool:
    import pyarrow.parquet
    from pyarrow import ArrowException

    try:
        return TAG in (pyarrow.parquet.read_schema(path).metadata or {})
    except (ArrowException, OSError):
        return False
