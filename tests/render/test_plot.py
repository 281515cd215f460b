"""Pictures: what is written fits, is mathematics where it should be, and hides no curve."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

import dadapt_cli
from dadapt_cli.algorithms import table
from dadapt_cli.errors import UsageError
from dadapt_cli.render import curves, plot

from ..conftest import read, vehicle

MEANINGS = sorted({module.INFO.d_means for module in table().values()})

pytestmark = pytest.mark.usefixtures("one_cache")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures in place of their files."""
    figures: list[Figure] = []

    def keep(figure: Figure, path: str) -> None:
        FigureCanvasAgg(figure).draw()
        figures.append(figure)

    monkeypatch.setattr(plot, "save", keep)
    monkeypatch.setattr(curves, "save", keep)
    return figures


def boxes(figure: Figure) -> list[tuple[str, Any]]:
    """Titles, axis labels and names of the legend, with the place they take."""
    texts = [text for legend in figure.legends for text in legend.get_texts()]
    if figure._suptitle is not None:
        texts.append(figure._suptitle)
    for axes in figure.axes:
        if axes.get_visible():
            texts += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
    return [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text()]


def assert_it_fits(figure: Figure) -> None:
    """All words inside the figure, over no panel's curves and not over each other."""
    found = boxes(figure)
    for text, box in found:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= figure.bbox.width + 1, text
        assert box.y1 <= figure.bbox.height + 1, text
        for axes in figure.axes:
            if axes.get_visible():
                assert not box.overlaps(axes.get_window_extent().shrunk(0.99, 0.99)), text
    for (one, first), (other, second) in itertools.combinations(found, 2):
        assert not first.overlaps(second), (one, other)


def record(algo: str, **reference: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    known = {"f_star": 0.5, "D": 2.0, "D_inf": 1.0, **reference}
    start = {"reference": known, "data": {"path": "/x/some_$data$.scale"}, "algorithm": algo}
    row = {"bound": 0.9, "d": 0.5}
    names = [f"{kind}_{w}" for kind in ("f", "suboptimality") for w in ("last", "average", "best")]
    return start, [{"k": k, **row, **dict.fromkeys(names, 1 / (k + 1))} for k in range(60)]


@pytest.mark.parametrize("meaning", MEANINGS)
def test_titles_of_every_algorithm_fit(meaning: str, drawn: list[Figure]) -> None:
    plot.draw("x.png", *record("algorithm"), "D", meaning)
    (figure,) = drawn
    assert_it_fits(figure)
    left, right = figure.axes
    assert "".join(left.get_title().split()).startswith("$d_k$:")
    assert right.get_ylabel() == "$f - f^*$"


@pytest.mark.parametrize("meaning", MEANINGS)
def test_formulas_are_typeset_whole(meaning: str) -> None:
    shown = plot.typeset(meaning)
    parser: Any = MathTextParser("agg")
    for line in shown.split("\n"):
        assert len(line.replace(r"\infty", "8")) <= plot.TITLE + 16  # what mathematics adds
        assert line.count("$") % 2 == 0
        parser.parse(line)
        plain = "".join(line.split("$")[::2])
        assert not set("|*_\xa0") & set(plain), plain
    assert plot.typeset("a lower bound on D_inf = ||x_0 - x*||_inf") == (
        r"a lower bound on $D_\infty = \|x_0 - x^*\|_\infty$"
    )
    assert plot.typeset("a Dog") == "a Dog"


def test_a_method_without_d_has_one_panel(drawn: list[Figure]) -> None:
    start, steps = record("nesterov", f_star=None)
    plot.draw("x.png", start, [{**s, "d": None} for s in steps], "D", "not estimated")
    (figure,) = drawn
    assert len(figure.axes) == 1
    assert figure.axes[0].get_title() == "objective"
    assert_it_fits(figure)


def test_curves_are_told_apart_without_colour() -> None:
    looks = [(str(plot.style(i)["linestyle"]), plot.style(i)["marker"]) for i in range(40)]
    assert len(set(looks)) == 40


def test_markers_lie_along_the_whole_curve_on_a_logarithmic_axis() -> None:
    axes: Any = Figure().add_subplot()
    line = plot.curve(axes, [(k, 1.0 / k) for k in range(1, 10001)], **plot.style(0))
    marked = line.get_markevery()
    assert marked[0] == 0
    assert marked[-1] == 9999
    assert len(marked) == plot.MARKS
    assert plot.curve(axes, [(0, 1.0), (1, 0.0)]) is None


@pytest.mark.parametrize("problems", [1, 2])
def test_a_comparison_fits_and_shows_every_run(problems: int, drawn: list[Figure]) -> None:
    from dadapt_cli.compare import summary

    X, y = vehicle()
    algos = "newton,orth,orth:inner=newton,lbfgs,accel,gd,dual-avg,safe,nesterov"
    others = "scikit-learn:newton-cholesky,scipy:trust-krylov"
    document = dadapt_cli.compare(
        X, y, algos, others=others, l2=1e-3, iterations=60
    ).document  # fmt: skip
    (only,) = document["comparisons"]
    only["problem"]["path"] = "$x_1$ & <b>.scale"
    document["comparisons"] *= problems
    document["profile"] = summary.profile(document["comparisons"])
    curves.draw("x.png", document)
    (figure,) = drawn
    assert_it_fits(figure)
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names == {run["name"] for run in only["runs"]}
    by_work, by_time, shares = figure.axes[:3]
    assert {line.get_label() for line in by_time.lines} >= names
    assert not {line.get_label() for line in by_work.lines} & {"scikit-learn:newton-cholesky"}
    assert "nesterov" not in {line.get_label() for line in shares.lines}  # it has no d
    looks = [(str(line.get_linestyle()), line.get_marker()) for line in by_time.lines[:-3]]
    assert len(figure.axes) == 3 * (problems + (problems > 1))
    assert len(looks) == len(names)


def test_without_any_run_there_are_empty_axes(drawn: list[Figure]) -> None:
    X, y = read("iris.scale")
    document = dadapt_cli.compare(X, y, (), others="scikit-learn:liblinear", l2=0.1).document
    curves.draw("x.png", document)
    assert_it_fits(drawn[0])


@pytest.mark.parametrize("suffix", plot.FORMATS)
def test_the_same_run_gives_the_same_file(suffix: str, tmp_path: Path) -> None:
    X, y = read("iris.scale")
    result = dadapt_cli.compare(X, y, "newton,gd", l2=0.1, iterations=20)
    for name in "ab":
        result.plot(str(tmp_path / f"{name}{suffix}"))
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert first == second
    assert first.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
        result.plot("x.gif")
