"""The engine on a real Ray cluster of one node, on loopback, started here and ended here."""

from __future__ import annotations

import builtins
import collections
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import counters, fetch
from testbed import need

from mimecurate.curation import engine
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError, MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testbed import SampleMaker

    from mimecurate.curation.loopback import LoopbackServer

evaluate: Callable[[str], Any] = builtins.eval
OS = "__import__('os')"
TIME = "__import__('time')"


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[Any]:
    """Ray, joined to a cluster of two CPUs that ``RAY_ADDRESS`` names."""
    need("ray", find_spec("ray"), "get it with: pip install 'mimecurate[cluster]'")
    with pytest.MonkeyPatch.context() as environment, contextlib.ExitStack() as on_exit:
        # Ray replaces 127.0.0.1 by the machine's outer address unless this is off, in the cluster
        # and in those who join it.
        environment.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        environment.setenv("RAY_ADDRESS", on_exit.enter_context(one_node_cluster()))
        list(engine.map(str, [1], workers=1, engine="ray"))
        module = sys.modules["ray"]
        on_exit.callback(module.shutdown)
        yield module


@contextlib.contextmanager
def one_node_cluster() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # not tmp_path: socket paths must be short
    log = folder / "head.log"
    port = free_port()
    arguments = {
        "node-ip-address": "127.0.0.1",
        "port": port,
        "num-cpus": 2,
        "object-store-memory": 80_000_000,
        "include-dashboard": "false",
        "temp-dir": folder / "ray",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    options = [f"--{name}={value}" for name, value in arguments.items()]
    with log.open("wb") as out:
        head = subprocess.Popen(
            [*command, "--disable-usage-stats", *options],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "Ray runtime started" in log.read_text() or head.poll() is not None, 60)
        assert head.poll() is None, log.read_text()
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def wait_until(is_true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param(f"127.0.0.1:{free_port()}", "no Ray cluster answers at 127", id="nobody"),
        pytest.param("ray://127.0.0.1:10001", "run mimecurate on a node", id="client"),
        pytest.param("local", "run mimecurate on a node", id="would start one"),
        pytest.param("head-node", "must be host:port", id="no port"),
        pytest.param("head:99999", "no Ray cluster answers at head:99999", id="no such port"),
    ],
)
def test_no_cluster(ray: Any, monkeypatch: pytest.MonkeyPatch, address: str, words: str) -> None:
    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(MimecurateError, match=words):
        engine.map(str, [1], workers=1, engine="ray")
    assert not ray.is_initialized()


