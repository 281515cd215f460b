"""Get a file of the table from LIBSVM's site: whole, checked, or not at all.

urllib rather than pooch: pooch (with requests and platformdirs) hashes the file that it receives,
while the sums known here are of the uncompressed text, and limits neither size nor redirection;
what would have to be added is longer than this module.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dadapt_cli import __version__, datasets
from dadapt_cli.datasets import Dataset
from dadapt_cli.errors import DataError, InputOutputError
from dadapt_cli.system.files import atomic_write, reporting

TIMEOUT = 30.0
"""Seconds without a byte."""

_BLOCK = 2**18
_REMEDY = "nothing was saved; try again, or put the file in a folder of DADAPT_DATA"


def ensure(dataset: Dataset, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Return its file, fetched if there is none or the one fetched before is damaged.

    Raises
    ------
    DataError
        A file of that name in another folder is not the problem.
    InputOutputError
        As :func:`fetch`.
    """
    path = datasets.find(dataset)
    if path is None:
        return fetch(dataset, progress)
    progress(f"{dataset.name}: checking {path}")
    try:
        datasets.inspect(dataset, path)
    except DataError:
        if path != _target(dataset):
            raise
        return fetch(dataset, progress)
    return path


def fetch(dataset: Dataset, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Download it into the cache, under its name in the table.

    Parameters
    ----------
    dataset
        Of the table: no name comes from the server.
    progress
        Called with what is being done.

    Returns
    -------
    Path
        The file, compressed as on the server. It appears when its text has been checked
        (:func:`dadapt_cli.datasets.inspect`); until then it is a temporary one in the same folder.

    Raises
    ------
    InputOutputError
        The server cannot be reached, does not answer with this file, or stops on the way; the
        text is not the problem's; the file cannot be written. An older file stays as it was.
    UsageError
        ``DADAPT_MIRROR`` cannot be used.
    """
    url, target = datasets.address(dataset), _target(dataset)
    with reporting(target.parent, "name another folder in DADAPT_CACHE"):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target, own=True) as file:
        progress(f"{dataset.name}: {url}")
        with closing(_receive(url, dataset.most_bytes)) as blocks:
            for block, state in blocks:
                file.write(block)
                progress(f"{dataset.name}: {state}")
        file.flush()
        progress(f"{dataset.name}: checking")
        try:
            datasets.inspect(dataset, Path(file.name), url)
        except DataError as error:
            reason = str(error).partition("; ")[0]  # what follows is for a file of the user's
            raise InputOutputError(f"{reason}; {_REMEDY}") from error
    return target


def _target(dataset: Dataset) -> Path:
    return datasets.downloads() / (dataset.name + dataset.suffix)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follow a redirection only on the same host, and not from https to http."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if new.hostname != old.hostname or new.scheme not in (old.scheme, "https"):
            fp.close()
            raise InputOutputError(
                f"{req.full_url}: sends elsewhere, to {newurl[:80]!r}; {_REMEDY}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(url: str, limit: int) -> Generator[tuple[bytes, str], None, None]:
    """Yield the body in blocks, each with the progress so far; a short body is an error."""
    request = urllib.request.Request(url, headers={"User-Agent": f"dadapt/{__version__}"})
    received = 0
    try:
        opener = urllib.request.build_opener(_SameHost)
        with opener.open(request, timeout=TIMEOUT) as response:
            size = response.length
            of = "" if size is None else f" of {size / 1e6:.1f}"
            while block := response.read(_BLOCK):
                received += len(block)
                if max(received, size or 0) > limit:
                    raise InputOutputError(
                        f"{url}: more than the {limit:,} bytes that the file can have; {_REMEDY}"
                    )
                yield block, f"{received / 1e6:.1f}{of} MB"
    except (OSError, http.client.HTTPException) as error:
        raise InputOutputError(f"{url}: {_why(error)}; {_REMEDY}") from error
    if size is not None and received < size:
        raise InputOutputError(
            f"{url}: the connection ended after {received:,} of {size:,} bytes; {_REMEDY}"
        )


def _why(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return " ".join(f"HTTP {error.code} {error.reason}".split())
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer for {TIMEOUT:g} s"
    return " ".join(str(getattr(reason, "strerror", None) or reason or "no answer").split())
