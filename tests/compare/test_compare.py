"""What a comparison measures is what was done, and every claim in it is proven."""

from __future__ import annotations

import gc
import itertools
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import dadapt_cli
from dadapt_cli import reference
from dadapt_cli.compare import contenders, liblinear
from dadapt_cli.compare.case import LEVELS, Attempt, Case, Point
from dadapt_cli.compare.contenders import known_solvers
from dadapt_cli.compare.ladder import RUNGS, Ladder
from dadapt_cli.compare.rounds import Watcher, compare_on
from dadapt_cli.compare.scipy_minimize import Curvature
from dadapt_cli.errors import UsageError
from dadapt_cli.objective import Problem, metric
from dadapt_cli.preprocessing.labels import encode
from dadapt_cli.reference.referee import judge
from dadapt_cli.render import compare as views
from dadapt_cli.solver.options import Options
from dadapt_cli.solver.samples import Samples

from ..conftest import random_problem, read

pytestmark = pytest.mark.usefixtures("one_cache")

PAGE = Path(__file__).parents[2] / "docs" / "compare.md"


def wdbc() -> tuple[Any, Any]:
    return read("wdbc.scale.xz")


def one(comparison: Any) -> dict[str, Any]:
    (only,) = comparison.document["comparisons"]
    return dict(only)


def by_name(comparison: Any) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in one(comparison)["runs"]}


# ------------------------------------------------------------------------------- what is counted


@pytest.mark.parametrize("algo", ["newton", "lbfgs", "orth", "accel", "dual-avg"])
def test_gradients_to_a_level_are_those_of_the_same_fit(algo: str) -> None:
    X, y = read("vehicle.scale")
    run = by_name(dadapt_cli.compare(X, y, algo, l2=1e-3, iterations=150))[algo]
    fit = dadapt_cli.fit(X, y, algo=algo, l2=1e-3, iterations=150, every=1)
    f_star, f_0 = fit.reference["f_star"], fit.trace[0]["f_last"]
    for name, level in LEVELS.items():
        reached = [s["k"] for s in fit.trace if s["f_last"] - f_star <= level * (f_0 - f_star)]
        wanted = reached[0] + 1 if reached else None
        assert run["gradients_to"][name] == run["passes_to"][name] == wanted
        assert (run["seconds_to"][name] is None) == (wanted is None)
    assert run["k"] == fit.end["k"]
    assert run["d"] == fit.d
    assert run["gap"] >= run["suboptimality"]
    assert run["d_over_own_D"] == pytest.approx(fit.d / fit.reference["D"], rel=1e-12)


def test_scipys_gradients_are_counted_as_those_of_our_wrapper_of_it() -> None:
    # Both are L-BFGS-B with 10 pairs on the same gradient.
    X, y = wdbc()
    runs = by_name(
        dadapt_cli.compare(X, y, "lbfgs", others="scipy:l-bfgs-b", l2="1/n", iterations=100)
    )
    assert runs["lbfgs"]["gradients_to"] == runs["scipy:l-bfgs-b"]["gradients_to"]
    assert runs["lbfgs"]["gradients_to"]["1e-6"] is not None


@pytest.mark.parametrize("method", ["cg", "trust-ncg"])
def test_a_budget_ends_scipys_methods(method: str) -> None:
    X, y = wdbc()
    name = f"scipy:{method}"
    run = by_name(dadapt_cli.compare(X, y, (), others=name, l2="1/n", iterations=7))[name]
    assert run["status"] == "iterations"
    assert run["gradients"] <= 8
    run = by_name(dadapt_cli.compare(X, y, (), others=name, l2="1/n", time_limit=1e-9))[name]
    assert run["status"] == "time"
    assert run["gradients"] == 1
    run = by_name(dadapt_cli.compare(X, y, (), others=name, l2="1/n", tol=1e-3))[name]
    assert run["status"] == "tolerance"
    assert run["gap"] <= 1e-3


