"""State-dict names in other files: the distributed weights, checkpoints of the reference's training, agrifm's files.

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

PUBLIC_SOURCE_NAMES = {"sentinel-2": "S2", "landsat": "HLSL30", "modis": "Modis"}
"""Names of our sources in public files."""
SOURCE_ALIASES = {
    "s2": "sentinel-2",
    "sentinel2": "sentinel-2",
    "hlsl30": "landsat",
    "landsat": "landsat",
    "modis": "modis",
}
SOURCE_BY_BAND_COUNT = {10: "sentinel-2", 6: "landsat", 7: "modis"}
"""The source, by its number of bands, for files that do not name it."""
INDEX_SUFFIX = "relative_position_index"
"""End of the names of buffers that follow from the window; agrifm computes and does not store them."""

_ROOT_PATTERN = r"(?P<root>encoder\.|encoders\.encoders\.(?P<key>[A-Za-z0-9_-]+)\.|encoders\.)?"
_EMBEDDING = re.compile(_ROOT_PATTERN + r"(?:(?P<name>[A-Za-z0-9-]+)_)?patch_emd\.(?P<leaf>.+)")
_BACKBONE = re.compile(_ROOT_PATTERN + r"backbone\.(?P<rest>.+)")
_DECODER = re.compile(r"(?:neck|heads|decoder|tasks)\..+")
_PARALLEL_PREFIX = "module."
_EMBEDDING_TENSORS = {"weights": "proj.weight", "weight": "proj.weight", "bias": "proj.bias"}


@dataclass(frozen=True)
class RenamedTensors:
    """Tensors by our names, and the way back to the names in the file."""

    tensors: dict[str, Tensor]
    prefixes: dict[str, str]
    """Beginning of our names to the beginning of the names in the file; the longest match counts."""
    unused: tuple[str, ...]
    """Names in the file that are not part of AgriFM."""
    naming: str
    """The naming scheme of the file, in words."""


def rename_tensors(tensors: Mapping[str, Tensor], about: str) -> RenamedTensors:
    """Rename the tensors of a file to our names.

    Args:
        about: beginning of an error message.

    Raises:
        ModelError: no name is recognised, two names mean the same tensor, or a source has no name.
    """
    # PyTorch's DataParallel puts `module.` before every name
    short = {name.removeprefix(_PARALLEL_PREFIX): name for name in tensors}
    if len(short) < len(tensors):
        raise ModelError(f"{about}: some names start with '{_PARALLEL_PREFIX}'; two models in one file, separate them")
    sources = _sources(short, tensors, about)
    shared = _is_shared(short, sources, about)
    originals: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    unused = []
    # each tensor gets our name, and the beginning of our name is mapped to that in the file
    for name, full in short.items():
        lead = full.removesuffix(name)
        if match := _EMBEDDING.fullmatch(name):
            leaf = _EMBEDDING_TENSORS.get(match["leaf"], match["leaf"])
            our_name = f"encoders.encoders.{sources[match['key'] or match['name'] or '']}.patch_emd.{leaf}"
            prefixes[our_name] = full
        elif match := _BACKBONE.fullmatch(name):
            source = (
                sources.get(match["key"]) if match["key"] else None if shared else next(iter(sources.values()), None)
            )
            beginning = f"encoders.encoders.{source}.backbone." if source else "encoders.backbone."
            our_name = beginning + match["rest"]
            prefixes[beginning] = full.removesuffix(match["rest"])
        elif _DECODER.fullmatch(name):
            our_name = name
            part = name.partition(".")[0] + "."
            prefixes[part] = lead + part
        else:
            unused.append(full)
            continue
        if our_name in originals:
            raise ModelError(
                f"{about}: {originals[our_name]!r} and {full!r} are one part; two models in one file, separate them"
            )
        originals[our_name] = full
    if not any(name.startswith("encoders.") for name in originals):
        raise ModelError(
            f"{about}: it has no AgriFM tensors ({len(tensors)} tensors such as {_few(tensors)}); "
            "give weights of an AgriFM encoder"
        )
    renamed = {our_name: tensors[full] for our_name, full in originals.items()}
    # renaming must be reversible, or converting back would lose names
    for name in renamed:
        if name_in_file(name, prefixes) != originals[name]:
            raise ModelError(
                f"{about}: {originals[name]!r} is named unlike its part; two models in one file, separate them"
            )
    return RenamedTensors(renamed, prefixes, tuple(unused), _naming_in_words(short, tensors))


def name_in_file(name: str, prefixes: Mapping[str, str]) -> str:
    """Return the name in the file of a tensor with one of our names."""
    longest = max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default="")
    return prefixes.get(longest, "") + name.removeprefix(longest)


def public_prefixes(sources: Iterable[str], shared: bool) -> dict[str, str]:
    """Prefixes of the public code: shared backbones as in the distributed weights, others as in its training."""
    names = {source: PUBLIC_SOURCE_NAMES.get(source, source) for source in sources}
    if not shared:
        return {f"encoders.encoders.{source}.": f"encoders.encoders.{key}." for source, key in names.items()}
    # the distributed weights call the kernel `weights`
    leaves = (("proj.weight", "weights"), ("proj.bias", "bias"))
    embeddings = {
        f"encoders.encoders.{source}.patch_emd.{leaf}": f"encoder.{key}_patch_emd.{short}"
        for source, key in names.items()
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
        if _EMBEDDING_TENSORS.get(match["leaf"], match["leaf"]) == "proj.weight":
            shape = tensors[full].shape
            names[key] = _source(key, shape[1] if len(shape) > 1 else 0)
        else:
            # a bias has no axis of bands, so only the key can tell its source
            names.setdefault(key, SOURCE_ALIASES.get(key.lower(), key))
    if "" in names.values():
        raise ModelError(
            f"{about}: the source of 'patch_emd' has no name and cannot be inferred from its bands (10 are "
            "Sentinel-2, 6 Landsat, 7 MODIS); name it, as in 'S2_patch_emd'"
        )
    if len(set(names.values())) < len(names):
        raise ModelError(f"{about}: {', '.join(names)} are the same source; two models in one file, separate them")
    return names


def _source(key: str, channels: int) -> str:
    if key in SENSORS:
        return key
    return SOURCE_ALIASES.get(key.lower()) or SOURCE_BY_BAND_COUNT.get(channels, key)


def _is_shared(short: Mapping[str, str], sources: Mapping[str, str], about: str) -> bool:
    """Whether all sources share a backbone; that of a single source is its own, unless named as shared."""
    roots = {match["root"] or "" for name in short if (match := _BACKBONE.fullmatch(name))}
    common = {root for root in roots if not root.startswith("encoders.encoders.")}
    if (common and roots != common) or len(common) > 1:
        raise ModelError(
            f"{about}: its backbones have {len(roots)} kinds of names; two models in one file, separate them"
        )
    return "encoders." in common or (bool(common) and len(sources) > 1)


def _naming_in_words(short: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    wrapped = " with `module.`" if any(name.startswith(_PARALLEL_PREFIX) for name in tensors) else ""
    if any(name.startswith("encoders.backbone.") for name in short):
        return f"agrifm's, one backbone for all sources{wrapped}"
    if any(name.startswith("encoders.encoders.") for name in short):
        return f"training of the reference, and agrifm's{wrapped}"
    if any(name.startswith("encoder.") for name in short):
        return f"distributed weights{wrapped}"
    return f"a bare encoder{wrapped}"


def _few(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names)[:3])
