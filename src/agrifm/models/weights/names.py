"""Names of the same tensors in other files: the distributed weights, checkpoints of the reference's training, ours.

In our names `encoders.encoders.SOURCE.patch_emd.*` is a source's embedding, `encoders.encoders.SOURCE.backbone.*` its
backbone, `encoders.backbone.*` a backbone that all sources share, and the decoder is `neck.*` and `heads.*`, or
`decoder.*`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from agrifm.errors import ModelError
from agrifm.sensors import SENSORS

SOURCE_KEYS = {"sentinel-2": "S2", "landsat": "HLSL30", "modis": "Modis"}
"""How the public files call our sources."""
ALIASES = {"s2": "sentinel-2", "sentinel2": "sentinel-2", "hlsl30": "landsat", "landsat": "landsat", "modis": "modis"}
BY_CHANNELS = {10: "sentinel-2", 6: "landsat", 7: "modis"}
"""The number of bands names the source where the file does not."""
INDEX = "relative_position_index"
"""End of the names of buffers that follow from the window; recomputed, never stored by us."""

_PLACE = r"(?P<root>encoder\.|encoders\.encoders\.(?P<key>[A-Za-z0-9_-]+)\.|encoders\.)?"
_EMBEDDING = re.compile(_PLACE + r"(?:(?P<name>[A-Za-z0-9-]+)_)?patch_emd\.(?P<leaf>.+)")
_BACKBONE = re.compile(_PLACE + r"backbone\.(?P<rest>.+)")
_DECODER = re.compile(r"(?:neck|heads|decoder|tasks)\..+")
_WRAPPED = "module."
_LEAVES = {"weights": "proj.weight", "weight": "proj.weight", "bias": "proj.bias"}


@dataclass(frozen=True)
class Renamed:
    """Tensors in our names, and how to find the way back."""

    tensors: dict[str, Tensor]
    prefixes: dict[str, str]
    """Beginning of our names to the beginning of the names in the file; the longest that fits counts."""
    unused: tuple[str, ...]
    """Names in the file that are no part of AgriFM."""
    naming: str
    """The naming recognised, in words."""


def rename(tensors: Mapping[str, Tensor], about: str) -> Renamed:
    """Tensors of a file in our names.

    Args:
        about: how a message begins.

    Raises:
        ModelError: nothing is recognised, two names are one tensor, or a source cannot be named.
    """
    short = {name.removeprefix(_WRAPPED): name for name in tensors}
    if len(short) < len(tensors):
        raise ModelError(f"{about}: names come with and without '{_WRAPPED}': two models in one file; separate them")
    sources = _sources(short, tensors, about)
    shared = _is_shared(short, sources, about)
    found: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    unused = []
    for name, full in short.items():
        lead = full.removesuffix(name)
        if match := _EMBEDDING.fullmatch(name):
            leaf = _LEAVES.get(match["leaf"], match["leaf"])
            own = f"encoders.encoders.{sources[match['key'] or match['name'] or '']}.patch_emd.{leaf}"
            prefixes[own] = full
        elif match := _BACKBONE.fullmatch(name):
            place = (
                sources.get(match["key"]) if match["key"] else None if shared else next(iter(sources.values()), None)
            )
            beginning = f"encoders.encoders.{place}.backbone." if place else "encoders.backbone."
            own = beginning + match["rest"]
            prefixes[beginning] = full.removesuffix(match["rest"])
        elif _DECODER.fullmatch(name):
            own = name
            part = name.partition(".")[0] + "."
            prefixes[part] = lead + part
        else:
            unused.append(full)
            continue
        if own in found:
            raise ModelError(
                f"{about}: {found[own]!r} and {full!r} are one part of a model: two models in one file; separate them"
            )
        found[own] = full
    if not any(name.startswith("encoders.") for name in found):
        raise ModelError(
            f"{about}: nothing in it is AgriFM's ({len(tensors)} tensors such as {_few(tensors)}); "
            "give weights of an AgriFM encoder"
        )
    renamed = {own: tensors[full] for own, full in found.items()}
    for name in renamed:
        if theirs(name, prefixes) != found[name]:
            raise ModelError(f"{about}: {found[name]!r} is named unlike the rest of its part; two models in one file")
    return Renamed(renamed, prefixes, tuple(unused), _in_words(short, tensors))


def theirs(name: str, prefixes: Mapping[str, str]) -> str:
    """The name in the file of a tensor in our names."""
    own = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default="")
    return prefixes.get(own, "") + name.removeprefix(own)


def public_prefixes(sources: Iterable[str], shared: bool) -> dict[str, str]:
    """How the public code names these sources: shared as in the distributed weights, otherwise as its training does."""
    names = {source: SOURCE_KEYS.get(source, source) for source in sources}
    if not shared:
        return {f"encoders.encoders.{own}.": f"encoders.encoders.{key}." for own, key in names.items()}
    leaves = (("proj.weight", "weights"), ("proj.bias", "bias"))
    embeddings = {
        f"encoders.encoders.{own}.patch_emd.{leaf}": f"encoder.{key}_patch_emd.{short}"
        for own, key in names.items()
        for leaf, short in leaves
    }
    return {"encoders.backbone.": "encoder.backbone.", **embeddings}


def _sources(short: Mapping[str, str], tensors: Mapping[str, Tensor], about: str) -> dict[str, str]:
    """Our name of each source, by its key in the file."""
    names: dict[str, str] = {}
    for name, full in short.items():
        match = _EMBEDDING.fullmatch(name)
        if match is None:
            continue
        key = match["key"] or match["name"] or ""
        if _LEAVES.get(match["leaf"], match["leaf"]) == "proj.weight":
            shape = tensors[full].shape
            names[key] = _source(key, shape[1] if len(shape) > 1 else 0)
        else:
            names.setdefault(key, ALIASES.get(key.lower(), key))
    if "" in names.values():
        raise ModelError(
            f"{about}: the source of 'patch_emd' is named neither in the file nor by its bands (10 are Sentinel-2, "
            "6 Landsat, 7 MODIS); name it, as in 'S2_patch_emd'"
        )
    if len(set(names.values())) < len(names):
        raise ModelError(f"{about}: {', '.join(names)} are one source: two models in one file; separate them")
    return names


def _source(key: str, channels: int) -> str:
    if key in SENSORS:
        return key
    return ALIASES.get(key.lower()) or BY_CHANNELS.get(channels, key)


def _is_shared(short: Mapping[str, str], sources: Mapping[str, str], about: str) -> bool:
    """Whether one backbone serves all sources; a single source has its own, unless the file is named like ours."""
    places = {match["root"] or "" for name in short if (match := _BACKBONE.fullmatch(name))}
    common = {place for place in places if not place.startswith("encoders.encoders.")}
    if (common and places != common) or len(common) > 1:
        raise ModelError(f"{about}: it has backbones in {len(places)} namings: two models in one file; separate them")
    return "encoders." in common or (bool(common) and len(sources) > 1)


def _in_words(short: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    wrapped = " with `module.`" if any(name.startswith(_WRAPPED) for name in tensors) else ""
    if any(name.startswith("encoders.backbone.") for name in short):
        return f"agrifm's, one backbone for all sources{wrapped}"
    if any(name.startswith("encoders.encoders.") for name in short):
        return f"training of the reference, and agrifm's{wrapped}"
    if any(name.startswith("encoder.") for name in short):
        return f"distributed weights{wrapped}"
    return f"a bare encoder{wrapped}"


def _few(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)[:3])
