"""The command line: it parses and calls. Every command is a plain function that Python users can call.

Exit codes: 0 done, 1 the run failed, 2 the request was wrong, 128 and the number of the signal that stopped it (130
after Ctrl+C, 143 after `kill`). Slow libraries are imported when a command runs, so that `agrifm --help` answers at
once.
"""

import argparse
import sys
from collections.abc import Sequence
from signal import SIGINT
from traceback import format_exception

from agrifm.command_examples import examples_of
from agrifm.commands import COMMANDS
from agrifm.errors import AgriFMError, cause
from agrifm.interrupts import INTERRUPTED, interruptible
from agrifm.screen import printable, screen


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if " ".join(words[:2]) in COMMANDS:
        words[:2] = [" ".join(words[:2])]
    with screen("--debug" in words):
        return _run(_parser().parse_args(words))


def _run(options: argparse.Namespace) -> int:
    """The net under every command: whatever it raises becomes one sentence, and the traceback is for `--debug`."""
    stopped_by: list[int] = []
    try:
        with interruptible(stopped_by):
            COMMANDS[options.command].run(options)
        return 0
    except BaseException as error:
        if stopped_by or isinstance(error, KeyboardInterrupt):  # a library may have raised something else instead
            _complain(options, "stopped; run it again to continue")
            return INTERRUPTED + (stopped_by or [SIGINT])[0]
        if not isinstance(error, Exception):
            raise
        if options.debug:
            _complain(options, "".join(format_exception(error)))
        if isinstance(error, AgriFMError):
            _complain(options, str(error))
            return 2
        if isinstance(error, OSError | MemoryError):
            _complain(options, cause(error))
            return 2
        about = f"an error that agrifm does not know, {type(error).__name__}: {cause(error)}"
        _complain(options, f"{about}; please report it, with what `--debug` shows")
        return 1


def _complain(options: argparse.Namespace, sentence: str) -> None:
    print(f"agrifm {options.command}: {printable(_without_secrets(sentence))}", file=sys.stderr)


def _without_secrets(sentence: str) -> str:
    """Remove credentials from a sentence."""
    from agrifm.redaction import redacted

    return redacted(sentence)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agrifm", description="From an area and a season to a crop map with hectares and confidence."
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {}
    for name, command in COMMANDS.items():
        parsers[name] = commands.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            epilog=examples_of(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(parsers[name])
        parsers[name].add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(parsers=parsers)  # for what completes them in a shell
    return parser


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from agrifm import __version__

        print(f"agrifm {__version__}")
        parser.exit()
