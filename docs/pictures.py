"""Takes the README's pictures anew from a run of the demo: the terminal in the middle of it, and the report at its end.

Run it after the live view or the page has changed: `python docs/pictures.py`, about two minutes on two cores. It needs
playwright and the system's Chromium, as the tests of pages do.

    python docs/pictures.py --overview RESULTS/STUDY/report/report.html   # of a study or a comparison, for a talk
    python docs/pictures.py --forms PAGE DIR                              # wide, narrow, light, dark, printed
    python docs/pictures.py --dashboard http://127.0.0.1:8080/dashboard/studies/1 DIR --trial 8
    python docs/pictures.py --pair BEFORE AFTER                           # of two such folders

These run nothing: they take the overview of a page alone (pictures/overview.webp), a page in all of its forms, two
pages of the dashboard, and write pictures of before and after a change below each other (pictures/NAME.webp).
"""

import argparse
import io
import tempfile
from contextlib import nullcontext
from pathlib import Path

import forms
from rich.console import Console

from blade_tune.cli import progress
from blade_tune.cli.live_progress import LiveProgress
from blade_tune.cli.program import blade_tune
from blade_tune.training.epoch_record import EpochRecord

PICTURES = Path(__file__).parent / "pictures"
TRIAL, EPOCH = 13, 8  # the terminal is shown when this trial has come to this epoch
COLUMNS = 108
WIDTH, HEIGHT = 1100, 1310  # of the report's picture, in pixels
# Rich's own frame without its web fonts, so that a reader's browser asks nobody for anything
FRAME = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
  .{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; }}
  {styles}
</style>
<defs>
  <clipPath id="{unique_id}-clip-terminal">
    <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
  </clipPath>
  {lines}
</defs>
<rect fill="#1c1c1c" width="{width}" height="{height}" rx="8" />
<g transform="translate({terminal_x}, 16)" clip-path="url(#{unique_id}-clip-terminal)">
  {backgrounds}
  <g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


class Photographer(LiveProgress):
    """A live view that is never started, so that its console records plain lines until the picture is taken."""

    def __init__(self) -> None:
        super().__init__(
            Console(file=io.StringIO(), record=True, force_terminal=True, width=COLUMNS)
        )

    def epoch_ended(self, number: int, record: EpochRecord) -> None:
        """Move the trial's bar, and take the picture when its time has come."""
        super().epoch_ended(number, record)
        picture = PICTURES / "terminal.svg"
        if (number, record.epoch) == (TRIAL, EPOCH):
            console = self.display.console
            console.print(self.display.renderable)
            picture.write_text(
                console.export_svg(title="", code_format=FRAME, unique_id="demo"), encoding="utf-8"
            )


def photograph(page: Path, picture: Path) -> None:
    """Write the top of a page as a picture."""
    with forms.chromium() as browser:
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        view.goto(page.resolve().as_uri())
        view.wait_for_selector(".js-plotly-plot .main-svg")
        view.screenshot(path=picture)


def take() -> None:
    """Run the demo with two workers, and write both pictures."""
    PICTURES.mkdir(exist_ok=True)
    progress.watch = lambda quiet: nullcontext(Photographer())  # noqa: ARG005
    with tempfile.TemporaryDirectory() as results:
        for words in ("run --study demo --trials 20 --workers 2", "report --study demo"):
            blade_tune.main([*words.split(), "--results", results], standalone_mode=False)
        photograph(Path(results) / "demo" / "report" / "report.html", PICTURES / "report.png")


def main() -> None:
    """Take the README's pictures, or those that the options ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--overview", type=Path, metavar="PAGE")
    parser.add_argument("--forms", type=Path, nargs=2, metavar=("PAGE", "DIR"))
    parser.add_argument("--dashboard", nargs=2, metavar=("URL", "DIR"))
    parser.add_argument("--trial", type=int, default=0, metavar="N")
    parser.add_argument("--pair", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--out", type=Path, default=PICTURES / "overview.webp", metavar="FILE")
    options = parser.parse_args()
    if options.overview:
        forms.shoot_talk(options.overview, options.out)
    elif options.forms:
        forms.shoot(*options.forms)
    elif options.dashboard:
        url, folder = options.dashboard
        forms.shoot_dashboard(url, options.trial, Path(folder))
    elif options.pair:
        forms.pair(*options.pair, PICTURES)
    else:
        take()


if __name__ == "__main__":
    main()
