"""``--report``: one page, whole, without a network, and in a browser as it should be."""

from __future__ import annotations

import base64
import hashlib
import html as standard
import json
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dadapt_cli.render import html, report
from dadapt_cli.render.html import Chart, Line, Page, Table

from ..conftest import DATA, PATIENCE, Ran

Cli = Callable[..., Ran]
VEHICLE = DATA / "vehicle.scale"
SHA256 = "f5bcfc5545c0f674b372e8dc3e41752efa287d4e04cb920150c51cd9c3df7b86"
MOST_BYTES = 6_000_000

OWNED = "document.title='owned'"
EVIL = f'</script><script>{OWNED}</script><img src=x onerror="{OWNED}">'
EVIL_NAMES = (EVIL, "<!--<b>&amp;\"'", "a\x1b[31mred\u202e", "<a href='javascript:0'>x</a>")


class Parsed(HTMLParser):
    """The elements of a page, the cells of its tables and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self._open == "script":
            self.scripts[-1] += data
        self.words += data if self._open not in ("script", "style") else ""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a fit of 200 steps, by the command itself."""
    path = tmp_path_factory.mktemp("report") / "fit.html"
    argv = ["fit", str(VEHICLE), "--l2", "1/n", "-n", "200", "--test", str(VEHICLE), "-q"]
    command = [sys.executable, "-m", "dadapt_cli", *argv, "--report", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert len(ran.stdout.split("\n\n")[1].splitlines()) == 10, "the table keeps to its few rows"
    return path


def evil_page() -> Page:
    lines = [Line(name, {"gradients": [1, 2], "seconds": [0.1, 0.2]}, [1.0, 0.5])
             for name in EVIL_NAMES]  # fmt: skip
    chart = Chart(EVIL, EVIL, ["gradients", "seconds"], lines)
    table = Table(EVIL, EVIL_NAMES, [EVIL_NAMES], [EVIL])
    return Page(EVIL, [(EVIL, EVIL)], [(EVIL, EVIL_NAMES, [chart, table])])


def test_a_fit_says_what_was_run_and_what_is_proven(fitted: Path) -> None:
    text = fitted.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    page = Parsed(text)
    for words in ("dadapt fit", "--l2 1/n", SHA256, "NumPy", "846 samples", "proven",
                  "above the true minimum",
                  "D = 13.98926834", "certified not to exceed D", "all iterations made: k = 200",
                  "held-out accuracy"):  # fmt: skip
        assert words in page.words, words
    rows, options = page.tables
    assert rows[0][:3] == ["k", "d", "d_hat"]
    assert len(rows) == 1 + 1 + 58 + 0, "the header, x_0 and the iterations of --every auto"
    assert rows[-1][0] == "200"
    assert ["l2", repr(1 / 846)] in options


def test_nothing_is_loaded_and_nothing_else_is_run(fitted: Path) -> None:
    """The policy names the digests of the scripts that are there, and of no other."""
    page = Parsed(fitted.read_text(encoding="utf-8"))
    (policy,) = (a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    allowed = set(re.findall(r"'sha256-([^']*)'", policy))
    scripts = [script for (tag, a), script in zip(
        [t for t in page.tags if t[0] == "script"], page.scripts, strict=True
    ) if "type" not in a]  # fmt: skip
    made = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert allowed == made
    assert len(made) == 2
    assert not {"src", "href", "action", "data"} & {name for _, a in page.tags for name in a}
    assert "link" not in {tag for tag, _ in page.tags}


def test_strings_of_files_are_only_text() -> None:
    text = html.text(evil_page())
    page = Parsed(text)
    assert not {"img", "a", "b"} & {tag for tag, _ in page.tags}
    assert len(page.scripts) == 3
    assert "\x1b" not in text
    assert "\u202e" not in text
    (table,) = page.tables
    assert table[1] == [EVIL, EVIL_NAMES[1], "a\\x1b[31mred\\u202e", EVIL_NAMES[3]]
    data = json.loads(page.scripts[0])
    assert data[0]["lines"][0]["name"] == EVIL
    assert html.script_json({"a": "</script><!--&"}) == (
        '{"a": "\\u003c/script\\u003e\\u003c!--\\u0026"}'
    )


def test_numbers_stay_numbers() -> None:
    table = Table("t", ("a", "b", "c"), [(1234567, 0.1 + 0.2, None), ("x", 1e-300, True)])
    page = Parsed(html.text(Page("t", [], [("s", [], [table])])))
    assert page.tables[0][1:] == [["1234567", "0.3", ""], ["x", "1e-300", "True"]]
    assert len(page.scripts) == 2, "without a chart there is no library"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--report", "x.pdf"), 2, "name a file that ends in .html"),
        (("--report", "/nowhere/x.html"), 4, "no folder"),
        (("--report", "{tmp}/folder.html"), 4, "is a folder"),
        (("--report", "{tmp}/x.html", "--save", "{tmp}/x.html"), 2, "two outputs"),
        (("--report", "{tmp}/x.html", "--cross-validate", "3"), 2, "for a single fit"),
        (("--report", "{tmp}/x.html", "--d0", "1e300"), 5, "iteration 1"),
    ],
)
def test_bad_reports(
    args: tuple[str, ...], code: int, words: str, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "folder.html").mkdir()
    ran = cli("fit", VEHICLE, "-n", 3, *(a.format(tmp=tmp_path) for a in args))
    assert ran.code == code
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert (tmp_path / "x.html").exists() == (code == 5), "a run that failed is reported too"


