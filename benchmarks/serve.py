"""Measure how long `mimecurate annotate serve` takes to be ready, and Label Studio's memory.

Run: python benchmarks/serve.py [--starts 3]

A first start, which makes the database; later starts; and, in turn with those, bare starts of the
`label-studio` program on the same data, up to its first answer. CPU seconds are of all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median

from mimecurate.annotation.server import server_folder
from mimecurate.annotation.server_process import HOST, check_port, find_program, make_environment

LIMIT_S = 10.0
"""For a later start."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3)
    starts = parser.parse_args().starts
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        report("first start", [ours(root)])
        pairs = [(ours(root), bare(root)) for _ in range(starts)]
        report("later start", [pair[0] for pair in pairs], f"(limit {LIMIT_S:g} s)")
        report("bare label-studio, later", [pair[1] for pair in pairs])


def report(name: str, runs: list[tuple[float, float, float]], words: str = "") -> None:
    wall_s, cpu_s, mebibytes = (median(column) for column in zip(*runs, strict=True))
    load = os.getloadavg()[0]
    print(
        f"{name:26} {wall_s:6.2f} s {cpu_s:6.2f} s CPU {mebibytes:5.0f} MiB  {words} "
        f"median of {len(runs)}, load {load:.1f}",
        flush=True,
    )


def ours(root: Path) -> tuple[float, float, float]:
    """Return the seconds to the line that says it is ready, CPU seconds, and resident MiB."""
    command = ["-m", "mimecurate", "annotate", "serve", "--json", "--port", "0", "-w", str(root)]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        wall_s = time.monotonic() - began
        measured = usage(process.pid)
        process.send_signal(signal.SIGTERM)
    return wall_s, *measured


def bare(root: Path) -> tuple[float, float, float]:
    """Return the same of the program itself, up to when it answers at all."""
    folder = server_folder(root / ".mimecurate")
    port = check_port(0)
    command = [str(find_program()), "start", "--no-browser", "--log-level", "WARNING"]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, "--internal-host", HOST, "--port", str(port)],
        env=make_environment(folder, folder / "files", os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not answers(f"http://{HOST}:{port}/health"):
            assert process.poll() is None, "label-studio has ended"
            time.sleep(0.05)
        wall_s = time.monotonic() - began
        measured = usage(process.pid)
        process.terminate()
    return wall_s, *measured


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def usage(pid: int) -> tuple[float, float]:
    """Return the CPU seconds and resident MiB of a process and all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    mebibytes = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        more_s, more_mebibytes = usage(int(child))
        cpu_s, mebibytes = cpu_s + more_s, mebibytes + more_mebibytes
    return cpu_s, mebibytes


if __name__ == "__main__":
    main()
