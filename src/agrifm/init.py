"""`agrifm init`: a commented project file, ready to edit."""

from pathlib import Path

from agrifm.config import PROJECT_FILE
from agrifm.errors import OutputError
from agrifm.files import write_text

TEMPLATE = """\
# A season described: what every agrifm command reads. Paths are relative to this file.
# Three places to edit, marked 1, 2 and 3; everything else has a sensible default. A line that begins with "# " and a
# key is that key with its default, or an example; take the "# " away to change it.

[season]
# 1. Where and when. The area is a vector file (GeoJSON, GeoPackage, GeoParquet), or a box in degrees:
#    area = [2.30, 46.85, 2.40, 46.95]   # west, south, east, north
area = "area.geojson"
start = 2024-03-01
end = 2024-10-31           # in the next year where the season crosses New Year
# buffer = 200             # metres by which the area is grown on all sides

[imagery]
# 2. A STAC catalogue, on disk or at a URL, and the products to take from it.
catalog = "imagery/catalog.json"
products = ["sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"]
#    Or a provider that is searched, instead of `catalog`:
# provider = "earth-search"
#    Which scenes, and which of their pixels:
# cloud = 60               # leave out scenes with more clouds, percent
# skip = ["S2A_T31UDQ_20240501T105621_L2A"]   # ids of scenes to leave out
# offset = "refuse"        # a Sentinel-2 scene whose metadata and dark pixels disagree on its offset; or "metadata",
#                            or "pixels": what settles it
# masked = ["cloud", "cloud-edge", "cirrus", "shadow", "dark", "snow"]   # flags that make a pixel unusable
# dilate = 0               # metres around clouds, cirrus and shadows that are masked too
# masks = ["my-mask"]      # masks of your own: entry points of the group `agrifm.masks` in installed packages
# native_grid = false      # true keeps the grid of the files instead of the area's UTM zone (one sensor only)
#    Or files of your own, instead of `catalog` and `products`, below the other keys. A GeoTIFF has its date and band
#    in its name (S2_20240301_B04.tif); a NetCDF file has dimensions time, y, x and one variable per band.
# [[imagery.files]]
# product = "sentinel-2-c1-l2a"
# pattern = "imagery/*.tif"
# baseline = "05.10"       # Sentinel-2's processing baseline, on which the offset depends

[labels]
# 3. What is known on the ground: polygons, points or a raster, with the class code in a column.
file = "labels.gpkg"
column = "crop"
#    Land that is no crop of interest. Without it the map will call forests and towns crops.
#    A land-cover raster with the values that are no crop (10 trees, 50 built-up, 80 water in ESA WorldCover),
#    or polygons:
# other = "worldcover.tif"
# other_values = [10, 50, 80]
#    Names and colours of the classes (JSON or CSV: code, name, color); without it the codes are the names.
# legend = "legend.csv"
#    What is kept apart for validation and test: squares, or what a column says (train, validation, test).
# block = 960              # side of the squares, metres, a multiple of 480
# fold_column = "fold"

[model]
names = ["agrifm", "random-forest"]
preset = "tiny"            # "tiny" learns on a laptop; "small" and "base" want a GPU
# weights = "agrifm-weights.safetensors"   # start from weights (docs/weights.md)
frames = 24                # equal periods into which the season is divided; "base" needs 29 to 32
# series = "composites"    # of each period the best observation with its day, instead of interpolated; or "observed"
# sensor_dropout = 0.3     # share of the steps without one of the coarser sensors; the map can then do without them
steps = 1500
# side = 96                # side of training windows, pixels of the finest sensor, a multiple of 48
# batch = 8                # windows per step
# learning_rate = 0.001    # highest one, after warm-up
# seed = 0                 # of blocks, weights and order

[map]
model = "agrifm"           # which of the models draws the map
# window = 96              # side of prediction windows, pixels; by default that of the training windows
# overlap = 48             # pixels shared with each neighbouring window and blended

[assess]
column = "label"           # column of the class code in the demo's reference points
"""


def init(directory: Path) -> Path:
    """Write `agrifm.toml` into a directory, which may be new; returns its path.

    Raises:
        OutputError: there is one already, or it cannot be written.
    """
    path = directory / PROJECT_FILE
    if path.exists():
        raise OutputError(f"writing {path}: it exists already; edit it, or choose another directory")
    write_text(path, TEMPLATE)
    return path