def test_minibatches_are_compared_by_passes() -> None:
    X, y = read("iris.scale")
    notes: list[str] = []
    options = Options(l2=1e-2, iterations=30, epochs=12)
    found = contenders.find(["newton", "sgd"], [], options, ["iterations", "epochs"])
    record, _ = compare_on(Samples(X, y), found, options, 1, Watcher(note=notes.append))
    runs = {run["name"]: run for run in record["runs"]}
    assert record["unit"] == "passes"
    assert runs["sgd"]["gradients"] is None
    assert runs["sgd"]["passes"] == 12
    assert runs["newton"]["passes"] == runs["newton"]["gradients"]
    assert any("by passes over the data" in line for line in notes)


# ------------------------------------------------------------------------------- who is believed


@dataclass(frozen=True)
class Liar(Ladder):
    """Says it converged at the loosest tolerance; its answer is the start."""

    name: str = "liar"
    library: ClassVar[str] = "lies 1.0"
    w: float = 0.0

    def unsuited(self, case: Case) -> str | None:
        return None

    def described(self, case: Case) -> dict[str, object]:
        return {}

    def on(self, case: Case) -> Any:
        return nullcontext(self)

    def answer(self, tolerance: float) -> tuple[Any, float | None]:
        return np.full(4, self.w), 1e-3


def binary_iris() -> tuple[Any, Any]:
    X, y = read("iris.scale")
    return X[:100].toarray(), np.where(y[:100] == 1, 1, 2)


def test_nobody_is_believed() -> None:
    X, y = binary_iris()
    record, _ = compare_on(Samples(X, y), [Liar()], Options(l2=1e-2), 1, Watcher())
    (run,) = record["runs"]
    fall = record["target"]["f_0"] - record["target"]["f_star"]
    assert run["seconds_to"] == dict.fromkeys(LEVELS)
    assert run["gap"] == pytest.approx(fall, rel=1e-9)
    assert run["gap"] >= fall
    assert run["status"] == "stopped"
    assert len(run["curve"]) == 4  # an answer, and three that are no better
    assert record["verdict"].startswith("nobody reached 1e-2")


def test_a_level_needs_the_referee_whatever_f_a_trajectory_claims() -> None:
    @dataclass(frozen=True)
    class Pretender(Liar):
        kind: ClassVar[str] = "solver"

        def warm_up(self, case: Case) -> None:
            return

        def run(self, case: Case) -> Attempt:
            low = case.threshold("1e-6")
            made = Attempt([Point(0, 1, 1.0, 1e-3, low)], 1e-3, answer=case.problem.zeros())
            made.reached[0] = case.problem.zeros()
            return made

    X, y = binary_iris()
    record, _ = compare_on(Samples(X, y), [Pretender()], Options(l2=1e-2), 1, Watcher())
    (run,) = record["runs"]
    assert run["gradients_to"] == dict.fromkeys(LEVELS)
    assert run["relative"] == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("name", known_solvers())
@pytest.mark.parametrize(
    "options", [{}, {"bias": True, "weight": {1: 3.0}}, {"intercept": True, "scale": "standard"}]
)
def test_every_solver_is_given_the_same_problem(name: str, options: dict[str, Any]) -> None:
    """Each comes within 1e-6 of the optimum as the referee knows it, or says why it cannot."""
    if name.startswith("liblinear"):
        pytest.importorskip("liblinear", reason="needs LIBLINEAR (pip install liblinear-official)")
    X, y = wdbc()
    y = np.where(y == y[0], 1, -1)
    found = one(dadapt_cli.compare(X, y, (), others=name, l2=0.05, iterations=3000, **options))
    if "intercept" in options and "liblinear" in name:
        assert found["skipped"] == [{"name": name, "reason": "it penalises the intercept"}]
        return
    (run,) = found["runs"]
    assert run["seconds_to"]["1e-6"] is not None
    assert run["gap"] <= 1e-6 * (found["target"]["f_0"] - found["target"]["f_star"])
    assert run["library"]
    for point in run["curve"]:
        assert (point["tolerance"] is None) == name.startswith("scipy:")


SOFTMAX = [n for n in known_solvers() if "liblinear" not in n and n != "scipy:cg"]


@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_too(name: str) -> None:
    X, y = read("wine.scale")
    run = by_name(dadapt_cli.compare(X, y, (), others=name, l2=0.02, iterations=2000))[name]
    assert run["seconds_to"]["1e-6"] is not None


