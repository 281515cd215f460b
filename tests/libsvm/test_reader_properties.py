"""For any bytes: the rows of the plain parser, or a DataError with a line; nothing else."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dadapt_cli.errors import DataError
from dadapt_cli.libsvm import load, pieces, write_libsvm
from tests.libsvm.plain_parser import parse

CASES = int(os.environ.get("DADAPT_CASES", "100"))
many = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def agree(path, text: bytes, **options) -> None:
    path.write_bytes(text)
    try:
        labels, rows = parse(text, lowest=0 if options.get("zero_based") else 1)
    except ValueError:
        with pytest.raises(DataError) as caught:
            load(path, **options)
        assert "\n" not in str(caught.value)
        assert 1 <= caught.value.line <= text.count(b"\n") + 1
        before = text.split(b"\n")[: caught.value.line - 1]
        assert not fails(b"\n".join(before)), f"a line before {caught.value.line} is bad"
        return
    data = load(path, **options)
    assert data.y.tobytes() == np.array(labels).tobytes()
    shift = 0 if options.get("zero_based") else 1
    for i, row in enumerate(rows):
        span = slice(data.X.indptr[i], data.X.indptr[i + 1])
        expected = {j - shift: v for j, v in row.items() if v}
        assert data.X.indices[span].tolist() == list(expected)
        got = data.X.data[span].tolist()
        assert [struct.pack("d", v) for v in got] == [
            struct.pack("d", v) for v in expected.values()
        ]
    columns = max((max(row) for row in rows if row), default=shift) + 1 - shift
    assert data.X.shape == (len(rows), columns)
    assert data.X.has_sorted_indices
    assert data.X.indices.dtype == data.X.indptr.dtype == np.int32


def fails(text: bytes) -> bool:
    try:
        parse(text)
    except ValueError as error:
        return str(error) != "no data rows"
    return False


digits = st.text("0123456789", min_size=1, max_size=22).map(str.encode)
plain = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda v: repr(v).encode()),
    st.floats(-10, 10).map(lambda v: b"%.6f" % v),
    st.integers(-99, 99).map(lambda v: b"%d" % v),
    st.tuples(st.sampled_from([b"", b"-", b"+"]), digits, digits).map(
        lambda t: t[0] + t[1] + b"." + t[2]
    ),
    st.tuples(digits, st.sampled_from([b"e", b"E-", b"e+"]), st.integers(0, 400)).map(
        lambda t: t[0] + t[1] + b"%d" % t[2]
    ),
    st.sampled_from([b".5", b"5.", b"0", b"-0", b"1e400", b"1e-400", b"nan", b"0x1", b"1_0", b"."]),
)


@st.composite
def lines(draw) -> bytes:
    label = draw(
        st.sampled_from([b"1", b"-1", b"+1", b"0", b"2.0", b"1e1", b"a", b"9007199254740993"])
    )
    count = draw(st.integers(0, 6))
    indices = sorted(
        draw(st.lists(st.integers(1, 2**31 + 3) | st.integers(1, 200), max_size=count))
    )
    blank = draw(st.sampled_from([b" "] * 6 + [b"\t", b"  "]))
    pairs = [b"%d:%s" % (i, draw(plain)) for i in indices]
    ending = draw(
        st.sampled_from([b"\n"] * 8 + [b" \n", b"\r\n", b" # note 1:2\n", b"\n\n", b"\r"])
    )
    query = [b"qid:7"] if draw(st.integers(0, 15)) == 0 else []
    return blank.join([label, *query, *pairs]) + ending


valid = st.lists(lines(), max_size=8).map(b"".join)


@st.composite
def mutated(draw) -> bytes:
    text = bytearray(draw(valid))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        piece = draw(
            st.binary(max_size=2)
            | st.sampled_from([*b" :.-+e\n\r\t#,0_q"]).map(lambda b: bytes([b]))
        )
        cut = draw(st.integers(0, 3))
        text[place : place + cut] = piece
    return bytes(text)


@many
@given(text=st.one_of(mutated(), mutated(), mutated(), st.binary(max_size=60)))
@example(text=b"1 1:1\n2 \n")
@example(text=b"1 1:.5\n")
@example(text=b"1 1:5-3\n")
@example(text=b"1 1:1e5-3\n")
@example(text=b"1-1 1:5\n")
@example(text=b"-1-1:5\n")
@example(text=b"1  1:1\n 2 1:1 \n")
@example(text=b"1:5\n")
@example(text=b"1 1:1e\n")
@example(text=b"1 1:1e5e5\n")
@example(text=b"1 1:--5\n")
@example(text=b"1\n2 3:4\n\n3")
def test_any_bytes_give_the_rows_of_the_plain_parser_or_a_line(tmp_path, text):
    agree(tmp_path / "data", text)


@many
@given(text=mutated(), size=st.integers(8, 60))
def test_pieces_of_any_size_read_the_same(tmp_path, text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE", size)
        agree(tmp_path / "data", text)


@many
@given(text=mutated())
def test_zero_based_text(tmp_path, text):
    path = tmp_path / "data"
    path.write_bytes(text)
    try:
        _, rows = parse(text, lowest=0)
    except ValueError:
        with pytest.raises(DataError):
            load(path, zero_based=True)
        return
    if any(max(row, default=0) == 2**31 - 1 for row in rows):
        with pytest.raises(DataError, match="too large"):
            load(path, zero_based=True)
    else:
        agree(path, text, zero_based=True)


@st.composite
def matrices(draw):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    width = 32 if dtype == np.float32 else 64
    value = st.just(0.0) | st.floats(allow_nan=False, allow_infinity=False, width=width)
    X = np.array(draw(st.lists(value, min_size=rows * columns, max_size=rows * columns)), dtype)
    label = st.integers(-(2**53), 2**53).map(float) | st.floats(-(2**53), 2**53)
    y = np.array(draw(st.lists(label, min_size=rows, max_size=rows)))
    return X.reshape(rows, columns), y


@many
@given(data=matrices(), zero_based=st.booleans(), sparse=st.booleans())
def test_what_is_written_reads_back_bit_for_bit(tmp_path, data, zero_based, sparse):
    X, y = data
    path = tmp_path / "data"
    write_libsvm(path, sp.csr_array(X) if sparse else X, y, zero_based=zero_based)
    again = load(path, zero_based=zero_based, n_features=X.shape[1], dtype=X.dtype)
    assert again.X.toarray().tobytes() == (X + np.zeros((), X.dtype)).tobytes()  # -0.0 is no entry
    assert again.y.tobytes() == y.tobytes()
    assert again.X.nnz == np.count_nonzero(X)


@settings(max_examples=max(20, CASES // 10), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_numbers_equal_float_to_the_last_bit(seed):
    """A thousand tokens a case, of the lengths where rounding is delicate."""
    from dadapt_cli.libsvm import fast

    rng = np.random.default_rng(seed)
    tokens = []
    for _ in range(1000):
        size, point = int(rng.integers(1, 21)), int(rng.integers(0, 21))
        digits = "".join(rng.choice(list("0123456789"), size))
        token = digits[:point] + "." + digits[point:] if rng.random() < 0.8 else digits
        if rng.random() < 0.2:
            token += f"e{rng.integers(-30, 30)}"
        tokens.append(token.encode())
    text = b"1 " + b" ".join(b"%d:%s" % (i + 1, t) for i, t in enumerate(tokens)) + b"\n"
    rows = fast.parse(text)
    assert rows is not None
    assert rows.values.tobytes() == np.array([float(t) for t in tokens]).tobytes()


def test_halfway_cases_are_rounded_like_float():
    from dadapt_cli.libsvm import fast

    rng = np.random.default_rng(0)
    tokens = []
    for exponent in range(-8, 10):
        for mantissa in rng.integers(2**52, 2**53, 200):
            middle = (2 * int(mantissa) + 1) * 10**30 * 2**10 // 2 ** (53 - exponent + 1 + 10)
            for nudge in (-(10**13), 0, 10**13):
                text = str(middle + nudge).rjust(31, "0")
                tokens.append((text[:-30] + "." + text[-30:])[:20].encode())
    text = b"1 " + b" ".join(b"%d:%s" % (i + 1, t) for i, t in enumerate(tokens)) + b"\n"
    rows = fast.parse(text)
    assert rows is not None
    assert rows.values.tobytes() == np.array([float(t) for t in tokens]).tobytes()


@many
@given(
    text=mutated(),
    zero_based=st.booleans(),
    lenient=st.booleans(),
    total=st.booleans(),
    dtype=st.sampled_from([np.float64, np.float32]),
)
@example(
    text=b"1 3 : 1 1: 2\n2 qid : 3 5:1\n", zero_based=False, lenient=True, total=False, dtype=float
)
def test_the_fast_parser_says_what_the_slow_one_says(
    tmp_path, text, zero_based, lenient, total, dtype
):
    path = tmp_path / "data"
    path.write_bytes(text)
    options = {
        "zero_based": zero_based,
        "lenient": lenient,
        "duplicates": "sum" if lenient and total else "refuse",
        "dtype": dtype,
    }

    def outcome():
        try:
            data = load(path, **options)
        except DataError as error:
            return str(error)
        arrays = (data.X.data, data.X.indices, data.X.indptr, data.y)
        return [a.tobytes() for a in arrays], data.X.shape, data.notes, data.sha256

    fast_outcome = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dadapt_cli.libsvm.fast.parse", lambda text: None)
        assert outcome() == fast_outcome
