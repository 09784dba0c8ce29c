"""A real browser shows the pages: no complaint, no request, no sideways scroll."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asd_train.report import history
from asd_train.report.comparison import compare
from asd_train.report.folder import Evaluation
from asd_train.report.page import Choice, page

BROWSER = "chromium"
# Where everything must be tested, a browser that is missing is a failure.
pytestmark = pytest.mark.skipif(
    shutil.which(BROWSER) is None and not os.environ.get("CI"),
    reason="needs chromium: tests/support/packages.sh installs it",
)
MEASURE = """<script>
const options = document.querySelector("select");
if (options) {
  options.value = "valve";
  options.dispatchEvent(new Event("change"));
}
const hidden = document.querySelectorAll("[data-machine][hidden]").length;
const root = document.documentElement;
document.title = `${root.scrollWidth - root.clientWidth} beyond, ${hidden} hidden`;
</script></body>"""


def shown(path: Path, home: Path) -> tuple[str, list[str]]:
    """The page as the browser has it, and what it complains of."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,800"]
    flags += ["--enable-logging=stderr", "--disable-background-networking"]
    flags += [f"--user-data-dir={home}", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run(
        [BROWSER, *flags, path.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, said


def test_pages_show_without_complaint(done: Path, sounds: Path, tmp_path: Path) -> None:
    evaluation, past = Evaluation.open(done), history.read(done)
    texts = {
        "report": page(evaluation, past, Choice(sounds, maps=("fan",), clips=1)),
        "compare": compare([evaluation, evaluation], [past, past]),
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.html"
        path.write_text(text.replace("</body>", MEASURE), encoding="utf-8")
        found, said = shown(path, tmp_path / "home")
        assert said == []
        title = re.search(r"<title>(.*?)</title>", found)
        assert title is not None
        hidden = "0 hidden" if name == "compare" else r"[1-9]\d* hidden"
        assert re.fullmatch(f"0 beyond, {hidden}", title[1])


def test_a_request_would_be_complained_of(done: Path, tmp_path: Path) -> None:
    evaluation, past = Evaluation.open(done), history.read(done)
    text = page(evaluation, past, Choice(maps=(), clips=1))
    path = tmp_path / "report.html"
    path.write_text(
        text.replace("</body>", '<img src="http://x.invalid/a.png"></body>')
    )
    _, said = shown(path, tmp_path / "home")
    assert any("Content Security Policy" in line for line in said)