@pytest.mark.parametrize("name", ["scikit-learn:liblinear", "liblinear"])
def test_one_against_the_rest_is_another_problem(name: str) -> None:
    if name == "liblinear":
        pytest.importorskip("liblinear", reason="needs LIBLINEAR (pip install liblinear-official)")
    X, y = read("iris.scale")
    found = one(dadapt_cli.compare(X, y, "newton", others=name, l2=0.1, iterations=20))
    assert found["skipped"][0]["name"] == name
    assert "one against the rest" in found["skipped"][0]["reason"]


def test_liblinears_program_gives_the_answers_of_its_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if liblinear.program() is None:
        pytest.skip("needs LIBLINEAR's program (apt install liblinear-tools)")
    monkeypatch.setattr(liblinear, "find_spec", lambda name: None)
    X, y = wdbc()
    options: dict[str, Any] = {"l2": 0.05, "weight": {int(y[0]): 2.0}, "bias": True}
    run = by_name(dadapt_cli.compare(X, y, (), others="liblinear", **options))["liblinear"]
    assert run["seconds_to"]["1e-6"] is not None
    assert run["options"]["-s"] == 0


def test_liblinear_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liblinear, "find_spec", lambda name: None)
    monkeypatch.setattr(liblinear, "program", lambda: None)
    X, y = read("iris.scale")
    with pytest.raises(UsageError, match="apt install liblinear-tools"):
        dadapt_cli.compare(X, y, (), others="liblinear")


def test_weights_of_single_samples_are_not_liblinears() -> None:
    pytest.importorskip("liblinear", reason="needs LIBLINEAR (pip install liblinear-official)")
    X, y = wdbc()
    weights = np.linspace(1, 2, len(y))
    names = "liblinear,scikit-learn:newton-cholesky"
    found = one(
        dadapt_cli.compare(X, y, (), others=names, l2=0.1, sample_weight=weights, iterations=100)
    )
    assert found["skipped"] == [
        {"name": "liblinear", "reason": "it has no weights of single samples"}
    ]
    assert found["runs"][0]["seconds_to"]["1e-6"] is not None


# ------------------------------------------------------------------------------- the reference


def test_without_a_reference_the_best_f_seen_is_the_measure_and_is_said() -> None:
    X, y = wdbc()
    notes: list[str] = []
    options = Options(l2=1e-3, reference="none", iterations=40)
    found = contenders.find(["newton", "gd"], [], options, [])
    record, _ = compare_on(Samples(X, y), found, options, 1, Watcher(note=notes.append))
    assert record["target"]["kind"] == "best-seen"
    seen = [p["f_last"] for run in record["runs"] for p in run["curve"]]
    assert record["target"]["f_star"] == min(seen)
    assert any(line.startswith("NO CERTIFIED f*") for line in notes)
    assert "(of the best f seen)" in record["verdict"]
    runs = {run["name"]: run for run in record["runs"]}
    assert runs["newton"]["gap"] < 1e-10  # proven from the answer alone
    document = {"comparisons": [record], "levels": list(LEVELS), "repeat": 1, "profile": None}
    text = views.text(document)
    assert "NO CERTIFIED f*" in text
    assert "f* UNKNOWN" in text


def test_a_given_reference_proves_nothing() -> None:
    X, y = binary_iris()
    comparison = dadapt_cli.compare(X, y, "gd", l2=1e-2, iterations=1, reference=0.6)
    found = one(comparison)
    assert found["target"]["kind"] == "given"
    (run,) = found["runs"]
    w = dadapt_cli.fit(X, y, algo="gd", l2=1e-2, iterations=1, reference="none").w
    proven = judge(Problem(X, encode(y), l2=1e-2), w, "none")
    assert run["gap"] == proven.gap[1]
    assert run["gap"] > run["suboptimality"] + 0.05  # f* is far below the number that was given


@pytest.mark.parametrize("sources", [("auto", "none")])
def test_a_separable_problem_is_measured_from_its_infimum(sources: tuple[str, str]) -> None:
    X, y = binary_iris()  # two of iris' classes are separable
    found = one(dadapt_cli.compare(X, y, "newton,gd", l2=0.0, iterations=50))
    assert found["reference"]["status"] == "not-attained"
    assert found["target"]["f_star"] == found["target"]["gap"] or found["target"]["f_star"] < 1e-9
    assert all(run["d_over_D"] is None for run in found["runs"])
    polyak = one(dadapt_cli.compare(X, y, "polyak,gd", l2=0.1, iterations=5, reference=sources[1]))
    assert [s["name"] for s in polyak["skipped"]] == ["polyak"]


