"""A hook of mkdocs: pages that are made from the code, and files outside docs/ that pages link to.

Commands come from the parser, keys of the project file from the pydantic models, Python names from docs/api.md. A link
to a file outside docs/ leads to a copy of it, so that the site needs no repository.
"""

import posixpath
import re
import types
import typing
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).parents[2]
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "THIRD_PARTY.md")
OUTSIDE = "repository"
"""Where copies of files outside docs/ are in the site."""
ABOUT_THE_PROJECT_FILE = """\
writes an `agrifm.toml` with all keys and comments. Unknown keys are refused, with the nearest known one. Paths are
relative to the file. A key without a default must be given, if its section is there."""
A_SECTION = "a section of its own, below"
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the decisions to the navigation, by their titles."""
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    entries = [
        {path.read_text(encoding="utf-8").splitlines()[0].lstrip("# "): f"decisions/{path.name}"} for path in pages
    ]
    assert config.nav is not None
    config.nav[-1]["Project"].append({"Decisions": entries})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made here, and copies of what pages link to outside docs/."""
    for name, text in (
        ("reference/commands.md", commands_page()),
        ("reference/project-file.md", project_file_page()),
        ("reference/python.md", python_page()),
    ):
        files.append(File.generated(config, name, content=text))
    icon = ROOT / "src/agrifm/serve/web/icon.svg"
    files.append(File.generated(config, "site-icon.svg", content=icon.read_text(encoding="utf-8")))
    for name in PAGES:
        files.append(File.generated(config, f"{OUTSIDE}/{name}", content=(ROOT / name).read_text(encoding="utf-8")))
    for target in sorted(outside_targets()):
        if target.suffix != ".md":
            name = target.relative_to(ROOT).as_posix()
            files.append(File.generated(config, f"{OUTSIDE}/{name}", content=target.read_bytes()))
    return files


def outside_targets() -> set[Path]:
    """Files outside docs/ to which pages link; a link to nothing stays, and mkdocs complains about it."""
    found = set()
    for path in [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in PAGES)]:
        for _, target, _ in LINK.findall(path.read_text(encoding="utf-8")):
            whole = (path.parent / target).resolve()
            if whole.is_file() and not whole.is_relative_to(ROOT / "docs"):
                found.add(whole)
    return found


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links to files outside docs/ to their copies, and links of copies back into docs/."""
    here = page.file.src_uri
    copied = here.startswith(f"{OUTSIDE}/")
    source = ROOT / (here.removeprefix(f"{OUTSIDE}/") if copied else f"docs/{here}")

    def moved(found: re.Match[str]) -> str:
        target = (source.parent / found[2]).resolve()
        if not target.is_relative_to(ROOT):
            return found[0]
        within = target.relative_to(ROOT).as_posix()
        uri = within.removeprefix("docs/") if within.startswith("docs/") else f"{OUTSIDE}/{within}"
        return f"{found[1]}{posixpath.relpath(uri, posixpath.dirname(here) or '.')}{found[3]}"

    return LINK.sub(moved, markdown)


def commands_page() -> str:
    """Every command with its arguments and examples, from the parser."""
    from agrifm.cli import _parser
    from agrifm.command_examples import EXAMPLES

    parsers = _parser().get_default("parsers")
    parts = ["# Commands", "", "    agrifm --help", "", "What `agrifm COMMAND --help` says, of every command.", ""]
    for name, parser in parsers.items():
        parts += [f"## {name}", "", f"{sentence(parser.description)}", ""]
        parts += ["```sh", *(f"agrifm {line}" for line in EXAMPLES[name]), "```", ""]
        rows = list(argument_rows(parser))
        if rows:
            parts += ["| argument | meaning | default |", "|---|---|---|", *rows, ""]
    parts += ["Exit codes: 0 done; 1 the run failed; 2 the request was wrong, in one sentence; 130 stopped by Ctrl+C."]
    return "\n".join(parts)


def sentence(text: str | None) -> str:
    """A description with a capital letter and a full stop."""
    words = (text or "").strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def argument_rows(parser: ArgumentParser) -> Iterator[str]:
    """Rows of a table with the arguments of a command, without those of every command."""
    for action in parser._actions:
        if action.dest in ("help", "debug") or action.help == SUPPRESS:
            continue
        metavar = action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar or ())
        if action.choices:
            metavar = metavar or "{" + ",".join(map(str, action.choices)) + "}"
        value = "" if action.nargs == 0 else metavar or action.dest.upper()
        name = ", ".join(f"{option} {value}".strip() for option in action.option_strings) or value
        default = "" if action.default in (None, False, (), [], SUPPRESS) else f"`{action.default}`"
        text = (action.help or "") % {**vars(action), "prog": parser.prog} if action.help else ""
        yield "| " + " | ".join(cell(part) for part in (f"`{name}`", text, default)) + " |"


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def project_file_page() -> str:
    """Every key of agrifm.toml, from the models that read it."""
    from agrifm.config import Project

    parts = ["# The project file", "", "    agrifm init my-season", "", ABOUT_THE_PROJECT_FILE, ""]
    for name, field in Project.model_fields.items():
        for model, many in models_in(field.annotation):
            parts += list(section(name, model, many))
    return "\n".join(parts)


def section(name: str, model: type[BaseModel], many: bool) -> Iterator[str]:
    """A section of the project file, and after it those within it."""
    title = f"[[{name}]]" if many else f"[{name}]"
    inner = []
    yield from (f"## `{title}`", "", sentence((model.__doc__ or "").split("\n\n")[0]), "")
    yield from ("| key | meaning | values | default |", "|---|---|---|---|")
    for key, field in model.model_fields.items():
        inner += [(f"{name}.{key}", *found) for found in models_in(field.annotation)]
        yield f"| `{key}` | {cell(field.description or '')} | {cell(values(field.annotation))} | {default(field)} |"
    yield ""
    for key, within, several in inner:
        yield from section(key, within, several)


def models_in(annotation: Any) -> Iterator[tuple[type[BaseModel], bool]]:
    """The models in a type, each with whether it may be given several times."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, False
        return
    several = typing.get_origin(annotation) in (tuple, list)
    for part in typing.get_args(annotation):
        for model, many in models_in(part):
            yield model, many or several


def values(annotation: Any) -> str:
    """A type in words."""
    if annotation is type(None) or annotation is Ellipsis:
        return ""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return values(parts[0])
    if origin is typing.Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(filter(None, map(values, parts))))
    if origin in (tuple, list):
        if values(parts[0]) == A_SECTION:
            return "sections of its own, below"
        return "list of " + (values(parts[0]) if len(set(parts) - {Ellipsis}) == 1 else f"{len(parts)} numbers")
    if origin is dict or str(origin).endswith("Mapping'>"):
        return "table"
    names = {
        "str": "text",
        "Path": "path",
        "float": "number",
        "int": "whole number",
        "bool": "`true`, `false`",
        "date": "day",
    }
    name = getattr(annotation, "__name__", str(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return A_SECTION
    return names.get(name, name)


def default(field: Any) -> str:
    """The default of a key."""
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined or value is None or value == () or isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{one}"' if isinstance(one, str) else str(one) for one in value) + "]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def python_page() -> str:
    """Every name of docs/api.md with its signature and docstring."""
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    parts = ["# Python, in full", "", "The [names that stay](../api.md), with what their docstrings say.", ""]
    for line in text.splitlines():
        named = re.match(r"\| `(agrifm\.[\w.]+)` \|", line)
        if line.startswith("## "):
            parts += [line, ""]
        elif named:
            parts += [f"::: {named[1]}", ""]
    return "\n".join(parts)
