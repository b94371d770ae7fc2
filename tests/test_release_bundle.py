"""Bundles: written, read back, verified; and hostile ones refused with everything that is wrong."""

from __future__ import annotations

import contextlib
import csv
import doctest
import os
import stat
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_lists import CLIPS, clip, release
from testbed import REPOSITORY

from mimecurate.curation import release_croissant_check
from mimecurate.curation.release_bundle_check import check_bundle
from mimecurate.curation.release_bundle_files import open_bundle
from mimecurate.curation.release_bundle_read import read_clips
from mimecurate.curation.release_cards import FIELDS, read_card
from mimecurate.curation.release_csv import neutral_cell, plain_cell
from mimecurate.curation.release_edition import load_edition, show_any
from mimecurate.curation.release_export import export_release
from mimecurate.curation.release_export_tables import write_clips_csv
from mimecurate.curation.release_import import import_release
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_read import NoSuchReleaseError, load_release
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.url_list_lines import MAX_LINE_BYTES
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import InvalidInputError, MimecurateError
from mimecurate.schemas.release import Flag, ReleasedClass

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {
    "CHANGELOG.md",
    "CITATION.cff",
    "DATASHEET.md",
    "LICENSE",
    "README.md",
    "SHA256SUMS",
    "classes.csv",
    "clips.csv",
    "clips.jsonl",
    "croissant.json",
    "data/test.parquet",
    "release.json",
    "splits/test.txt",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ws")
    with open_workspace(root) as opened:
        release(opened.db, "m@1.0.0")
    return root


@pytest.fixture
def bundle(workspace: Path, tmp_path: Path) -> Path:
    return _export(workspace, tmp_path / "bundle")


def _export(workspace: Path, out: Path, ref: str = "m@1.0.0") -> Path:
    return export_release(load_edition(ref, workspace), "bundle", out).path


def _problems(path: Path) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        check_bundle(path)
    return [str(problem) for problem in caught.value.problems]


def _files(bundle: Path) -> set[str]:
    return {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}


class TestRoundTrip:
    def test_a_bundle_has_every_file(self, bundle: Path) -> None:
        subsets = {name for name in _files(bundle) if name.startswith("subsets/")}
        assert len(subsets) == 11
        assert _files(bundle) - subsets == FILES

    def test_the_columns_of_kinetics_come_first(self, bundle: Path) -> None:
        header, first, *_ = (bundle / "clips.csv").read_text().splitlines()
        assert header.startswith("label,youtube_id,time_start,time_end,split,clip_id,url,")
        assert first.startswith("drinking,-id-0000002,0,1,test,-id-0000002_000000_000001,https://")

    @pytest.mark.parametrize("suffix", ["", ".zip"])
    def test_what_is_written_is_read_back(
        self, workspace: Path, tmp_path: Path, suffix: str
    ) -> None:
        out = _export(workspace, tmp_path / f"m-1.0.0{suffix}")
        original = load_release("m@1.0.0", workspace)
        assert load_release(out) == original
        assert load_release(str(out)) == original
        checked = check_bundle(out)
        assert (checked.reference, checked.clips, checked.files) == ("m@1.0.0", 4, 24)
        assert checked.not_checked == ()
        shown = show_any(str(out), workspace)
        assert shown == show_any("m@1.0.0", workspace)

    def test_it_is_imported_as_it_was(self, workspace: Path, bundle: Path, tmp_path: Path) -> None:
        with open_workspace(tmp_path / "other") as opened:
            done = import_release(opened, bundle, format="bundle")
            assert (done.reference, done.was_there) == ("m@1.0.0", False)
            assert import_release(opened, bundle, format="bundle").was_there
        assert load_release("m@1.0.0", tmp_path / "other") == load_release("m@1.0.0", workspace)
        again = _export(tmp_path / "other", tmp_path / "again")
        same = ("clips.csv", "clips.jsonl", "classes.csv", "croissant.json", "CITATION.cff")
        for name in same:
            assert (again / name).read_bytes() == (bundle / name).read_bytes(), name

    def test_the_same_release_gives_the_same_bytes(self, workspace: Path, tmp_path: Path) -> None:
        one, two = (_export(workspace, tmp_path / f"{n}.zip") for n in "ab")
        assert one.read_bytes() == two.read_bytes()

    def test_checksums_are_what_sha256sum_reads(self, bundle: Path) -> None:
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
            cwd=bundle,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def test_withdrawn_clips_are_listed_without_contents(self, tmp_path: Path) -> None:
        with open_workspace(tmp_path / "ws") as opened:
            digest = release(opened.db, "m@1.0.0")
            withdraw(opened, "m", "=asked by the owner", clip_ids=[CLIPS[0].clip_id])
        out = _export(tmp_path / "ws", tmp_path / "out")
        assert CLIPS[0].clip_id not in (out / "clips.csv").read_text()
        assert "'=asked by the owner" in (out / "withdrawn.csv").read_text()
        loaded = load_release(out)
        assert (loaded.digest, loaded.withheld) == (
            digest,
            {CLIPS[0].clip_id: "=asked by the owner"},
        )
        assert check_bundle(out).withheld == 1
        with open_workspace(tmp_path / "other") as opened:
            import_release(opened, out, format="bundle")
            release(opened.db, "n@1.0.0")
        assert load_release("m@1.0.0", tmp_path / "other").withheld == loaded.withheld
        assert set(load_release("n@1.0.0", tmp_path / "other").withheld) == set(loaded.withheld)

    def test_nothing_is_overwritten(self, workspace: Path, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "mine").write_text("x")
        (tmp_path / "a.zip").write_text("x")
        (tmp_path / "empty").mkdir()
        for name in ("full", "a.zip"):
            with pytest.raises(MimecurateError, match="is there already"):
                _export(workspace, tmp_path / name)
        _export(workspace, tmp_path / "empty")
        assert len(list((tmp_path / "full").iterdir())) == 1

    def test_what_a_dead_export_left_is_removed(self, workspace: Path, tmp_path: Path) -> None:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        left = tmp_path / f".out.partial-{dead.pid}"
        left.mkdir()
        (left / "clips.csv").write_text("half")
        other = tmp_path / f".out.partial-{os.getppid()}"
        other.mkdir()
        _export(workspace, tmp_path / "out")
        assert not left.exists()
        assert other.exists()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''+x", "\t=1", "'plain", "plain", ""]


class TestCells:
    @pytest.mark.parametrize("text", FORMULAS)
    def test_no_cell_is_a_formula(self, text: str) -> None:
        cell = neutral_cell(text)
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert plain_cell(cell) == text

    @given(st.text(alphabet="'=+-@\tab"))
    def test_neutral_cells_are_undone(self, text: str) -> None:
        assert plain_cell(neutral_cell(text)) == text

    def test_class_names_that_are_formulas(self, tmp_path: Path) -> None:
        name = "=cmd|' /C calc'!A0"
        with open_workspace(tmp_path / "ws") as opened:
            release(opened.db, "m@1.0.0", [clip(label=name)], [ReleasedClass(name)])
        out = _export(tmp_path / "ws", tmp_path / "out")
        for file in ("clips.csv", "classes.csv"):
            with (out / file).open(newline="") as stream:
                cells = [cell for row in csv.reader(stream) for cell in row]
            assert not any(cell.startswith(("=", "+", "@")) for cell in cells)
        assert load_release(out).clips[0].label == name
        assert check_bundle(out).clips == 1


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def _no_mlcroissant(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where mlcroissant is not installed: loading takes a process of seconds."""
    monkeypatch.setattr(release_croissant_check, "find_spec", lambda name: None)


@pytest.mark.usefixtures("_no_mlcroissant")
class TestChanged:
    def test_every_change_is_found_at_once(self, bundle: Path) -> None:
        _replace(bundle / "clips.csv", "archery", "drinking")
        _replace(bundle / "subsets" / "mime_artist.txt", "vid-", "vid_")
        (bundle / "CITATION.cff").unlink()
        (bundle / "extra.txt").write_text("x")
        found = _problems(bundle)
        assert any("'CITATION.cff' is missing" in text for text in found)
        assert any("'clips.csv' was changed" in text for text in found)
        assert any("extra.txt: is not in SHA256SUMS" in text for text in found)
        assert any("the row was changed: its hash is" in text for text in found)
        assert not any("the digest is" in text or "counts:" in text for text in found)
        assert any(text.startswith("croissant.json: clips.csv: the SHA-256") for text in found)

    @pytest.mark.parametrize(
        ("file", "old", "new", "message"),
        [
            ("clips.jsonl", '"archery"', '"bowling"', "clips.jsonl: line 3: says something else"),
            ("splits/test.txt", "vid-", "v-", "splits/test.txt: line 3: says something else"),
            ("classes.csv", "archery,large,yes,1", "archery,large,yes,2", "clips is '2', and 1"),
            ("release.json", '"videos": 3', '"videos": 4', "counts: videos is 4, and 3 found"),
            ("release.json", '"format_version": 1', '"format_version": 2', "a later mimecurate"),
            ("release.json", '"card": {}', '"card": {"x": 1}', "card: 'x' is no field of a card"),
            ("release.json", '"name": "m"', '"name": "../m"', "name '../m' must be"),
            ("release.json", '"digest":', '"digest": "", "digest":', "key 'digest' is there twice"),
            ("release.json", '"origin": "test"', '"origin": "\\ud800"', "half of a surrogate pair"),
            ("release.json", '"origin": "test"', '"origin": "\\n# x"', "must be at most 200 print"),
            ("release.json", '"parent": null', '"parent": "../x@1.0.0"', "name '../x' must be"),
            ("release.json", '"created": "2026', '"created": "x', "must be a time such as"),
            ("release.json", '"findings": {}', '"findings": {"x": -1}', "whole numbers; 'x' does"),
            ("croissant.json", '"name": "m"', '"nome": "m"', "croissant.json: has no name"),
            ("croissant.json", '"clips.csv",', '"https://x.test/a",', "contentUrl"),
            (
                "croissant.json",
                '"cr": "http',
                '"@import": "http',
                "@context must be an object of terms",
            ),
            (
                "croissant.json",
                '"key": {\n',
                '"key": {"@context": "http://x.test",\n',
                "at the top",
            ),
        ],
    )
    def test_what_another_file_says_is_compared(
        self, bundle: Path, file: str, old: str, new: str, message: str
    ) -> None:
        _replace(bundle / file, old, new)
        found = _problems(bundle)
        assert any(f"'{file}' was changed" in text for text in found)
        assert any(message in text for text in found), found

    def test_parquet_of_another_release(
        self, workspace: Path, bundle: Path, tmp_path: Path
    ) -> None:
        with open_workspace(tmp_path / "ws") as opened:
            release(opened.db, "m@1.0.0", [replace(CLIPS[0], mime_artist=None), *CLIPS[1:]])
        other = _export(tmp_path / "ws", tmp_path / "other")
        parquet = bundle / "data" / "test.parquet"
        parquet.write_bytes((other / "data" / "test.parquet").read_bytes())
        assert any("row 3 says something else than clips.csv" in text for text in _problems(bundle))
        parquet.write_bytes(b"PAR1 not parquet")
        assert any("data/test.parquet: not parquet" in text for text in _problems(bundle))

    def test_a_digest_that_was_forged_with_the_rest(self, workspace: Path, tmp_path: Path) -> None:
        """Whoever rewrites everything gets another digest: that is what a paper cites."""
        with open_workspace(tmp_path / "ws") as opened:
            release(opened.db, "m@1.0.0", CLIPS[1:])
        forged = _export(tmp_path / "ws", tmp_path / "forged")
        check_bundle(forged)
        real = load_release("m@1.0.0", workspace).digest
        assert load_release(forged).digest != real
        _replace(forged / "release.json", load_release(forged).digest, real)
        with pytest.raises(InvalidInputError, match=f"release.json says {real}"):
            load_release(forged)

    def test_a_changed_bundle_is_not_imported(self, bundle: Path, tmp_path: Path) -> None:
        _replace(bundle / "clips.csv", "-id-0000002,0,1", "-id-0000002,0,2")
        with open_workspace(tmp_path / "ws") as opened:
            with pytest.raises(InvalidInputError, match="nothing was imported"):
                import_release(opened, bundle, format="bundle")
            assert opened.db.execute("SELECT count(*) FROM releases").fetchone() == (0,)
            assert opened.db.execute("SELECT count(*) FROM clips").fetchone() == (0,)


HOSTILE_ROWS = {
    "path-in-id": (
        '"a","../../x",0,1,test,../../x_000000_000001,,,,,00',
        "video id '../../x' must",
    ),
    "wrong-id": ("a,v,0,1,test,w,,,,,00", "clip_id 'w' must be 'v_000000_000001'"),
    "backwards": ("a,v,2,1,test,w,,,,,00", "time_end 1 is not after time_start 2"),
    "no-time": ("a,v,soon,1,test,w,,,,,00", "time 'soon' must be seconds"),
    "no-hash": ("a,v,0,1,test,v_000000_000001,,,,,xyz", "must be 64 hexadecimal digits"),
    "flag": ("a,v,0,1,test,v_000000_000001,,maybe,,,00", "mime_artist 'maybe' must be one of"),
    "split": ("a,v,0,1,a/b,v_000000_000001,,,,,00", "split 'a/b' must be"),
    "control": ("a\x1b[31m,v,0,1,test,v_000000_000001,,,,,00", "printable characters"),
    "file-url": ("a,v,0,1,test,v_000000_000001,file:///x,,,,00", "must be an http(s) link"),
    "cells": ("a,v,0,1", "has 4 cells, and the header 11"),
    "break": ('"a\nb",v,0,1,test,v_000000_000001,,,,,00', "a quoted cell holds a line break"),
    "quote": ('"a,v,0,1', "not CSV"),
    "nul": ("a\0,v,0,1", "NUL byte"),
}


def test_croissant_is_loaded(bundle: Path) -> None:
    _replace(bundle / "croissant.json", '"column": "url"', '"column": "uri"')
    found = _problems(bundle)
    assert any("mlcroissant can't load it" in text for text in found), found


@pytest.mark.usefixtures("_no_mlcroissant")
def test_what_was_not_checked_is_said(bundle: Path) -> None:
    assert check_bundle(bundle).not_checked == (
        "croissant.json was not loaded: pip install mlcroissant",
    )


@pytest.mark.usefixtures("_no_mlcroissant")
class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE_ROWS)
    def test_rows(self, bundle: Path, name: str) -> None:
        row, message = HOSTILE_ROWS[name]
        with (bundle / "clips.csv").open("a", newline="") as stream:
            stream.write(row + "\n")
        assert any(message in text for text in _problems(bundle))
        with pytest.raises(InvalidInputError, match=r"clips\.csv: line [67]"):
            load_release(bundle)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            pytest.param("label\n".encode("utf-16"), "UTF-16, not UTF-8", id="utf-16"),
            pytest.param(b"label,caf\xe9\n", "byte 0xE9 is not UTF-8", id="latin-1"),
            pytest.param(b"", "is empty", id="empty"),
            pytest.param(b"label\nx\n", "has no column youtube_id, time_start", id="columns"),
            pytest.param(b"PK\x03\x04", "zip archive or a spreadsheet", id="xlsx"),
        ],
    )
    def test_encodings(self, bundle: Path, data: bytes, message: str) -> None:
        (bundle / "clips.csv").write_bytes(data)
        assert any(message in text for text in _problems(bundle))

    @pytest.mark.parametrize("gibibytes", [1, pytest.param(5, marks=pytest.mark.slow)])
    def test_an_endless_line_is_not_held_in_memory(self, bundle: Path, gibibytes: int) -> None:
        """A line of many GiB (in a sparse file) is read in pieces, within 300 MiB."""
        path = bundle / "clips.csv"
        header = path.read_text().splitlines()[0]
        with path.open("wb") as stream:
            stream.write(header.encode() + b"\n")
            stream.truncate(gibibytes << 30)
        code = (
            "import resource, sys\n"
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
            "from mimecurate.curation.release_problems import Problems\n"
            "from mimecurate.curation.release_bundle_files import open_bundle\n"
            "from mimecurate.curation.release_bundle_read import read_clips\n"
            "from pathlib import Path\n"
            "problems = Problems()\n"
            "with open_bundle(Path(sys.argv[1])) as bundle:\n"
            "    assert not list(read_clips(bundle, problems))\n"
            "status = Path('/proc/self/status').read_text('ascii')\n"
            "print(problems.kept[0], status.partition('VmHWM:')[2].split()[0])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, bundle], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said, _, peak_kib = done.stdout.strip().rpartition(" ")
        assert said == "clips.csv: line 2: line is over 64 KiB; a clip needs far less"
        assert int(peak_kib) < 300 * 1024

    def test_links_are_not_followed(self, bundle: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("x")
        (bundle / "LICENSE").unlink()
        (bundle / "LICENSE").symlink_to(secret)
        os.mkfifo(bundle / "pipe")
        found = _problems(bundle)
        assert sorted(found) == [
            "LICENSE: is no ordinary file; links are not followed",
            "pipe: is no ordinary file; links are not followed",
        ]

    @pytest.mark.parametrize(
        "name",
        ["../evil.txt", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil", "a\x01b"],
    )
    def test_names_outside_are_refused(self, bundle: Path, tmp_path: Path, name: str) -> None:
        path = self._zip(bundle, tmp_path, lambda archive: archive.writestr(name, "x"))
        assert any("is outside the bundle" in text for text in _problems(path))
        with pytest.raises(InvalidInputError, match="is outside the bundle"):
            load_release(path)
        assert not list(tmp_path.parent.glob("evil*"))

    def test_names_outside_in_the_checksums(self, bundle: Path) -> None:
        with (bundle / "SHA256SUMS").open("a") as stream:
            stream.write(f"{'0' * 64}  ../../etc/passwd\nnonsense\n")
        found = _problems(bundle)
        assert any("'../../etc/passwd' is outside the bundle" in text for text in found)
        assert any("must be a SHA-256, two blanks and a file" in text for text in found)

    def test_a_link_in_a_zip(self, bundle: Path, tmp_path: Path) -> None:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        path = self._zip(bundle, tmp_path, lambda archive: archive.writestr(info, "/etc/passwd"))
        assert any("'link': is a link" in text for text in _problems(path))

    def test_two_files_of_one_name(self, bundle: Path, tmp_path: Path) -> None:
        def add(archive: zipfile.ZipFile) -> None:
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("m/clips.csv", "x")

        path = self._zip(bundle, tmp_path, add)
        assert "holds two files of one name" in _problems(path)

    def test_an_encrypted_member(self, bundle: Path, tmp_path: Path) -> None:
        path = self._zip(bundle, tmp_path, lambda archive: archive.writestr("m/secret", "x"))
        data = bytearray(path.read_bytes())
        at = data.rindex(b"PK\x01\x02")
        data[at + 8] |= 1
        path.write_bytes(data)
        assert any("is encrypted" in text for text in _problems(path))

    def test_a_zip_bomb_is_not_unpacked(self, bundle: Path, tmp_path: Path) -> None:
        def add(archive: zipfile.ZipFile) -> None:
            with archive.open("m/bomb", "w", force_zip64=True) as member:
                for _ in range(100):
                    member.write(bytes(1 << 20))

        path = self._zip(bundle, tmp_path, add)
        assert any(text.startswith("unpacks from") for text in _problems(path))

    def test_a_member_that_lies_about_its_size(self, bundle: Path, tmp_path: Path) -> None:
        """More bytes than the directory says are not read: the member is damaged."""
        path = self._zip(bundle, tmp_path, lambda archive: None, big_license=True)
        data = bytearray(path.read_bytes())
        at = data.rindex(
            b"PK\x01\x02", 0, data.index(b"m/LICENSE", data.rindex(b"PK\x05\x06") // 2)
        )
        struct.pack_into("<I", data, at + 24, 10)
        path.write_bytes(data)
        with pytest.raises(InvalidInputError):
            check_bundle(path)

    @pytest.mark.parametrize("cut", [100, 5_000, -30])
    def test_a_zip_that_was_cut_off(self, bundle: Path, tmp_path: Path, cut: int) -> None:
        path = self._zip(bundle, tmp_path, lambda archive: None)
        path.write_bytes(path.read_bytes()[:cut])
        for read in (check_bundle, load_release):
            with pytest.raises(InvalidInputError, match="can't be read"):
                read(path)

    def test_what_is_no_bundle(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(InvalidInputError, match="give the folder or the"):
            load_release(tmp_path / "a.txt")
        (tmp_path / "folder").mkdir()
        with pytest.raises(InvalidInputError, match="this is no exported release"):
            load_release(tmp_path / "folder")
        with pytest.raises(NoSuchReleaseError, match="give NAME@VERSION, or the folder"):
            load_release(tmp_path / "nothing")

    @pytest.mark.parametrize(
        "text", ["[]", "{", '{"format": "x"}', "[" * 100_000, "{}", "1" * 5000, "\xff"]
    )
    def test_manifests(self, bundle: Path, text: str) -> None:
        (bundle / "release.json").write_text(text, "latin-1")
        assert any(found.startswith("release.json: ") for found in _problems(bundle))

    def _zip(
        self,
        bundle: Path,
        tmp_path: Path,
        add: Callable[[zipfile.ZipFile], object],
        *,
        big_license: bool = False,
    ) -> Path:
        if big_license:
            (bundle / "LICENSE").write_text("x" * 1000)
        path = tmp_path / "hostile.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(bundle.rglob("*")):
                if file.is_file():
                    archive.write(file, f"m/{file.relative_to(bundle).as_posix()}")
            add(archive)
        return path


def test_no_sensible_row_comes_near_the_limit_of_a_line(bundle: Path) -> None:
    longest = max(map(len, (bundle / "clips.jsonl").read_bytes().splitlines()))
    assert longest * 50 < MAX_LINE_BYTES


_LABELS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(" '=+-@,\""),
    min_size=1,
    max_size=20,
).filter(lambda text: text.isprintable())


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.integers(0, 20_000),
        st.tuples(
            st.integers(1, 20_000),
            _LABELS,
            st.tuples(*[st.sampled_from([None, *Flag])] * 3),
            st.none() | st.just("https://example.org/=1"),
        ),
        max_size=8,
    )
)
def test_any_clips_are_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: dict[int, tuple[int, str, tuple[Flag | None, Flag | None, Flag | None], str | None]],
) -> None:
    clips = [
        replace(clip("v", start / 1000, (start + length) / 1000, label, flags=flags), url=url)
        for start, (length, label, flags, url) in drawn.items()
    ]
    folder = tmp_path_factory.mktemp("any")
    write_clips_csv(folder / "clips.csv", clips)
    problems = Problems()
    with open_bundle(folder) as files:
        read = [one for _, one in read_clips(files, problems)]
    assert problems.kept == []
    assert read == clips


@pytest.mark.usefixtures("_no_mlcroissant")
@pytest.mark.parametrize("zipped", [False, True])
def test_damage_anywhere_is_told_and_never_a_traceback(
    workspace: Path, tmp_path: Path, zipped: bool
) -> None:
    """Bytes are changed, lost or repeated at random places of every file."""
    out = _export(workspace, tmp_path / ("m.zip" if zipped else "m"))
    random = Random(7)
    files = [out] if zipped else sorted(path for path in out.rglob("*") if path.is_file())
    for path in files:
        whole = path.read_bytes()
        for _ in range(60 if zipped else 6):
            path.write_bytes(_damaged(whole, random))
            for read in (check_bundle, load_release):
                with contextlib.suppress(InvalidInputError):
                    read(out)
        path.write_bytes(whole)
    assert check_bundle(out).clips == 4


def _damaged(data: bytes, random: Random) -> bytes:
    at, length = random.randrange(len(data)), random.choice([1, 1, 4, 40])
    middle = random.choice([b"", random.randbytes(length), data[at : at + length] * 3])
    return data[:at] + middle + data[at + length :]


DOCUMENTATION = REPOSITORY / "docs" / "reference" / "bundle.md"


def test_the_documented_digest_is_right() -> None:
    failed, tried = doctest.testfile(str(DOCUMENTATION), module_relative=False)
    assert (failed, tried) == (0, 6)


def test_the_documented_card_is_one(tmp_path: Path) -> None:
    text = DOCUMENTATION.read_text("utf-8").partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "card.toml").write_text(text, "utf-8")
    card = read_card(tmp_path / "card.toml")
    assert set(card) >= set(FIELDS) - {"license_text"}
