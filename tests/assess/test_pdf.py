"""Printing as PDF: which program is called and how, and what is said if it cannot. No browser is run here."""

import os
from pathlib import Path

import pytest

from agrifm.assess.pdf import find_browser, print_pdf
from agrifm.cli import main
from agrifm.errors import AssessmentError

WRITES = """#!/bin/sh
printf '%s\\n' "$@" > "{record}"
for one in "$@"; do case "$one" in --print-to-pdf=*) printf '%%PDF-1.4 page' > "${{one#--print-to-pdf=}}";; esac; done
"""
FAILS = "#!/bin/sh\necho 'cannot open display' >&2\nexit {code}\n"


def install(folder: Path, text: str, name: str = "chromium") -> Path:
    """A program on a PATH that has nothing else but the shell's."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    return folder / name


@pytest.fixture
def path(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_the_page_is_printed_without_window_and_with_nothing_of_the_user(tmp_path, path):
    browser = install(path, WRITES.format(record=tmp_path / "arguments"), "google-chrome")
    page = tmp_path / "a page.html"
    page.write_text("<p>")
    assert find_browser() == browser
    print_pdf(page, tmp_path / "page.pdf", browser)
    assert (tmp_path / "page.pdf").read_bytes() == b"%PDF-1.4 page"
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert "--headless" in arguments
    assert f"--print-to-pdf={tmp_path / 'page.pdf'}" in arguments
    assert arguments[-1] == page.as_uri()
    assert ("--no-sandbox" in arguments) == (os.geteuid() == 0)
    (profile,) = [one.split("=")[1] for one in arguments if one.startswith("--user-data-dir=")]
    assert not Path(profile).exists()


@pytest.mark.parametrize("code", [0, 3])
def test_a_browser_that_writes_no_pdf_is_refused(tmp_path, path, code):
    browser = install(path, FAILS.format(code=code))
    (tmp_path / "page.html").write_text("<p>")
    with pytest.raises(AssessmentError) as error:
        print_pdf(tmp_path / "page.html", tmp_path / "page.pdf", browser)
    assert error.value.facts["code"] == code
    assert "cannot open display" in str(error.value)


def test_without_a_browser_the_command_ends_with_2_before_any_work(tmp_path, path, capsys):
    command = ["assess", "--map", "absent.tif", "--reference", "absent.gpkg", "--out", str(tmp_path / "r"), "--pdf"]
    assert main(command) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert "chromium" in sentence
    assert not (tmp_path / "r").exists()