def test_without_plotly_the_extra_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = cli("fit", VEHICLE, "--report", "x.html")
    assert ran.code == 2
    assert ran.err == "dadapt: --report needs the extra 'report'; pip install 'dadapt[report]'\n"


def test_a_full_disk_leaves_the_old_report(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the page is larger."""
    path = tmp_path / "r.html"
    path.write_text("old")
    command = [sys.executable, "-m", "dadapt_cli", "fit", str(VEHICLE), "-n", "3", "-q", "--report",
               str(path), "--reference", "none"]  # fmt: skip
    limit = (2**20, 2**20)
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert ran.returncode == 4, ran.stderr
    assert str(path) in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_paper_and_regress(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    run = ("iris.scale", "--seeds", 2, "--epochs", 3, "-q", "--report", path)
    assert cli("paper", "figure2", *run, "--grid", "0.1,1").code == 0
    page = Parsed(path.read_text(encoding="utf-8"))
    assert page.tables[0][0][:3] == ["problem", "accuracy", "se"]
    assert "c03bd66fd6c48fb954d237fa0bf808ace2b9e0149bcba5fd1058d80fc117f92a" in page.words
    (chart,) = json.loads(page.scripts[0])
    assert [line["name"] for line in chart["lines"]] == ["D-Adapt Adam", "Adam, best rate"]
    assert cli("paper", "figure7", *run).code == 0
    (chart,) = json.loads(Parsed(path.read_text(encoding="utf-8")).scripts[0])
    assert chart["axes"] == ["d0"]
    assert cli("paper", "table1", *run[:-1], tmp_path / "x", "--grid", "0.1,1").code == 2
    args = ("regress", "iris.scale", "-a", "gd", "-j", 1, "-q", "--report", path)
    assert cli(*args).code == 0
    page = Parsed(path.read_text(encoding="utf-8"))
    assert "passed: 2 ok" in page.words
    assert len(page.tables[0]) == 3
    assert cli(*args[:-1], "/nowhere/x.html").code == 4


def comparison() -> dict[str, Any]:
    """A document as docs/compare.md has it, of two runs; their names are hostile."""
    levels = ("1e-2", "1e-3", "1e-6")
    runs = [
        {"name": name, "library": None, "status": "iterations", "reason": None, "gap": 1e-9,
         "d_over_D": 0.4, "accuracy": 0.9, "labels_proven": None, "gradients": 3, "seconds": 0.3,
         **{f"{key}_to": dict.fromkeys(levels, i + 1.0)
            for key in ("gradients", "passes", "seconds", "spread")},
         "curve": [{"gradients": k + 1, "passes": k + 1, "seconds": 0.1 * k + 0.01,
                    "relative": 10.0**-k, "d_over_D": 0.1 * (k + 1)} for k in range(3)]}
        for i, name in enumerate(("newton", EVIL))
    ]  # fmt: skip
    one = {
        "problem": {"path": "a/iris.scale", "problem": "iris.scale", "sha256": "ab" * 32,
                    "samples": 150, "features": 4, "classes": 3, "l2": 1 / 150},
        "reference": {"method": "newton-cholesky"},
        "target": {"kind": "certified", "f_star": 0.5, "gap": 1e-12, "f_0": 1.1},
        "unit": "gradients", "runs": runs, "skipped": [{"name": "x", "reason": "no"}],
        "verdict": "newton reached 1e-6 first", "notes": ["note"],
    }  # fmt: skip
    solvers = [{"name": "newton", "reached": 2, "ratios": [1.0, 1.5]},
               {"name": "gd", "reached": 1, "ratios": [4.0]}]  # fmt: skip
    environment = dict.fromkeys(("python", "numpy", "scipy", "platform", "cpus", "threads"), "1")
    return {"comparisons": [one], "levels": levels, "repeat": 3, "environment": environment,
            "profile": {"level": "1e-6", "problems": 2, "solvers": solvers}}  # fmt: skip


def test_compare() -> None:
    document = comparison()
    for run in document["comparisons"][0]["runs"]:
        run["gap"] = 1.0001e-9
        run["curve"][-1]["relative"] = -1e-15
    page = Parsed(html.text(report.compare(["compare", "a"], document)))
    for words in (
        "newton reached 1e-6 first",
        "note",
        "x was left out: no",
        "0.4999999999995 \N{PLUS-MINUS SIGN}",
        "dadapt compare: iris.scale\n",
    ):
        assert words in page.words
    assert page.tables[0][0][:2] == ["name", "gradients to 1e-2"]
    at = page.tables[0][0].index("certified gap")
    assert page.tables[0][1][at] == "1.1e-09", "a bound is rounded up"
    relative, share, profile = json.loads(page.scripts[0])
    assert relative["lines"][0]["y"] == [1.0, 0.1, 1e-16], "as in the picture"
    assert relative["axes"] == ["gradients", "seconds"]
    assert share["lines"][1]["y"] == pytest.approx([0.1, 0.2, 0.3], rel=1e-12)
    newton, gd = profile["lines"]
    assert newton["x"]["factor"] == [1.0, 1.0, 1.0, 1.5, 1.5, 4.0]
    assert newton["y"] == [0.5, 0.5, 0.5, 0.5, 1.0, 1.0]
    assert gd["y"] == [0.0, 0.0, 0.5, 0.5]


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (extra test)")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs the programs chromium and chromedriver (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    opened = webdriver.Chrome(options=options, service=service)
    yield opened
    opened.quit()


class Shown:
    """A page in the browser, at a width and in a theme."""

    def __init__(self, driver: Any, path: Path, width: int = 1400, theme: str = "light") -> None:
        self.driver = driver
        mobile = width < 500
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": theme}]
        })  # fmt: skip
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile
        })  # fmt: skip
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": mobile})
        driver.get_log("browser")
        driver.get(path.as_uri())
        self.wait("document.documentElement.dataset.drawn === 'yes'")

    def run(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def wait(self, condition: str) -> None:
        until = time.monotonic() + PATIENCE
        while not self.run(condition):
            assert time.monotonic() < until, condition
            time.sleep(0.05)

    def click(self, group: str, name: str) -> None:
        """A button of the first chart."""
        self.run(f"[...document.querySelectorAll('figure button[data-group=\"{group}\"]')]"
                 f".find((b) => b.textContent === '{name}').click()")  # fmt: skip

    def messages(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


PLOT = "document.querySelector('.plot')"


def test_what_an_axis_does_not_know_is_not_in_its_legend(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    document = comparison()
    for point in document["comparisons"][0]["runs"][1]["curve"]:
        point["gradients"] = None
    html.write(str(path), report.compare(["compare", "a"], document))
    page = Shown(browser, path)
    assert page.run(f"{PLOT}.data.map((trace) => trace.name)") == ["newton"]
    page.click("against", "seconds")
    page.wait(f"{PLOT}.data.length === 2")
    assert page.messages() == []


@pytest.mark.parametrize("width", [400, 1400])
def test_the_legend_is_below_the_axis(browser: Any, tmp_path: Path, width: int) -> None:
    path = tmp_path / "r.html"
    document = comparison()
    (one,) = document["comparisons"]
    one["runs"] += [{**one["runs"][0], "name": f"another one, {i}"} for i in range(6)]
    html.write(str(path), report.compare(["compare", "a"], document))
    page = Shown(browser, path, width)
    box = "document.querySelector('.plot {}').getBoundingClientRect().{}"
    assert page.run(box.format(".legend .bg", "top")) >= page.run(box.format(".xtitle", "bottom"))
    assert page.run(box.format(".legend .bg", "bottom")) <= page.run(
        box.format(".main-svg", "bottom")
    )
    assert page.run(box.format(".ytitle", "height")) < page.run(box.format(".nsewdrag", "height"))


def test_curves_are_drawn_and_their_buttons_work(browser: Any, fitted: Path) -> None:
    page = Shown(browser, fitted)
    assert page.run("document.querySelectorAll('.plot').length") == 4
    names = page.run(f"{PLOT}.data.map((trace) => trace.name)")
    assert names == ["last", "average", "best", "proven bound"]
    drawn = "[...document.querySelectorAll('.plot')[0].querySelectorAll('.scatterlayer .js-line')]"
    assert page.run(f"{drawn}.filter((p) => p.getTotalLength() > 100).length") == 4
    assert page.run(f"{PLOT}.layout.xaxis.title.text") == "gradients"
    assert page.run(f"{PLOT}.data[0].x[0]") == 1
    page.click("against", "seconds")
    page.wait(f"{PLOT}.layout.xaxis.title.text === 'seconds'")
    assert page.run(f"{PLOT}.data[0].x[0]") < 1
    for axis, group in (("xaxis", "x scale"), ("yaxis", "y scale")):
        assert page.run(f"{PLOT}._fullLayout.{axis}.type") == "log"
        page.click(group, "linear")
        page.wait(f"{PLOT}._fullLayout.{axis}.type === 'linear'")
    page.click("y scale", "log")
    page.wait(f"{PLOT}._fullLayout.yaxis.type === 'log'")
    assert page.run(f"{drawn}.length") == 4
    assert page.messages() == []


def test_zoom_hover_and_hidden_lines(browser: Any, fitted: Path) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    page = Shown(browser, fitted)
    plot = browser.find_element(By.CSS_SELECTOR, ".plot .nsewdrag")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(browser).move_to_element(plot).perform()
    page.wait("document.querySelector('.plot .hoverlayer .hovertext, .plot .hoverlayer .legend')")
    before = page.run(f"{PLOT}.layout.xaxis.range")
    (ActionChains(browser).move_to_element_with_offset(plot, -100, -50).click_and_hold()
     .move_by_offset(200, 100).release().perform())  # fmt: skip
    page.wait(f"{PLOT}.layout.xaxis.range[0] > {before[0]}")
    assert page.run(f"{PLOT}.layout.xaxis.range[1]") < before[1]
    toggle = browser.find_elements(By.CSS_SELECTOR, ".plot .legendtoggle")[1]
    ActionChains(browser).move_to_element(toggle).click().perform()
    page.wait(f"{PLOT}._fullData[1].visible === 'legendonly'")
    page.run("document.getElementById('theme').click()")
    page.wait(f"{PLOT}._fullData[1].visible === 'legendonly'")
    assert page.messages() == []


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_themes_and_widths(browser: Any, fitted: Path, width: int, theme: str) -> None:
    page = Shown(browser, fitted, width, theme)

    def brightness(element: str, what: str) -> float:
        color = page.run(f"getComputedStyle({element}).{what}")
        return sum(map(float, re.findall(r"[\d.]+", color)[:3])) / 765

    def dark() -> bool:
        tick = "document.querySelector('.plot .xtick text')"
        ink, paper = brightness(tick, "fill"), brightness("document.body", "backgroundColor")
        assert abs(ink - paper) > 0.5, "the ticks can be read"
        return paper < 0.5

    assert dark() == (theme == "dark")
    page.run("document.getElementById('theme').click()")
    page.wait(f"document.getElementById('theme').textContent === '{theme.capitalize()}'")
    assert dark() != (theme == "dark")
    assert page.run("document.documentElement.scrollWidth") <= width
    wide = page.run("document.querySelector('.plot .main-svg').getBoundingClientRect().width")
    assert 0.7 * min(width, 1200) < wide <= width
    assert page.messages() == []


def test_labels_are_shown_and_not_obeyed(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "evil.html"
    html.write(str(path), evil_page())
    page = Shown(browser, path)
    assert page.run("document.title") == EVIL
    assert page.run("document.images.length") == 0
    shown = page.run(
        "[...document.querySelectorAll('.plot .legendtext')].map((t) => t.textContent)"
    )
    assert shown == [standard.unescape(EVIL_NAMES[0]), EVIL_NAMES[1], "a\\x1b[31mred\\u202e",
                     EVIL_NAMES[3]]  # fmt: skip
    assert page.run("document.querySelectorAll('.plot a, figure a').length") == 0
    assert page.run("document.querySelector('.plot .ytitle').textContent") == EVIL
    assert page.messages() == []


def test_a_table_is_copied_whole(browser: Any, fitted: Path) -> None:
    page = Shown(browser, fitted)
    page.run("document.querySelector('button.copy').click()")
    lines = page.run("getSelection().toString()").split("\n")
    rows = [line.split("\t") for line in lines if line]
    assert rows[0][:2] == ["k", "d"]
    assert rows[-1][0] == "200"
    assert {len(row) for row in rows} == {len(rows[0])}


def test_the_network_is_out_of_reach(browser: Any, fitted: Path) -> None:
    """Nothing was asked for, no button offers it, and a script that asks is refused."""
    page = Shown(browser, fitted)
    assert page.run("performance.getEntriesByType('resource').length") == 0
    buttons = page.run("[...document.querySelector('.modebar').querySelectorAll('[data-title]')]"
                       ".map((b) => b.dataset.title)")  # fmt: skip
    assert buttons == ["Download plot", "Zoom", "Pan", "Zoom in", "Zoom out", "Autoscale",
                       "Reset axes"]  # fmt: skip
    assert page.messages() == []
    refused = browser.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));"
        "fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    assert refused == "connect-src"
