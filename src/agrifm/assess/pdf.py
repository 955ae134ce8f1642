"""A page as PDF, printed by an installed Chromium or Chrome without a window and without a network."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from agrifm.errors import AssessmentError
from agrifm.files import AnyPath, as_path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""Names under which Chromium and its kin are installed, the first found is used."""
MAX_SECONDS = 120


def find_browser() -> Path:
    """Return the Chromium or Chrome that prints.

    Raises:
        AssessmentError: none is installed.
    """
    for name in BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    raise AssessmentError(
        f"printing the report as PDF: no Chromium or Chrome is on the PATH ({', '.join(BROWSERS)}); install one, or "
        "open report.html in any browser and print it there",
        browsers=BROWSERS,
    )


def print_pdf(page: AnyPath, out: AnyPath, browser: AnyPath) -> None:
    """Print an HTML file as PDF.

    Args:
        page: the HTML file.
        out: the PDF to write.
        browser: Chromium or Chrome.

    Raises:
        AssessmentError: the browser fails, writes no PDF, or takes more than two minutes.
    """
    page, out, browser = as_path(page), as_path(out), as_path(browser)
    about = f"printing {page.name} with {browser}"
    with tempfile.TemporaryDirectory() as profile:
        command = [
            str(browser),
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={out.resolve()}",
            page.resolve().as_uri(),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # Chromium refuses its sandbox to root, as in containers
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=MAX_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AssessmentError(
                f"{about}: {error}; print report.html in a browser instead", browser=browser
            ) from error
    if done.returncode or not out.is_file() or not out.read_bytes().startswith(b"%PDF"):
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise AssessmentError(
            f"{about}: it wrote no PDF (exit code {done.returncode}: {said}); print report.html in a browser instead",
            browser=browser,
            code=done.returncode,
        )