@pytest.mark.parametrize("algo", ["orth", "adagrad:metric=diagonal", "lbfgs", "safe:metric=half"])
def test_d_in_the_common_norm_is_a_lower_bound_on_D(algo: str) -> None:
    X, y = wdbc()
    run = by_name(dadapt_cli.compare(X, y, algo, l2="1/n", iterations=200))[algo]
    # d_over_D is over D itself, of which d is a lower bound; rounding is in D's error, below 1e-9
    assert 0 < run["d_over_D"] <= 1 + 1e-9
    assert 0 < run["d_over_own_D"] <= 1 + 1e-9
    problem = Problem(X, encode(y), l2=1 / len(y))
    kind = run["options"]["metric"]
    factors = metric.scale(problem, kind)
    D = reference.find(problem, reference.cache.content(problem), always=True).D
    assert D is not None
    # ||w||_2 >= min_j c_j ||v||; the same numbers in another order: a few roundings
    least = 1.0 if factors is None else factors.min()
    assert run["d_over_D"] == pytest.approx(run["d"] * least / D, rel=1e-12)
    assert (run["d_over_D"] == run["d_over_own_D"]) is (run["norm"] == "2")


# ------------------------------------------------------------------------------- fairness


def test_rounds_alternate_after_a_warm_up_and_nothing_is_collected_meanwhile() -> None:
    log: list[tuple[str, bool]] = []

    @dataclass(frozen=True)
    class Runner(Liar):
        def warm_up(self, case: Case) -> None:
            log.append((f"warm {self.name}", gc.isenabled()))

        def run(self, case: Case) -> Attempt:
            log.append((self.name, gc.isenabled()))
            return super().run(case)

    X, y = binary_iris()
    able = [Runner(name) for name in "abc"]
    compare_on(Samples(X, y), able, Options(l2=0.1), 3, Watcher())
    assert [name for name, _ in log] == ["warm a", "warm b", "warm c", *"abccbaabc"]
    assert not any(enabled for name, enabled in log if "warm" not in name)
    assert gc.isenabled()


def test_a_signal_ends_the_rounds_and_what_is_done_is_kept() -> None:
    @dataclass(frozen=True)
    class Stopped(Liar):
        def run(self, case: Case) -> Attempt:
            made = super().run(case)
            made.signal = 2
            return made

    X, y = binary_iris()
    able = [Liar("a"), Stopped("b"), Liar("c")]
    record, signal = compare_on(Samples(X, y), able, Options(l2=0.1), 2, Watcher())
    assert signal == 2
    assert {run["name"] for run in record["runs"]} == {"a", "b"}


def test_the_time_limit_is_looked_at_between_tolerances() -> None:
    X, y = binary_iris()
    able = [Liar("slow")]  # says that each answer took a millisecond
    record, _ = compare_on(Samples(X, y), able, Options(l2=0.1, time_limit=0.0015), 1, Watcher())
    (run,) = record["runs"]
    assert run["status"] == "time"
    assert [point["tolerance"] for point in run["curve"]] == list(RUNGS[:2])


@pytest.mark.parametrize(
    ("classes", "intercept", "weighted"),
    list(itertools.product((2, 3), (False, True), (False, True))),
)
def test_products_with_the_hessian(classes: int, intercept: bool, weighted: bool) -> None:
    plain = random_problem(3, n_classes=classes, l2=0.3)
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2, plain.n) if weighted else None
    problem = Problem(
        plain.X, plain.labels, l2=0.3, intercept=intercept, sample_weight=weights, threads=2
    )
    w, v = rng.normal(size=(2, *problem.shape))
    h = 1e-5
    g = [problem.value_and_gradient(w + sign * h * v).g for sign in (1, -1)]
    # central differences: h^2 from the third derivative, 1e-16/h from rounding
    assert Curvature(problem, w).times(v) == pytest.approx((g[0] - g[1]) / (2 * h), abs=1e-8)


# ------------------------------------------------------------------------------- the result


