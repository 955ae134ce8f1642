"""`agrifm completion`: a script that completes commands, options and their choices in a shell."""

import argparse
from collections.abc import Iterator

BASH = """\
# completion of agrifm for {shell}; made by `agrifm completion {shell}`
_agrifm() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words values
    local command="${{COMP_WORDS[1]}}"
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{firsts}" -- "$word"))
        return
    fi
    case "$command ${{COMP_WORDS[2]}}" in
{pairs}
    esac
    case "$command" in
{groups}
    esac
    case "$command $previous" in
{choices}
    esac
    case "$command" in
{options}
    esac
    case "$word" in
        -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
        *) COMPREPLY=($(compgen -W "$values" -- "$word") $(compgen -f -- "$word")) ;;
    esac
}}
complete -o filenames -F _agrifm agrifm
"""


def completion(shell: str, parsers: dict[str, argparse.ArgumentParser]) -> str:
    """Return the script for a shell.

    Args:
        shell: bash, zsh or fish.
        parsers: of each command, by its name of one or two words.
    """
    if shell == "fish":
        return "\n".join(_fish(parsers)) + "\n"
    start = "autoload -Uz bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return start + _bash(shell, parsers)


def _bash(shell: str, parsers: dict[str, argparse.ArgumentParser]) -> str:
    firsts = dict.fromkeys(name.split()[0] for name in parsers)
    pairs = [name for name in parsers if " " in name]
    seconds: dict[str, list[str]] = {}
    for name in pairs:
        seconds.setdefault(name.split()[0], []).append(name.split()[1])
    groups = [
        f'        "{first}") [ "$COMP_CWORD" -eq 2 ] && [[ "$word" != -* ]] && '
        f'COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$word")) && return ;;'
        for first, words in seconds.items()
    ]
    choices = [
        f'        "{name} {option}") COMPREPLY=($(compgen -W "{" ".join(known)}" -- "$word")); return ;;'
        for name, parser in parsers.items()
        for option, known in _options(parser)
        if known
    ]
    options = [
        f'        "{name}") words="{" ".join(option for option, _ in _options(parser))}" values="{_values(parser)}" ;;'
        for name, parser in parsers.items()
    ]
    return BASH.format(
        shell=shell,
        firsts=" ".join(firsts),
        pairs="\n".join(f'        "{name}") command="{name}" ;;' for name in pairs),
        groups="\n".join(groups),
        choices="\n".join(choices),
        options="\n".join(options),
    )


def _fish(parsers: dict[str, argparse.ArgumentParser]) -> Iterator[str]:
    yield "# completion of agrifm for fish; made by `agrifm completion fish`"
    for name, parser in parsers.items():
        first, _, second = name.partition(" ")
        here = "__fish_use_subcommand"
        if second:
            yield f"complete -c agrifm -n '{here}' -a {first}"
            yield f"complete -c agrifm -n '__fish_seen_subcommand_from {first}' -a {second}"
        else:
            yield f"complete -c agrifm -n '{here}' -a {name} -d '{_quoted(parser.description or '')}'"
        if _values(parser):
            yield f"complete -c agrifm -n '__fish_seen_subcommand_from {name}' -a '{_values(parser)}'"
        seen = " and ".join(f"__fish_seen_subcommand_from {word}" for word in name.split()).replace(" and ", "; and ")
        for option, known in _options(parser):
            if option.startswith("--"):
                chosen = f" -x -a '{' '.join(known)}'" if known else ""
                yield f"complete -c agrifm -n '{seen}' -l {option[2:]}{chosen}"


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The options of a command, each with the values that it may have; () = any."""
    for action in parser._actions:
        for option in action.option_strings:
            yield option, tuple(map(str, action.choices or ()))


def _values(parser: argparse.ArgumentParser) -> str:
    """The values that the arguments without a name may have."""
    return " ".join(
        str(known) for action in parser._actions if not action.option_strings for known in action.choices or ()
    )


def _quoted(text: str) -> str:
    return text.replace("'", "\\'")
