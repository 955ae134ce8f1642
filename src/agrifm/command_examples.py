"""What one types: examples in the help of each command, without the word `agrifm`."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": (
        "init my-season --area farm.geojson --year 2024 --labels fields.gpkg",
        'init wheat --area province.gpkg --year 2024 --labels points.csv --task one-crop --crop "winter wheat"',
    ),
    "simulate": ("simulate season --region monsoon --size 4",),
    "fetch": ("fetch", "fetch --project my-season", "fetch --cluster slurm:8"),
    "train": ("train", "train --project my-season"),
    "samples info": (
        "samples info points.parquet --product sentinel-2-worldcereal --column crop --picture points.png",
    ),
    "compare": ("compare compare.toml --cluster local:2",),
    "pretrain": ("pretrain pretrain.toml", "pretrain pretrain.toml --cluster local:4"),
    "map": (
        "map",
        "map --until today",
        "map --cluster tcp://host:8786",
        "map --from map/item.json --out map-again",
        "map --districts districts.gpkg --district name",
    ),
    "embed": ("embed", "embed --model models/agrifm.safetensors --out vectors"),
    "embed places": (
        "embed places parcels.gpkg --out parcels-vectors.parquet",
        "embed places points.gpkg --raster alphaearth-2024.tif --out points-vectors.parquet",
    ),
    "parcels": ("parcels", "parcels --districts districts.gpkg --district name --cluster local:2"),
    "explain": ("explain --out explanation", "explain --parcel 17 42 --id parcel_id --out explanation"),
    "assess": (
        "assess --map map/classes.tif --reference points.gpkg --label label --out report",
        "assess --map map/classes.tif --reference points.gpkg --districts districts.gpkg --district name --out report",
        "assess --map map/yield.tif --reference harvested.gpkg --label yield_kg --unit kg/ha --out report",
        "assess --map map/fractions.tif --reference classes-10m.tif --out report",
    ),
    "assess design": (
        "assess design --map map/classes.tif --n 300 --out points.gpkg",
        "assess design --map map/classes.tif --error 0.02 --method systematic",
    ),
    "assess compare": ("assess compare --map 2023/map/classes.tif --other 2024/map/classes.tif --out change",),
    "assess form": ("assess form --points points.gpkg --map map/classes.tif --season . --out form.html",),
    "assess read-form": (
        "assess read-form --points points.gpkg --answers answers.json --map map/classes.tif --out labelled.gpkg",
    ),
    "assess agree": (
        "assess agree first.gpkg second.gpkg --points points.gpkg --map map/classes.tif --out agreement",
        "assess agree first.gpkg second.gpkg --third third.gpkg --out agreed",
    ),
    "plan": ("plan .", "plan my-season --workers 8 --prices prices.toml"),
    "serve": (
        "serve .",
        "serve 2024 --also 2023",
        "serve . --static page",
        "serve . --points points.gpkg --interpreter Ana Ben",
    ),
    "cube info": ("cube info . --picture cube.png",),
    "cube check": ("cube check .",),
    "cube compact": ("cube compact .",),
    "model info": ("model info models/agrifm.safetensors",),
    "model convert": ("model convert AgriFM.pth agrifm.safetensors",),
    "model export": ("model export models/agrifm.safetensors agrifm.onnx",),
    "model check": ("model check models/agrifm.safetensors cube.zarr",),
    "samples check": ("samples check --out doubtful.gpkg",),
    "samples next": ("samples next --n 50 --out to-label.gpkg",),
    "samples parcels": ("samples parcels --out parcels.parquet",),
    "legend translate": ("legend translate fields.gpkg --from eurocrops --to worldcereal --column code",),
    "status": ("status", "status --project my-season --json"),
    "doctor": ("doctor", "doctor --project my-season --json"),
    "completion": ("completion bash > ~/.local/share/bash-completion/completions/agrifm",),
    "demo": ("demo demo", "demo --small trial"),
}
"""By command."""


def examples_of(command: str) -> str:
    """Return the end of a command's help."""
    found = EXAMPLES.get(command, ())
    head = "example:" if len(found) == 1 else "examples:"
    return "\n".join([head, *(f"  agrifm {line}" for line in found)]) if found else ""
