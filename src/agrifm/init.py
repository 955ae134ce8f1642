"""`agrifm init`: a commented project file, ready to edit."""

from pathlib import Path

from agrifm.config import PROJECT_FILE
from agrifm.files import AnyPath, as_path, write_text
from agrifm.outputs import writing_file

TEMPLATE = """\
# The project file: one season, read by every agrifm command. Paths are relative to this file.
# Edit the three places marked 1, 2 and 3; everything else has a sensible default. A line that begins with "# " and a
# key shows the default of that key or an example; remove the "# " to set it.

[season]
# 1. Where and when. The area is a vector file (GeoPackage, GeoJSON, Shapefile ...), or a box in degrees:
#    area = [2.30, 46.85, 2.40, 46.95]   # west, south, east, north
area = "area.geojson"
start = 2024-03-01
end = 2024-10-31           # in the next year if the season crosses New Year
# buffer = 200             # metres added to the area on all sides
# tiles = 100              # divide a large area, or one in several zones, into squares of so many km (docs/areas.md)
# halo = 1440              # metres around a tile that its cube has too; by default 480 more than prediction windows
# store = "s3://bucket/season"   # publish the cube and the map in an object store (docs/stores.md)
#    Only if the area's file does not say it itself; the same keys are in [labels] and [assess]:
# layer = "farm"           # the layer, if the file of labels has several
# crs = "EPSG:32631"       # the coordinate reference system
# encoding = "cp1252"      # the encoding of its text, if not UTF-8

[imagery]
# 2. A STAC catalogue, on disk or at a URL, and the products to fetch from it.
catalog = "imagery/catalog.json"
products = ["sentinel-2-c1-l2a", "landsat-c2-l2", "modis-09A1-061"]
#    Or a provider to search, instead of `catalog`:
# provider = "earth-search"
#    Which scenes, and which of their pixels:
# cloud = 60               # leave out scenes with more cloud, percent
# reach = ["/data/images", "minio.local"]    # folders and hosts beyond its own that the catalogue may lead to
# missing = "stop"         # or "skip": leave out scenes that cannot be read, and ask for them again next time
# skip = ["S2A_T31UDQ_20240501T105621_L2A"]   # ids of scenes to leave out
# offset = "refuse"        # stop if metadata and dark pixels of a Sentinel-2 scene disagree on its offset; or trust
#                            "metadata" or "pixels"
# without_quality = "refuse"   # or "keep" scenes that have no quality band, with their clouds
# masked = ["cloud", "cloud-edge", "cirrus", "shadow", "dark", "snow"]   # quality flags that mask a pixel
# dilate = 0               # metres around clouds, cirrus and shadows that are masked too
# masks = ["my-mask"]      # additional masks from plug-ins: entry points of the group `agrifm.masks`
# native_grid = false      # true keeps the grid of the files instead of the area's UTM zone (one sensor only)
# resample = "median"      # train and map on composites of equal periods ("median", "medoid", "nearest"), on equal
#                            steps ("linear", "smooth") or with gaps filled ("fill"), instead of on the observations
#    Or local files, instead of `catalog` and `products`, below the other keys. Files have the names that their
#    providers give them, or date and band in their names (S2_20240301_B04.tif).
# [[imagery.files]]
# product = "sentinel-2-c1-l2a"
# pattern = "imagery/*.tif"
# baseline = "05.10"       # Sentinel-2's processing baseline, which decides the offset
#    A product that agrifm does not know; docs/imagery.md explains the keys.
# [imagery.product]
# name = "my-reflectance"  # for [[imagery.files]] and `products`
# like = "sentinel-2-worldcereal"   # a known product; what is not given here is taken from it
# sensor = "sentinel-2"    # or with `bands` and `resolution` one that agrifm does not know
# resolution = 10          # of such a sensor: the side of the cube's pixels, metres
# assets = { B02 = "blue" }   # names of bands in the files
# stack = ["B02", "B03"]   # the bands of files with several and no descriptions, in order
# scale = 1.0              # the unit per number: 1 for reflectance from 0 to 1
# offset = 0.0             # added to number * scale
# nodata = nan             # the number that means nodata
# valid_range = [0.0, 1.5]   # valid numbers in the files
# quantity = "surface reflectance"
# kernel = "bilinear"      # or "nearest"
# collection = "my-items"  # of STAC items; "" for items without one
# file_name = '(?P<date>[0-9]{8})_(?P<band>B[0-9A]+)[.]tif$'
# [imagery.product.quality]
# band = "mask"            # the quality band, and a known rule for it, or what its values or bits mean
# rule = "scl"
# values = { usable = [0], cloud = [1, 2], nodata = [255] }
# bits = { cloud = [3], snow = [5] }
# [[imagery.product.bands]]
# name = "red"             # in spectral order; one table per band
# wavelength = 665         # nanometres

[labels]
# 3. Ground truth: polygons or points with the class code in a column, or a raster of class codes.
#    A CSV has columns longitude and latitude, or x and y and the key `crs`.
file = "labels.gpkg"
column = "crop"
# layer = "fields2024"     # the layer, if the file of labels has several
# crs = "EPSG:32631"       # their coordinate reference system, if the file does not state it
# encoding = "cp1252"      # the encoding of class codes that are not in UTF-8
#    Land outside the crops of interest. Without it the map will show forests and towns as crops.
#    A land-cover raster with its non-crop values (10 trees, 50 built-up, 80 water in ESA WorldCover), or polygons:
# other = "worldcover.tif"
# other_values = [10, 50, 80]
# other_file = { layer = "forests", crs = "EPSG:32631" }   # if the polygons' file does not say it itself; or `encoding`
#    Of the task "yield" (docs/yield.md), whose labels are fields with a number:
# value = "yield_t_ha"     # column of the yields
# unit = "t/ha"            # of these numbers; or "dt/ha", "kg/ha"
#    Of the task "fractions" (docs/fractions.md), whose labels are polygons or a raster, in pixels larger than fields:
# covered = 0.9            # least share of a pixel that must be labelled for it to be used
#    Names and colours of the classes (JSON or CSV: code, name, color); by default the codes are the names.
# legend = "legend.csv"
# hierarchy = "hcat3"      # published legend whose codes the labels have: scores are stated at its levels too
#    Codes that mean that there is no label, such as 0 in a raster without a nodata value.
# unlabelled = [0]
#    The split into training, validation and test: by squares, or by a column (train, validation, test).
# block = 960              # side of the squares, metres, a multiple of 480
# fold_column = "fold"
#    Or a table of labelled series of points or parcels, with the products that its numbers are (docs/tables.md); then
#    `file` is the table of their classes and places, if these are not in the same one.
# series = "points.parquet"
# products = ["sentinel-2-worldcereal"]
# columns = { sample = "id", date = "day" }   # names of columns that are not the usual ones
# series_share = 0.3       # with labels on a cube in `file` as well: share of the training steps that are of the table

[model]
# task = "crop-type"       # or "cropland", "land-cover", "boundaries", "yield", "fractions", or "one-crop" with `crop`
#                            (docs/tasks.md)
# crop = "winter wheat"    # of "one-crop" and "yield": its code or name in the labels, or several
# crops = ["maize", "wheat"]   # of "cropland": the labels that are; by default all that are not called like other land
names = ["agrifm", "classic"]
preset = "tiny"            # "tiny" trains on a laptop; "small" and "base" need a GPU
# weights = "agrifm-weights.safetensors"   # initial weights (docs/weights.md), or "presto.pt" (docs/models.md)
# encoder = "tuned"        # or "frozen": Presto, Galileo and Prithvi keep the encoder of `weights`
frames = 24                # equal periods into which the season is divided; "base" needs 29 to 32
# series = "composites"    # the best observation of each period with its day, instead of interpolated; or "observed"
# sensor_dropout = 0.3     # share of the steps that drop a coarser sensor; the map can then do without it
steps = 1500
# side = 96                # side of training windows, pixels of the finest sensor, a multiple of 48
# batch = 8                # windows per step
# learning_rate = 0.001    # the highest rate, after warm-up
# seed = 0                 # seed of blocks, weights and order
# seeds = 3                # networks of each name; of several the mean of their probabilities counts
# calibration = false      # keep probabilities as they are, instead of calibrating them on the validation blocks
#    How networks are trained (docs/train.md); 0 leaves out.
# [model.recipe]
# hidden = 0.5             # most of the frames of a sample that are hidden, as a share
# cut = 0.2                # share of the samples that end on a random day, for maps before the season's end
# cut_from = 0.25          # where these days begin, as a share of the season; by default its second half
# light = 0.05             # standard deviation of a random factor on a sample
# shift = 10               # most days by which a season moves
# stretch = 10             # most days by which its middle moves
# bands = 0.2              # share of the bands that a sample lacks
# averaging = 0.98         # share of the averaged weights that remains after a step
# logit_adjustment = true  # rare classes count as much as frequent ones

[map]
# model = "agrifm"         # which of the models makes the map; by default the first of `names`
# window = 96              # side of prediction windows, pixels; by default that of the training windows
# overlap = 48             # pixels that neighbouring windows share and blend
# smoothing = 5            # side of the neighbourhood by which class probabilities are smoothed, pixels; 0 = none
# minimum_mapping_unit = 0.1   # hectares below which a region takes the class around it
# minimum_area = 0.1       # of task "boundaries": hectares below which a field is left out
# largest_hole = 0.1       # of task "boundaries": hectares up to which a hole in a field is closed
# cropland = "../cropland/map"   # a map of cropland (task "cropland", or a raster): what is none becomes `other`
#                            (of task "yield" also a map of the crop: what is not the crop gets no yield)
# cropland_values = [40]   # values of that raster that mean cropland, if it is not one of agrifm
# probabilities = true     # keep the probabilities of all classes; by default where [parcels] is given
#    Existing parcels, whose crops `agrifm parcels` reads from the map (docs/parcels.md):
# [parcels]
# file = "parcels.parquet"   # GeoParquet of any size, a folder of such files, GeoPackage, Shapefile or GeoJSON
# id = "parcel_id"         # column of their names; by default `id`
# area = "hectares"        # column of their areas, to compare; by default `metrics:area` (m2) or `area` (hectares)
# geopackage = true        # write a GeoPackage too
# layer = "fields2024"     # the layer, if the file of parcels has several
# crs = "EPSG:32631"       # the coordinate reference system, if the file of parcels does not state it
# encoding = "cp1252"      # the encoding of the parcels' names, if not UTF-8

[assess]
column = "label"           # column of the class code in the reference points
# layer = "points"         # the layer, if their file has several
# crs = "EPSG:32631"       # the coordinate reference system, if their file does not state it
# encoding = "cp1252"      # the encoding of labels that are not in UTF-8
# training_file = { layer = "fields2024" }   # the same keys, for the file of `--training`
"""


def init(directory: AnyPath) -> Path:
    """Write `agrifm.toml` into a directory, which may be new, and return its path.

    Raises:
        OutputError: the file exists already, cannot be written, or is being written by another process.
    """
    directory = as_path(directory)
    path = directory / PROJECT_FILE
    with writing_file(path, f"writing the project file {path}"):
        write_text(path, TEMPLATE)
    return path
