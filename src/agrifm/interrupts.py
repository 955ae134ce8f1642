"""Signals that ask a command to stop: Ctrl+C, `kill`, and a terminal that closes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

INTERRUPTED = 128
"""Exit code of a command that was stopped, less the number of the signal; shells and schedulers know it so."""


@contextmanager
def interruptible(stopped_by: list[int]) -> Iterator[None]:
    """All of these signals end the work inside as Ctrl+C does, so that files and locks are left in order.

    A signal that is ignored stays so: `nohup agrifm fetch` outlives its terminal.

    Args:
        stopped_by: receives the numbers of the signals.
    """

    def stop(number: int, _: object) -> None:
        stopped_by.append(number)
        raise KeyboardInterrupt

    usual = {}
    if current_thread() is main_thread():  # Python passes signals to this thread only
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                usual[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
