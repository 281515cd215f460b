from __future__ import annotations

import numpy as np
import pytest

from dadapt_cli.errors import DataError, UsageError
from dadapt_cli.preprocessing.labels import encode


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
        (["a", "b"], "number the classes"),
    ],
)
def test_other_labels_are_refused(y: list[object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        encode(np.array(y))


def test_many_classes_are_remarked_on() -> None:
    assert "9 classes in 10 rows" in encode(np.array([*range(9), 0])).notes[0]
    assert encode(np.array([0, 1, 2] * 5)).notes == ()
