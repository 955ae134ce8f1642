"""The files of a report on a map of numbers: page, JSON, and one table of scores."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agrifm.assess.pdf import print_pdf
from agrifm.assess.report_tables import FILES, KIND, Row, csv_of_rows
from agrifm.files import finite_or_none, write_json, write_text
from agrifm.outputs import require_replaceable, write_directory


def write_number_report(
    out: Path, report: Mapping[str, Any], page: str, rows: Iterator[Row], browser: Path | None
) -> None:
    """Write `report.json`, `report.html`, `scores.csv` and, with a browser, `report.pdf`, all in one step.

    Args:
        out: the report's directory, new or with an earlier report, which is replaced.

    Raises:
        OutputError: `out` is not a report's directory, or cannot be written.
    """
    require_replaceable(out, KIND, FILES)
    with write_directory(out, KIND) as partial:
        write_json(partial / "report.json", finite_or_none(dict(report)))
        write_text(partial / "report.html", page)
        write_text(partial / "scores.csv", csv_of_rows(rows))
        if browser is not None:
            print_pdf(partial / "report.html", partial / "report.pdf", browser)
