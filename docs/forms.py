"""Pictures of a page in every form that people read it in, and pairs of them from before and after a change.

`pictures.py` calls this. A page is taken at the widths of a desk and of a phone, light and dark, and as it is printed;
printed pages need pypdfium2 (`pip install pypdfium2`) and are left out without it.
"""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

FORMS = {  # name -> width in pixels, and scheme
    "1280-light": (1280, "light"),
    "1280-dark": (1280, "dark"),
    "390-light": (390, "light"),
    "390-dark": (390, "dark"),
}
VIEWS = {"study": "", "trial": "/trials?numbers={trial}"}  # of a study's pages in the dashboard
COLUMN = 2400  # pixels of height at which a long page is cut into columns
WIDTH = 1300  # pixels of width of a picture of two
MOST_BYTES = 150_000

# Draws pictures below each other, each cut into columns, as one WebP of at most so many bytes
COMPOSE = """async ([pictures, column, width, most, largest, gap]) => {
    const images = await Promise.all(pictures.map(source => new Promise(done => {
        const image = new Image();
        image.onload = () => done(image);
        image.src = source;
    })));
    const parts = images.map(image => Math.ceil(image.height / column));
    const wide = Math.max(...images.map((image, n) => parts[n] * (image.width + gap)));
    const rows = images.map(image => Math.min(image.height, column) + 3 * gap);
    const canvas = document.createElement("canvas");
    const scale = Math.min(largest, width / wide);
    [canvas.width, canvas.height] = [wide * scale, rows.reduce((a, b) => a + b) * scale];
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.imageSmoothingQuality = "high";
    pen.fillStyle = "#777";
    pen.fillRect(0, 0, wide, canvas.height / scale);
    let y = gap;
    images.forEach((image, n) => {
        for (let part = 0; part < parts[n]; part++) {
            const height = Math.min(column, image.height - part * column);
            const x = part * (image.width + gap);
            pen.drawImage(image, 0, part * column, image.width, height, x, y, image.width, height);
        }
        y += rows[n];
    });
    for (let quality = 0.8; ; quality -= 0.1) {
        const picture = canvas.toDataURL("image/webp", quality);
        if (picture.length * 3 / 4 < most || quality < 0.2) return picture;
    }
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as driver:
        program = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def shoot(page: Path, folder: Path) -> None:
    """Take a report's page in all of its forms, as FORM.png in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, (width, scheme) in FORMS.items():
            view = _open(browser, page.resolve().as_uri(), width, scheme)
            view.screenshot(path=folder / f"report-{name}.png", full_page=True)
            if name == "1280-light":
                view.pdf(
                    path=folder / "printed.pdf", prefer_css_page_size=True, print_background=True
                )
            view.context.close()
    _print(folder)


def shoot_talk(page: Path, picture: Path, width: int = 1920) -> None:
    """Take the overview of a report's page, as it is for a talk."""
    with chromium() as browser:
        view = browser.new_page(viewport={"width": width, "height": width * 9 // 16})
        view.goto(f"{page.resolve().as_uri()}#talk")
        view.locator(".stage .main-svg").first.wait_for()
        view.locator(".back").evaluate("link => link.remove()")
        _write(view, [view.screenshot()], picture, (width, 1.0, 0))


def shoot_dashboard(address: str, trial: int, folder: Path) -> None:
    """Take a study's page and a trial's in the dashboard, from the address of the study's page."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, place in VIEWS.items():
            url = f"{address}{place.format(trial=trial)}"
            view = _open(browser, url, 1280, "light")
            view.screenshot(path=folder / f"dashboard-{name}.png", full_page=True)
            view.context.close()


def pair(before: Path, after: Path, out: Path) -> None:
    """Write each picture that is in two folders as one WebP, that of before above that of after."""
    with chromium() as browser:
        view = browser.new_page()
        for path in sorted(after.glob("*.png")):
            if (before / path.name).exists():
                pictures = [(folder / path.name).read_bytes() for folder in (before, after)]
                _write(view, pictures, out / f"{path.stem}.webp", (WIDTH, 0.7, 12))


def _open(browser: Browser, url: str, width: int, scheme: Any) -> Page:
    view = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    ).new_page()
    view.goto(url)
    view.wait_for_load_state("networkidle")
    view.wait_for_timeout(2500)  # the last of the figures
    return view


def _print(folder: Path) -> None:
    """Write the pages of a printed file beside each other as a picture."""
    try:
        pdfium = import_module("pypdfium2")
    except ImportError:
        return
    pages = [page.render(scale=0.9).to_pil() for page in pdfium.PdfDocument(folder / "printed.pdf")]
    width, height = pages[0].size
    sheet = import_module("PIL.Image").new("RGB", (len(pages) * (width + 4), height), "gray")
    for index, page in enumerate(pages):
        sheet.paste(page, (index * (width + 4), 0))
    sheet.save(folder / "report-printed.png")


def _write(view: Page, pictures: list[bytes], out: Path, size: tuple[int, float, int]) -> None:
    """Write pictures below each other as one.

    Args:
        view: a page that does it.
        pictures: PNG files.
        out: the WebP file to write.
        size: most pixels of width, most of what a picture is enlarged by, pixels between two.
    """
    width, largest, gap = size
    sources = [f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in pictures]
    made = view.evaluate(COMPOSE, [sources, COLUMN, width, MOST_BYTES, largest, gap])
    out.write_bytes(base64.b64decode(made.partition(",")[2]))