def test_the_result_is_a_screen_wide_and_goes_everywhere(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    X, y = read("vehicle.scale")
    others = "scikit-learn:newton-cholesky,scipy:trust-krylov"
    result = dadapt_cli.compare(X, y, ["orth:inner=newton", "lbfgs"], others=others, repeat=3,
                                l2="1/n", iterations=40)  # fmt: skip
    assert max(map(len, repr(result).splitlines())) <= 80
    assert result.verdict in repr(result).replace("\n", " ")
    frame = result.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["name"]) == [run["name"] for run in result.records]
    assert len(result.records) == 4
    for suffix in views.EXPORTS:
        result.export(str(tmp_path / f"x{suffix}"))
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads(
        json.dumps(result.document, allow_nan=False)
    )
    result.plot(str(tmp_path / "x.svg"))
    with pytest.raises(UsageError, match="ends in"):
        result.export("x.doc")
    for run in result.records:
        assert len(run["seconds_each"]["1e-2"]) == 3


def test_to_frame_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = read("iris.scale")
    result = dadapt_cli.compare(X, y, "newton", l2=0.1, iterations=5)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("dadapt_cli.compare.result.import_module", missing)
    with pytest.raises(UsageError, match="pip install pandas"):
        result.to_frame()


def test_the_room_is_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    from dadapt_cli.compare import compare

    X, y = read("iris.scale")
    called: Callable[..., Any] = dadapt_cli.compare
    assert repr(called) != repr(compare)  # the module, that has been loaded
    names = [
        [run["name"] for run in f(X, y, "gd", iterations=2).records] for f in (called, compare)
    ]
    assert names == [["gd"], ["gd"]]


def test_unknown_options_are_refused() -> None:
    X, y = read("iris.scale")
    with pytest.raises(UsageError, match="unknown option 'checkpoint'"):
        dadapt_cli.compare(X, y, "gd", checkpoint="x")
    with pytest.raises(UsageError, match="epochs: none of gd"):
        dadapt_cli.compare(X, y, "gd", epochs=3)


def test_every_key_is_documented_and_none_is_left_out() -> None:
    page = PAGE.read_text(encoding="utf-8")
    X, y = read("iris.scale")
    result = dadapt_cli.compare(
        X, y, "newton,sgd", others="scikit-learn:lbfgs", l2=0.1, iterations=20, epochs=2
    )
    document = result.document
    found = one(result)

    def documented(name: str) -> set[str]:
        (block,) = re.findall(rf"^{name}.*?\n\n?```\n(.*?)```", page, re.M | re.S)
        return set(re.findall(r'"([a-zA-Z_]\w*)"', block))

    assert set(found) <= documented("COMPARISON")
    assert {*found["problem"], *found["target"], *found["seconds"]} <= documented("COMPARISON")
    for run in found["runs"]:
        assert set(run) == set(found["runs"][0])
        assert set(run) <= documented("RUN")
        for point in run["curve"]:
            assert set(point) == documented("POINT")
    assert set(document) <= set(re.findall(r'"(\w+)"', page))
    json.dumps(document, allow_nan=False)


def test_curves_never_rise_and_hold_the_points_that_count() -> None:
    X, y = wdbc()
    run = by_name(dadapt_cli.compare(X, y, "accel", l2="1/n", iterations=600))["accel"]
    curve = run["curve"]
    assert len(curve) <= 200 + 1 + len(LEVELS)
    values = [point["suboptimality"] for point in curve]
    assert values == sorted(values, reverse=True)
    counts = [point["gradients"] for point in curve]
    assert counts[0] == 1
    assert counts[-1] == run["gradients"]
    for name in LEVELS:
        if (count := run["gradients_to"][name]) is not None:
            (at,) = (point for point in curve if point["gradients"] == count)
            assert at["gap"] is not None
            assert at["relative"] <= LEVELS[name]


def test_judging_is_not_timed() -> None:
    """The seconds of a run are those that its own clock saw."""
    X, y = binary_iris()
    record, _ = compare_on(Samples(X, y), [Liar()], Options(l2=0.1), 2, Watcher())
    (run,) = record["runs"]
    assert record["seconds"]["solve"] == pytest.approx(2 * 4e-3, rel=1e-12)  # 4 answers, 1 ms each
    assert run["seconds"] == pytest.approx(4e-3, rel=1e-12)
    assert record["seconds"]["judging"] > 0
