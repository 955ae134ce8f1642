"""Validated records: the base class of everything that is read from files, and pydantic's errors in one sentence."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from agrifm.errors import did_you_mean, shortened


class Frozen(BaseModel):
    """An immutable record; unknown keys and numbers that are not finite are refused.

    The text under a field is its description.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


def complaint(error: ValidationError, record: type[BaseModel]) -> str:
    """The first complaint in words; an unknown key comes first, since it explains a missing one.

    Args:
        record: the class of record that was to be read; its keys are suggested for an unknown one.
    """
    complaints = error.errors()
    first = next((one for one in complaints if one["type"] == "extra_forbidden"), complaints[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys_beside(first["loc"], record)
        return f"unknown key '{where}'{did_you_mean(str(first['loc'][-1]), known)} Known keys: {', '.join(known)}"
    value = "" if first["type"] in ("missing", "value_error") else f" (found {shortened(repr(first['input']))})"
    return f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}{value}"


def _keys_beside(location: tuple[Any, ...], record: type[BaseModel]) -> list[str]:
    """Names of the known keys of the section that contains a key."""
    section: Any = record
    for part in location[:-1]:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[str(part)].annotation
        else:
            of = get_args(section)  # a table of sections, such as a region's crops, or a list of them
            section = of[0] if of[-1] is Ellipsis else of[-1]
    return [name for name, field in section.model_fields.items() if not field.exclude]
