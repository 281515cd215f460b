"""Algorithms 4 and 5, their variants and the baselines, against trajectories made elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from dadapt_cli.algorithms import find, table
from dadapt_cli.algorithms._space import dot, first, norm, norm1, ratchet, ratio, times, total
from dadapt_cli.errors import UsageError
from dadapt_cli.objective.minibatches import Batches

from ..conftest import DATA, load_problem
from .test_table import GOLDEN_RTOL, begun, golden_run

MINIBATCH = [name for name, module in table().items() if module.INFO.minibatch]


@pytest.mark.parametrize(
    ("name", "settings", "d", "x"),
    [
        # dadaptation 1.5, the package of the preprint, on the problem and schedule of golden.json
        (
            "adam",
            {},
            0.6901946308201174,
            [0.45869094496253543, 0.13705980035614132, -0.41418774159406946],
        ),
        (
            "sgd",
            {"momentum": 0.9},
            1.613015787875828,
            [0.4501404456092693, 0.08762582353485876, -0.3137749501442759],
        ),
    ],
)
def test_preprint_trajectory(
    name: str, settings: dict[str, Any], d: float, x: list[float], golden: dict[str, Any]
) -> None:
    _, state = golden_run(golden, {"algo": name, "variant": "preprint", **settings})
    assert state.d == pytest.approx(d, rel=GOLDEN_RTOL)
    np.testing.assert_allclose(state.x, x, rtol=GOLDEN_RTOL)


@pytest.mark.parametrize(
    ("name", "settings", "reference"),
    [
        ("adam", {}, "DAdaptAdam"),
        ("adam", {"betas": (0.8, 0.99)}, "DAdaptAdam"),
        ("sgd", {}, "DAdaptSGD"),
        ("sgd", {"momentum": 0.9}, "DAdaptSGD"),
        ("adagrad-pip", {}, "DAdaptAdaGrad"),
        ("adam-plain", {"lr": 0.1}, "Adam"),
        ("sgd-plain", {"lr": 0.5, "momentum": 0.9}, "SGD"),
    ],
)
def test_agrees_with_torch(name: str, settings: dict[str, Any], reference: str) -> None:
    torch = pytest.importorskip("torch", reason="the package's own optimizers need PyTorch")
    peers = [pytest.importorskip("dadaptation"), torch.optim]
    algorithm: Any = find(name)
    problem = load_problem(DATA / "vowel.scale", bias=True)
    w = torch.zeros(problem.shape, dtype=torch.float64, requires_grad=True)
    optimizer = next(getattr(p, reference) for p in peers if hasattr(p, reference))(
        [w], **{"lr": 1.0, **settings}
    )
    state = algorithm.start(
        problem.zeros(), **settings, **({} if "lr" in settings else {"d0": 1e-6})
    )
    batches = Batches(problem, 16, 3)
    steps = 0
    while steps < 200:
        for X, y, c in batches.epoch():
            # The same gradients for both: those at our iterate.
            g = batches.gradient(X, y, c, state.x)
            w.grad = torch.from_numpy(g.copy())
            optimizer.step()
            algorithm.step(state, g)
            if state.d is not None:
                assert state.d == pytest.approx(optimizer.param_groups[0]["d"], rel=1e-9)
            steps += 1
    scale = np.abs(state.x).max()
    np.testing.assert_allclose(state.x, w.detach().numpy(), rtol=0, atol=1e-9 * scale)
    assert scale > 1e-3, "nothing moved: nothing was compared"


def test_cocob_follows_optax_rule() -> None:
    # Two steps by hand with g = 2, -1: L = 2, G = 2, R = 0, theta = -2, x = -2/(2 * 200) * 2
    algorithm: Any = find("cocob")
    state = algorithm.start(np.zeros(1))
    algorithm.step(state, np.array([2.0]))
    assert state.x[0] == pytest.approx(-0.01, rel=1e-15)
    algorithm.step(state, np.array([-1.0]))  # R = 0: -g (x - x_0) = -0.01; theta = -1
    assert state.x[0] == pytest.approx(-1 / (2 * 200) * 2, rel=1e-15)
    algorithm.step(state, np.array([-1.0]))  # R = 0 again, theta = 0
    assert state.x[0] == 0.0
    algorithm.step(state, np.array([-1.0]))  # theta = 1: the other way
    assert state.x[0] == pytest.approx(0.005, rel=1e-15)
    algorithm.step(state, np.array([-1.0]))  # now the bet wins: R = 0.005
    assert state.x[0] == pytest.approx(2 / (2 * 200) * 2.005, rel=1e-15)


@pytest.mark.parametrize("name", MINIBATCH)
def test_zero_gradients_move_nothing_and_raise_nothing(name: str) -> None:
    algorithm: Any = find(name)
    state = begun(name, np.zeros(3), np.zeros(3), d0=1e-6)
    for _ in range(2):
        algorithm.step(state, np.zeros(3))
        assert not state.x.any()
    # s returns to 0: the package's SGD divides by zero here, its AdaGrad never moves again
    for g in (1.0, -1.0, -1.0):
        algorithm.step(state, np.full(3, g))
    assert np.isfinite(state.x).all()
    assert state.x.any()


@pytest.mark.parametrize("name", MINIBATCH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_keep_their_type_and_scalars_are_float64(name: str, dtype: str) -> None:
    algorithm: Any = find(name)
    generator = np.random.default_rng(0)
    for shape in ((5,), (5, 3), (2, 5, 3, 4)):
        state = begun(name, np.zeros(shape, dtype), np.zeros(shape, dtype), d0=1e-6)
        for _ in range(3):
            algorithm.step(state, generator.normal(size=shape).astype(dtype))
        arrays = [
            value
            for value in (getattr(state, field) for field in state.__dataclass_fields__)
            if isinstance(value, np.ndarray) and value.shape == shape
        ]
        assert len(arrays) >= 2
        assert {a.dtype for a in arrays} == {np.dtype(dtype)}
        if state.d is not None:
            scalar = np.asarray(state.d)
            assert scalar.dtype == np.float64
            assert scalar.shape == ((2, 1, 1, 4) if len(shape) == 4 else ())


def test_d_survives_a_tiny_start_in_float32() -> None:
    for name in ("sgd", "adam"):
        algorithm: Any = find(name)
        problem = load_problem(DATA / "iris.scale", bias=True, dtype=np.float32)
        batches = Batches(problem, 16, 0)
        state = algorithm.start(problem.zeros(), d0=1e-16)
        for _ in range(20):
            for X, y, c in batches.epoch():
                algorithm.step(state, batches.gradient(X, y, c, state.x))
        assert 1e-3 < state.d < 1e3


def test_helpers_reduce_parameters_and_leave_replicas_alone() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, 3, 4, 5, 2))
    for s in range(3):
        for setting in range(2):
            one, other = a[s, :, :, setting], b[s, :, :, setting]
            assert dot(a, b)[s, 0, 0, setting] == pytest.approx(dot(one, other), rel=1e-13)
            assert norm(a)[s, 0, 0, setting] == pytest.approx(norm(one), rel=1e-13)
            assert norm1(a)[s, 0, 0, setting] == pytest.approx(norm1(one), rel=1e-13)
    scalars = generator.normal(size=(3, 1, 1, 2))
    np.testing.assert_array_equal(times(scalars, a), scalars * a)
    np.testing.assert_array_equal(times(2.0, a), 2 * a)
    zero = np.zeros((3, 1, 1, 2))
    assert not ratio(zero, zero).any()
    assert ratio(0.0, 0.0) == 0.0
    np.testing.assert_array_equal(first(zero, scalars), scalars)
    np.testing.assert_array_equal(first(scalars, zero + 7), scalars)
    np.testing.assert_array_equal(ratchet(zero, scalars), np.maximum(0, scalars))
    long = np.full((1, 5000, 1, 1), 0.1, np.float32)
    assert total(long).item() == pytest.approx(5000 * float(np.float32(0.1)), rel=1e-12)


def test_variants() -> None:
    assert find("adam", "preprint").INFO.name == "adam-preprint"
    assert find("adam", "pip") is find("adam")
    assert find("adagrad", "pip").INFO.minibatch
    assert not find("adagrad").INFO.minibatch
    for name, variant in (("adam-plain", "pip"), ("gd", "preprint"), ("adagrad", "preprint")):
        with pytest.raises(UsageError, match="--variant"):
            find(name, variant)


def test_d_is_never_called_a_bound_without_a_theorem() -> None:
    estimates = [info for info in (find(name).INFO for name in MINIBATCH) if info.has_d]
    assert len(estimates) >= 3
    for info in estimates:
        assert "estimate" in info.d_means
        assert "no lower bound" in info.d_means


def test_weighted_step_is_the_listing() -> None:
    """Algorithm 5, two steps by hand in one dimension."""
    algorithm: Any = find("adam")
    state = algorithm.start(np.zeros(1), d0=0.5, betas=(0.9, 0.99))
    q, g0, g1 = math.sqrt(0.99), 2.0, 1.0
    algorithm.step(state, np.array([g0]))
    s, m, v = (1 - q) * 0.5 * g0, 0.1 * 0.5 * g0, 0.01 * g0**2
    x = -m / (math.sqrt(v) + 1e-8)
    assert state.d == 0.5  # r = 0: s_0 = 0
    assert state.x[0] == pytest.approx(x, rel=1e-14)
    algorithm.step(state, np.array([g1]))
    r = (1 - q) * 0.5 * g1 * s / (math.sqrt(v) + 1e-8)
    s = q * s + (1 - q) * 0.5 * g1
    assert state.d_hat == pytest.approx(r / ((1 - q) * s), rel=1e-14)
