"""Fetching from a real HTTP server on the loopback address that does all that servers do."""

from __future__ import annotations

import bz2
import lzma
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dadapt_cli import datasets
from dadapt_cli.datasets import download, named
from dadapt_cli.errors import DataError, InputOutputError, UsageError

from ..conftest import DATA, PATIENCE, Ran, listening

IRIS = (DATA / "iris.scale").read_bytes()
OTHER = IRIS.replace(b"0.25", b"0.26", 1)
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers each path as a test says; 404 where it says nothing."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.done, self.stalled = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        else:
            answer(self)

    def log_message(self, *args: object) -> None:
        pass


def body(text: bytes, length: int | None = None, kind: str = "text/plain") -> Answer:
    """The text, with a Content-Length that may lie."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Disposition", 'attachment; filename="../../evil"')
        if length != -1:
            handler.send_header("Content-Length", str(len(text) if length is None else length))
        handler.end_headers()
        handler.wfile.write(text)

    return answer


def redirect(to: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def stall(handler: BaseHTTPRequestHandler) -> None:
    """Half of the file, and then nothing until the test is over."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(IRIS)))
    handler.end_headers()
    handler.wfile.write(IRIS[: len(IRIS) // 2])
    handler.wfile.flush()
    handler.server.stalled.set()
    handler.server.done.wait(PATIENCE)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("DADAPT_MIRROR", running.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        monkeypatch.delenv("DADAPT_DATA", raising=False)
        yield running
        running.done.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def only_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing came with the package."""
    monkeypatch.setattr(datasets, "places", lambda: [("cache", datasets.downloads())])


def kept() -> list[str]:
    """The files in the folder of downloads, temporary ones too."""
    return sorted(path.name for path in datasets.downloads().glob("*"))


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
@pytest.mark.parametrize("length", [None, -1])
def test_a_whole_file(
    server: Server, suffix: str, pack: Callable[[bytes], bytes], length: int | None
) -> None:
    iris = replace(named("iris"), suffix=suffix)
    server.answers[f"/iris.scale{suffix}"] = body(pack(IRIS), length)
    said: list[str] = []
    path = download.fetch(iris, said.append)
    assert path == datasets.downloads() / f"iris.scale{suffix}"
    assert path.read_bytes() == pack(IRIS)
    assert kept() == [path.name]  # the server's ../../evil is nowhere
    assert not list(datasets.downloads().parent.parent.glob("evil"))
    assert said[0].endswith(f"/iris.scale{suffix}")
    assert any("MB" in line for line in said)


def test_ensure_fetches_once_and_mends(server: Server, only_cache: None) -> None:
    server.answers["/iris.scale"] = body(IRIS)
    path = download.ensure(named("iris"))
    assert download.ensure(named("iris")) == path
    assert server.asked == ["/iris.scale"]
    path.write_bytes(IRIS[:-9])
    assert download.ensure(named("iris")).read_bytes() == IRIS
    assert len(server.asked) == 2


def test_a_bad_file_of_the_users_is_left_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/iris.scale"] = body(IRIS)
    monkeypatch.setenv("DADAPT_DATA", str(tmp_path))
    (tmp_path / "iris.scale").write_bytes(OTHER)
    with pytest.raises(DataError, match="not its text"):
        download.ensure(named("iris"))
    assert server.asked == []
    assert (tmp_path / "iris.scale").read_bytes() == OTHER


HTML = b"<!DOCTYPE html><html><body>Moved</body></html>\n"
CORRUPT = bytearray(lzma.compress(IRIS))
CORRUPT[len(CORRUPT) // 2] ^= 1

WRONG: dict[str, tuple[Answer, str]] = {
    "cut": (body(IRIS[:900], len(IRIS)), "ended after 900 of 6,954 bytes"),
    "cut, no length": (body(IRIS[:900], -1), "subset of iris.scale: "),
    "cut, compressed": (body(lzma.compress(IRIS)[:900], -1), "compressed file ends early"),
    "corrupt": (body(bytes(CORRUPT)), "corrupt"),
    "wrong hash": (body(OTHER), "not its text (sha256 "),
    "another problem": (body(IRIS[:5000] + b"9 7:1\n"), "not iris.scale: "),
    "HTML": (body(HTML, kind="text/html"), "HTML"),
    "empty": (body(b""), "the file is empty"),
    "too long": (body(IRIS * 2), "more than the 6,954 bytes"),
    "too long, no length": (body(IRIS * 2, -1), "more than the 6,954 bytes"),
    "a lying length": (body(IRIS, 10**12), "more than the 6,954 bytes"),
    "a bomb": (body(lzma.compress(b"\n" * 10**6)), "expands to more than 6954 bytes"),
    "a chunk that is none": (
        lambda h: h.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "IncompleteRead",
    ),
    "no HTTP": (lambda h: h.wfile.write(b"what?\r\n\r\n"), "what?"),
    "hung up": (lambda h: None, "Remote end closed connection"),
    "error": (lambda h: h.send_error(503), "HTTP 503 Service Unavailable"),
    "loop": (redirect("/iris.scale"), "HTTP 302"),
    "to a file": (redirect("file:///etc/passwd"), "HTTP 302"),
    "to ftp": (redirect("ftp://127.0.0.1/iris.scale"), "sends elsewhere, to 'ftp:"),
    "to another host": (redirect("http://localhost:1/iris.scale"), "sends elsewhere, to 'http:"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_the_file_is_not_kept(
    case: str, server: Server, only_cache: None, cli: Callable[..., Ran]
) -> None:
    server.answers["/iris.scale"], reason = WRONG[case]
    ran = cli("datasets", "fetch", "iris")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith(f"dadapt: {server.url}iris.scale:")
    assert reason in ran.err
    assert ran.err.count("\n") == 1
    assert "nothing was saved; try again" in ran.err
    assert kept() == []


def test_an_older_file_stays(server: Server, only_cache: None) -> None:
    server.answers["/iris.scale"] = body(OTHER)
    datasets.downloads().mkdir(parents=True)
    (datasets.downloads() / "iris.scale").write_bytes(b"old")
    with pytest.raises(InputOutputError):
        download.ensure(named("iris"))
    assert (datasets.downloads() / "iris.scale").read_bytes() == b"old"
    assert kept() == ["iris.scale"]


def test_not_found_and_redirected(server: Server, cli: Callable[..., Ran]) -> None:
    ran = cli("datasets", "fetch", "letter", "-q")
    assert ran.code == 4
    assert f"{server.url}letter.scale: HTTP 404 Not Found; nothing was saved" in ran.err
    server.answers["/iris.scale"] = redirect("/else/where")
    server.answers["/else/where"] = body(IRIS)
    assert download.fetch(named("iris")).name == "iris.scale"
    assert server.asked[-2:] == ["/iris.scale", "/else/where"]


def test_a_server_that_stalls(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/iris.scale"] = stall
    monkeypatch.setattr(download, "TIMEOUT", 0.2)
    with pytest.raises(InputOutputError, match=r"no answer for 0\.2 s"):
        download.fetch(named("iris"))
    assert kept() == []


def test_nobody_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as other:
        url = other.url
    monkeypatch.setenv("DADAPT_MIRROR", url)  # closed again: nothing listens there
    with pytest.raises(InputOutputError, match="Connection refused; nothing was saved"):
        download.fetch(named("iris"))
    assert kept() == []


@pytest.mark.parametrize(
    "mirror", ["http://example.org/", "ftp://127.0.0.1/", "file:///tmp", "/tmp", "http://[", "x"]
)
def test_mirrors_that_are_not_trusted(
    mirror: str, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Ran]
) -> None:
    monkeypatch.setenv("DADAPT_MIRROR", mirror)
    with pytest.raises(UsageError, match="give an https address"):
        datasets.address(named("iris"))
    assert cli("datasets", "fetch", "letter").code == 2


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    site = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets"
    monkeypatch.delenv("DADAPT_MIRROR", raising=False)
    assert datasets.address(named("usps")) == f"{site}/multiclass/usps.bz2"
    assert datasets.address(named("smallnorb.t")) == f"{site}/multiclass/smallNORB.t.xz"
    assert datasets.address(named("a9a.t")) == f"{site}/binary/a9a.t"
    monkeypatch.setenv("DADAPT_MIRROR", "https://mirror.example/data")
    assert datasets.address(named("dna")) == "https://mirror.example/data/dna.scale"


@pytest.mark.parametrize("name", ["../name", "/etc/passwd", "..\\x", "iris.scale/../x"])
def test_names_are_of_the_table_only(name: str, server: Server, cli: Callable[..., Ran]) -> None:
    for command in ("fetch", "where"):
        ran = cli("datasets", command, name)
        assert ran.code == 4
        assert "is a path" in ran.err
    assert server.asked == kept() == []


def test_fetch_wants_names_of_the_table(server: Server, cli: Callable[..., Ran]) -> None:
    for arguments in ((), ("iris", "--all"), ("nope",), ("iris", "vowels")):
        ran = cli("datasets", "fetch", *arguments)
        assert ran.code == 2
        assert ran.err.count("\n") == 1
    assert server.asked == []


def test_fetch_all_takes_the_12(
    server: Server, only_cache: None, cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple(named(name) for name in ("iris", "wine", "vowel"))
    monkeypatch.setattr(datasets, "PROBLEMS", small)
    for problem in small:
        server.answers[f"/{problem.name}"] = body((DATA / problem.name).read_bytes())
    ran = cli("datasets", "fetch", "--all")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == [str(datasets.downloads() / row.name) for row in small]
    assert kept() == sorted(row.name for row in small)
    assert cli("datasets", "where", "vowel").out.strip() == ran.out.split()[2]
    assert cli("datasets", "fetch", "--all").out == ran.out
    assert len(server.asked) == 3


def test_an_unknown_hash_is_pinned_on_first_use(
    server: Server, only_cache: None, cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = replace(named("iris"), sha256=(), bytes=None)
    monkeypatch.setattr(datasets, "ALL", (unknown,))
    server.answers["/iris.scale"] = body(IRIS)
    ran = cli("datasets", "fetch", "iris")
    assert ran.code == 0
    assert ran.err.startswith(f"dadapt: {server.url}iris.scale: its sha256 was not known")
    assert "pinned as c03bd66fd6c4" in ran.err
    assert kept() == ["iris.scale", "iris.scale.json"]
    assert cli("fit", "iris", "-n", 2).err == ""
    assert "pinned" in cli("datasets", "list").out
    (datasets.downloads() / "iris.scale").unlink()
    server.answers["/iris.scale"] = body(OTHER)
    ran = cli("datasets", "fetch", "iris")
    assert ran.code == 4
    assert "not that of the iris.scale used before" in ran.err
    assert kept() == ["iris.scale.json"]
    (datasets.downloads() / "iris.scale").write_bytes(OTHER)
    ran = cli("fit", "iris", "-n", 2)
    assert ran.code == 3
    assert "used before" in ran.err


def test_two_at_once_do_not_harm_each_other(server: Server, only_cache: None) -> None:
    server.answers["/iris.scale"] = body(IRIS)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: download.ensure(named("iris")), range(8)))
    assert {path.read_bytes() for path in paths} == {IRIS}
    assert kept() == ["iris.scale"]


def test_a_cache_that_takes_no_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DADAPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputOutputError, match="name another folder in DADAPT_CACHE"):
        download.fetch(named("iris"))
    assert server.asked == []


def _fetch_usps(**options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dadapt_cli", "datasets", "fetch", "usps"]
    environment = {**os.environ, "PYTHONPATH": str(DATA.parent)}
    return subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True, **options)  # type: ignore[call-overload, no-any-return]


def test_a_disk_that_is_full(server: Server) -> None:
    server.answers["/usps.bz2"] = body(os.urandom(10**6))
    limit = (10**5, 10**5)
    ran = _fetch_usps(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    _, error = ran.communicate(timeout=PATIENCE)
    assert ran.returncode == 4
    assert "File too large; nothing was written there" in error
    assert kept() == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_temporary_file(server: Server, signum: signal.Signals) -> None:
    server.answers["/usps.bz2"] = stall
    running = _fetch_usps(preexec_fn=listening)
    assert server.stalled.wait(PATIENCE)
    running.send_signal(signum)
    out, error = running.communicate(timeout=PATIENCE)
    assert (running.returncode, out, error) == (128 + signum, "", "")
    assert kept() == []
