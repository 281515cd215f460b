from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.preprocessing.labels import encode, indices


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (-1, 1), (2, 4)])
def test_any_two_integers_the_larger_is_positive(pair: tuple[int, int]) -> None:
    labels = encode(np.array([pair[1], pair[0], pair[1]], float))
    assert labels.classes == pair
    assert labels.index.tolist() == [1, 0, 1]


def test_one_label_against_the_rest() -> None:
    labels = encode(np.array([3, 1, 2, 3]), positive=1)
    assert labels.classes == ("rest", 1)
    assert labels.index.tolist() == [0, 1, 0, 0]
    assert encode(np.array([1, 2]), positive=1).classes == (2, 1)
    with pytest.raises(UsageError, match="--positive 9"):
        encode(np.array([1, 2]), positive=9)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([1, 1], "two classes"),
        ([0.3, 0.7], "regression"),
        ([1, np.nan], "nan"),
        ([1, 1e300], "2\\^53"),
        ([], "no data rows"),
        ([[1, 2]], "one label a row"),
        (["a", "a"], "all 2 rows have the label a;"),
        ([1, "a"], "row 2 has the label a of type str, row 1 one of type int"),
        (["a", None], "row 2 has the label None of type NoneType"),
        (["a", np.nan], "row 2 has the label nan of type float"),
        (["a", True], "row 2 has the label True of type bool"),
        (np.array([1, True, 1], object), "row 2 has the label True of type bool"),
        ([b"a", b"b"], r"bytes; give text, y.astype\(str\)"),
        ([2**70, 1], "row 1 has the label 1180591620717411303424; .* 2\\^53"),
        (["a\0", "a"], "row 1 has a label with a NUL character, 'a\\\\x00'"),
        (["b", "\ud800"], "row 2 has a label with half a character"),
        (["b", "a" * 1001], "row 2 has a label of 1001 characters; give at most 1000"),
        ([(1, 2), "a"], "labels are no array"),
        (np.array(["2026-01-01", "2026-01-02"], "M8[D]"), "of type date"),
        ([1j, 2], "of type complex"),
    ],
)
def test_other_labels_are_refused(y: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        encode(y)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "y",
    [
        ["dog", "cat", "", "dog"],
        np.array(["dog", "cat", "", "dog"]),
        np.array(["dog", "cat", "", "dog"], object),
        [np.str_("dog"), "cat", "", "dog"],
    ],
)
def test_text_is_sorted_and_stays_text(y: Any) -> None:
    labels = encode(y)
    assert labels.classes == ("", "cat", "dog")
    assert labels.index.tolist() == [2, 1, 0, 2]
    assert all(type(label) is str for label in labels.classes)
    assert indices(labels.classes, ["cat", "cow", ""]).tolist() == [1, -1, 0]
    assert indices(labels.classes, np.array([0.0, 1.0])).tolist() == [-1, -1]
    assert indices((0, 1), ["0", "1"]).tolist() == [-1, -1]


@pytest.mark.parametrize("y", [[True, False], np.array([True, False], object)])
def test_bools_stay_bools(y: Any) -> None:
    labels = encode(y)
    assert [type(label) for label in labels.classes] == [bool, bool]
    assert labels.index.tolist() == [1, 0]


def test_objects_that_are_integers() -> None:
    assert encode(np.array([3, 1, np.int8(2)], object)).classes == (1, 2, 3)


def test_a_label_called_rest_is_not_the_rest() -> None:
    """Activities are walking and rest; with ``positive`` the other labels have that name too."""
    plain = encode(["rest", "walk"])
    assert indices(plain.classes, ["rest", "walk", "swim"]).tolist() == [0, 1, -1]
    one = encode(["rest", "walk", "swim"], positive="walk")
    assert indices(one.classes, ["rest", "walk", "swim", "run"]).tolist() == [0, 1, 0, 0]
    both = encode(["rest", "walk", "swim"], positive="rest")
    assert indices(both.classes, ["rest", "walk", "swim"]).tolist() == [1, 0, 0]


def test_a_message_cuts_and_escapes_long_labels() -> None:
    with pytest.raises(UsageError) as caught:
        encode(["a" * 900, "\x1b[31m"], positive="x" * 900)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 200


def test_many_classes_are_remarked_on() -> None:
    assert "9 classes in 10 rows" in encode(np.array([*range(9), 0])).notes[0]
    assert encode(np.array([0, 1, 2] * 5)).notes == ()
