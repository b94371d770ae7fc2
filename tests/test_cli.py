"""The command line's frame: help, exit statuses, errors in one line, start-up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mimecurate.cli import Terminated, _terminate, main
from mimecurate.commands.root import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(click.Context(group)):
        child = group.get_command(click.Context(group), name)
        assert child is not None
        found.append((*path, name))
        if isinstance(child, click.Group):
            found += _commands(child, (*path, name))
    return found


ALL = _commands(cli)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_help_is_the_command_s_own(name: str) -> None:
    command = import_module(f"mimecurate.commands.{name}").command
    assert command.get_short_help_str(100) == COMMANDS[name]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    group = len(path) == 1 and any(other[0] == path[0] and len(other) > 1 for other in ALL)
    assert group or "Example:" in result.output
    assert f"mimecurate {' '.join(path)}" in result.output or group


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_is_in_the_reference(path: tuple[str, ...]) -> None:
    text = (ROOT / "docs/reference/commands.md").read_text("utf-8")
    assert f"Usage: mimecurate {' '.join(path)} " in text


def test_no_line_of_a_group_s_help_is_cut() -> None:
    for path in ("discover", "classes", "clips", "release"):
        shown = CliRunner().invoke(cli, [path, "--help"], terminal_width=80).stdout
        lines = shown.partition("Commands:")[2]
        assert len(lines.splitlines()) > 4
        assert "..." not in lines


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from mimecurate.commands.root import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'av', 'yt_dlp', 'pandas', 'numpy', 'sqlite_utils', 'rich', 'ray'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_wrong_usage_exits_2_and_an_unknown_workspace_exits_1(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(cli, ["fetch"]).exit_code == 2
    assert runner.invoke(cli, ["nonsense"]).exit_code == 2
    result = runner.invoke(cli, ["clips", "list", "-w", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "mimecurate init" in result.stderr


def test_init_makes_a_workspace_and_reads_classes(tmp_path: Path) -> None:
    classes = tmp_path / "classes.csv"
    classes.write_text(
        "name,object_size,scene,definition\narchery,large,yes,Shooting\nplaying_bass_guitar,,,\n",
        "utf-8",
    )
    runner = CliRunner()
    for _ in range(2):
        result = runner.invoke(cli, ["init", str(tmp_path / "w"), "--classes", str(classes)])
        assert result.exit_code == 0, result.output
        assert "2 classes" in result.stderr
    assert (tmp_path / "w/mimecurate.toml").is_file()


def test_a_wrong_class_list_names_every_line(tmp_path: Path) -> None:
    classes = tmp_path / "classes.csv"
    classes.write_text("name,object_size,scene\na,huge,\n,large,\nb,,maybe\nc,,\nc,,\n", "utf-8")
    result = CliRunner().invoke(cli, ["init", str(tmp_path / "w"), "--classes", str(classes)])
    assert result.exit_code == 1
    for words in (
        "line 2: object_size 'huge'",
        "line 3: the class has no name",
        "line 4: scene",
        "line 6: class 'c' is already in line 5",
    ):
        assert words in result.stderr
    assert not (tmp_path / "w").exists()


def test_config_shows_value_and_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMECURATE_FETCH_WORKERS", "8")
    result = CliRunner().invoke(cli, ["config", "-w", str(tmp_path), "--json"])
    assert json.loads(result.stdout)["fetch.workers"] == {"value": 8, "origin": "environment"}


def test_config_shows_sizes_as_they_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIMECURATE_FETCH_LIMIT_RATE", "2M")
    runner = CliRunner()
    out = runner.invoke(cli, ["config", "-w", str(tmp_path)]).stdout
    words = {line.split()[0]: line.split()[1] for line in out.splitlines() if "fetch." in line}
    assert words["fetch.limit_rate"] == "2M"
    assert words["fetch.max_bytes"] == "8G"
    said = json.loads(runner.invoke(cli, ["config", "-w", str(tmp_path), "--json"]).stdout)
    assert said["fetch.max_bytes"]["value"] == 8 << 30


def test_config_hides_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMECURATE_FETCH_PROXY", "http://user:sekret@proxy.example:8080")
    for options in (["--json"], []):
        out = CliRunner().invoke(cli, ["config", "-w", str(tmp_path), *options]).stdout
        assert "sekret" not in out
        assert "//***@" in out


@pytest.mark.parametrize("option", [["--workers", "0"], ["--cut", "foo"], ["--limit-rate", "x"]])
def test_a_wrong_option_is_wrong_usage(option: list[str], tmp_path: Path) -> None:
    urls = tmp_path / "list.txt"
    urls.touch()
    result = CliRunner().invoke(cli, ["fetch", "--urls", str(urls), "-w", str(tmp_path), *option])
    assert result.exit_code == 2
    assert option[0] in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_MIMECURATE_COMPLETE" in result.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_program_with_one_line(tmp_path: Path, number: int, status: int) -> None:
    program = [sys.executable, "-m", "mimecurate", "fetch", "--urls", "-", "-w", str(tmp_path)]
    process = subprocess.Popen(
        program, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    log = tmp_path / "mimecurate.db"
    deadline = time.monotonic() + 20
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert "what was finished is kept" in err


_SIGNALS_WHILE_IMPORTED = """\
import os, sys
sys.path.remove(os.path.dirname(__file__))
os.kill(os.getpid(), {number})
del sys.modules["click"]
import click
sys.modules["click"] = click
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_start_up_ends_the_program_with_one_line(
    tmp_path: Path, number: int, status: int
) -> None:
    (tmp_path / "click.py").write_text(_SIGNALS_WHILE_IMPORTED.format(number=int(number)))
    done = subprocess.run(
        [sys.executable, "-m", "mimecurate", "config"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == status, done.stderr
    assert done.stderr.splitlines()[-1].endswith("what was finished is kept")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_library_that_wraps_a_signal_does_not_hide_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    monkeypatch.setattr("mimecurate.cli._load", lambda: run)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "stopped; what was finished is kept\n"


def test_the_handler_of_sigterm_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Terminated):
        _terminate(signal.SIGTERM, None)
    assert capsys.readouterr() == ("", "")
