"""agrifm: from an area and a season to a crop map with hectares and confidence."""

from importlib.metadata import version

__version__ = version("agrifm")