def test_the_record_of_a_dead_cluster(
    ray: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    with pytest.raises(MimecurateError, match="start one with: ray start --head, or set RAY_ADD"):
        engine.map(str, [1], workers=1, engine="ray")


def test_results_errors_and_dead_workers_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    on_sigterm = signal.getsignal(signal.SIGTERM)
    clip_error = (
        "(_ for _ in ()).throw((e := __import__('mimecurate.errors').errors)"
        ".ClipError(e.Reason.PRIVATE, 'private'))"
    )
    expected = {
        "6 * 7": "",
        "1 / 0": "division by zero",
        clip_error: "private",
        "lambda: 0": "pickle",
        "__import__('sys').exit('bad option')": "SystemExit('bad option')",
        "print('noise')": "",
        f"{OS}._exit(3)": "Ray lost the task (WorkerCrashedError)",
        f"{OS}.kill({OS}.getpid(), 9)": "Ray lost the task (WorkerCrashedError)",
    }
    outcomes = list(engine.map(evaluate, expected, workers=2, engine="ray"))
    assert sorted(o.item for o in outcomes) == sorted(expected)
    by_item = {o.item: o for o in outcomes}
    assert by_item["6 * 7"].value == 42
    assert isinstance(by_item["1 / 0"].error, ZeroDivisionError)
    assert isinstance(by_item[clip_error].error, ClipError)
    for item, words in expected.items():
        assert words in str(by_item[item].error or "")
    time.sleep(0.5)  # Ray's news of the dead come a little later
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(signal.SIGTERM) == on_sigterm


def test_results_come_while_the_function_runs_and_wait_for_a_slow_caller(tmp_path: Path) -> None:
    log = tmp_path / "made"
    log.touch()
    item = f"(open({str(log)!r}, 'a').write('x') for _ in range(30))"
    outcomes = engine.flat_map(evaluate, [item, "[7]"], workers=2, engine="ray")
    with closing(outcomes):
        seen = [next(outcomes)]
        time.sleep(0.3)
        # given, four in the queue, one in the hands of a thread, two of the task
        assert 0 <= log.stat().st_size <= 8
        seen += outcomes
    assert log.stat().st_size == 30
    assert sorted((o.item, o.value) for o in seen if not o.is_last) == [
        *[(item, 1)] * 30,
        ("[7]", 7),
    ]
    assert sorted(o.item for o in seen if o.is_last) == [item, "[7]"]


def test_closing_cancels_what_runs_and_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GRACE_S", 0.2)
    files = [tmp_path / name for name in "abcdef"]
    items = [
        f"[open({str(file)!r}, 'w').write(str({OS}.getpid())), {TIME}.sleep(600)]" for file in files
    ]
    outcomes = engine.map(evaluate, ["0", *items], workers=2, engine="ray")
    next(outcomes)
    wait_until(lambda: sum(file.exists() and file.stat().st_size > 0 for file in files) == 2)
    began = time.monotonic()
    outcomes.close()
    assert time.monotonic() - began < 5
    pids = [int(file.read_text()) for file in files if file.exists()]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert sum(file.exists() for file in files) == 2


def test_closing_ends_a_generator_that_waits_for_its_caller(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"

    def work(item: int) -> Iterator[int]:
        try:
            while True:
                yield item
        finally:
            cleaned.touch()

    outcomes = engine.flat_map(work, [1], workers=1, engine="ray")
    next(outcomes)
    outcomes.close()
    wait_until(cleaned.exists)


def test_a_process_keeps_what_the_function_keeps_but_not_beyond_the_run() -> None:
    seen = []

    def work(item: int) -> tuple[int, int]:
        seen.append(item)
        return os.getpid(), len(seen)

    for _ in range(2):
        counts = collections.defaultdict(list)
        for outcome in engine.map(work, range(30), workers=4, engine="ray"):
            assert outcome.value
            pid, count = outcome.value
            counts[pid].append(count)
        assert sum(map(len, counts.values())) == 30
        assert all(sorted(of_pid) == list(range(1, len(of_pid) + 1)) for of_pid in counts.values())


def test_an_unsendable_item_is_only_its_own_failure() -> None:
    lock: Any = threading.Lock()
    outcomes = {o.item: o for o in engine.map(repr, [lock, "a"], workers=1, engine="ray")}
    assert isinstance(outcomes[lock].error, TypeError)
    assert outcomes["a"].value == "'a'"


def test_a_function_that_workers_lack_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("only_here")
    exec("def work(item): return item", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(MimecurateError, match=r"every node.*No module named 'only_here'"):
        list(engine.map(module.work, [1, 2, 3], workers=2, engine="ray"))


def test_fetch_works_on_the_cluster(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    source = sample(VideoSpec(seconds=4, width=96, height=96))
    for name in "abc":
        (loopback.root / f"{name}.mp4").symlink_to(source.path)
    urls = tmp_path / "list.txt"
    names = ("a.mp4", "b.mp4", "c.mp4", "gone.mp4")
    urls.write_text("".join(f"{loopback.url(name)} 1 3\n" for name in names))
    done = fetch(tmp_path / "w", urls, "--engine", "ray", timeout_s=150)
    assert (done.report["fetched"], done.report["by_reason"]) == (3, {"unavailable": 1})
    for clip in done.report["clips"]:
        if clip["path"]:
            assert counters(tmp_path / "w" / clip["path"]) == source.numbers_between(1000, 3000)
