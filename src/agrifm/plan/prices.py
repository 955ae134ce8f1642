"""Money: a list of prices, as a small TOML file, and what a plan costs by it."""

import math
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from agrifm.errors import ConfigError
from agrifm.files import AnyPath, as_path
from agrifm.plan.forecast import StepForecast
from agrifm.validation import Frozen, complaint

EXAMPLE = "currency = 'EUR', per_gb_moved, per_gb_month, per_core_hour, per_request (each a number, 0 for free)"
GIGABYTE = 1e9


class Prices(Frozen):
    """What a unit costs."""

    currency: str = Field(min_length=1, max_length=12)
    """Such as "EUR"."""
    per_gb_moved: float = Field(ge=0)
    """A gigabyte (10^9 bytes) read from servers."""
    per_gb_month: float = Field(ge=0)
    """A gigabyte on disk for a month."""
    per_core_hour: float = Field(ge=0)
    """A processor core for an hour."""
    per_request: float = Field(ge=0)
    """A request to a server."""

    def cost(self, step: StepForecast, cores: int, workers: int) -> float:
        """Return what a step costs, with a month of what it leaves on disk.

        Args:
            cores: of a machine, which is paid for as a whole while the step runs.
            workers: machines that share the step.
        """
        machines = step.seconds / 3600 * cores * workers
        parts = (
            step.moved_bytes / GIGABYTE * self.per_gb_moved,
            step.disk_bytes / GIGABYTE * self.per_gb_month,
            machines * self.per_core_hour,
            step.requests * self.per_request,
        )
        return math.fsum(parts)


def read_prices(path: AnyPath) -> Prices:
    """Read a list of prices.

    Raises:
        ConfigError: the file is absent, is not TOML, lacks a price, or has an unknown one.
    """
    path = as_path(path)
    about = f"reading the prices {path}"
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
        return Prices.model_validate(content)
    except OSError as error:
        raise ConfigError(f"{about}: {error.strerror}; give a file with the keys {EXAMPLE}", path=path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{about}: it is not TOML ({error}); write the keys {EXAMPLE}", path=path) from error
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigError(f"{about}: {complaint(error, Prices)}; it needs {EXAMPLE}", path=path, key=key) from error
