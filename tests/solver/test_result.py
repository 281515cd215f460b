"""How a result shows itself."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from typing import Any

import pytest

import dadapt_cli as dadapt
from dadapt_cli.errors import UsageError
from dadapt_cli.solver import fit, result

from ..conftest import vehicle


@pytest.mark.parametrize(
    "options",
    [{}, {"reference": "none"}, {"l2": 0.0, "reference": "none"}, {"reference": 0.3},
     {"algo": "lbfgs"}, {"algo": "adam", "epochs": 2, "reference": "none"}, {"iterations": 1}],
)  # fmt: skip
def test_a_result_is_a_screen_s_width(options: dict[str, Any]) -> None:
    made = fit(*vehicle(), **{**({} if "epochs" in options else {"iterations": 20}), **options})
    lines = repr(made).splitlines()
    assert 5 <= len(lines) <= 10
    assert max(map(len, lines)) <= 80
    html = made._repr_html_()
    parsed = ET.fromstring(f"<div>{html}</div>")
    assert ("polyline" in html) == (len(made.trace) > 2)
    assert len(parsed.findall(".//tr")) >= 5


def test_strings_of_elsewhere_are_no_html() -> None:
    made = fit(*vehicle(), iterations=2, reference="none")
    made.start["algorithm"] = "<script>"
    assert "<script>" not in made._repr_html_()


def test_the_curve_falls_where_f_does() -> None:
    html = fit(*vehicle(), iterations=50)._repr_html_()
    points = html.partition('points="')[2].partition('"')[0].split()
    xs, ys = zip(*(map(float, point.split(",")) for point in points), strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys), "an SVG's y grows downwards, the best f only falls"


def test_frames_and_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fit(*vehicle(), iterations=20)
    if importlib.util.find_spec("matplotlib") is not None:
        left, right = made.plot().axes
        assert [line.get_label() for line in left.lines] == ["d"]
        assert len(right.lines) == 2
    if importlib.util.find_spec("pandas") is not None:
        frame = made.to_frame()
        assert list(frame["k"]) == [row["k"] for row in made.trace]
        assert "event" not in frame
    monkeypatch.setattr(result.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install pandas"):
        made.to_frame()
    with pytest.raises(dadapt.errors.MissingExtraError, match=r"dadapt\[plot\]"):
        made.plot()


def test_dir_shows_the_public_names() -> None:
    assert dir(dadapt) == sorted(dadapt.__all__)
    for name in dadapt.__all__:
        getattr(dadapt, name)


def test_a_callback_sees_each_record_and_may_end_the_fit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[dict[str, Any]] = []
    common: dict[str, Any] = {"every": 1, "reference": "none", "iterations": 50}

    def callback(record: dict[str, Any]) -> bool:
        seen.append(record)
        return record.get("k") == 7

    made = fit(*vehicle(), callback=callback, **common)
    assert made.status == "interrupted"
    assert made.signal is None
    assert [record["event"] for record in seen] == ["start", *["step"] * len(made.trace), "end"]
    assert seen[1:-1] == made.trace
    assert made.trace[-1]["k"] in (7, 8)
    assert fit(*vehicle(), callback=seen.append, **common).status == "iterations"
    adam = fit(*vehicle(), algo="adam", epochs=5, every=1, reference="none",
               callback=lambda record: record.get("epoch") == 2)  # fmt: skip
    assert adam.status == "interrupted"
    assert adam.trace[-1]["epoch"] <= 3
    with caplog.at_level("INFO", logger="dadapt"):
        fit(*vehicle(), verbose=True, iterations=3, reference="none")
    assert [line for line in caplog.messages if line.startswith("k = 2, f = 1.")]
