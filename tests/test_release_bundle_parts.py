"""Parts of a bundle that are wrong one by one: manifest, classes, lists, tables."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from release_lists import CLIPS, clip, release

from mimecurate.curation import release_bundle_files, release_croissant_check
from mimecurate.curation.release_bundle_check import check_bundle
from mimecurate.curation.release_compare import compare_releases
from mimecurate.curation.release_edition import load_edition
from mimecurate.curation.release_export import export_release
from mimecurate.curation.release_export_media import place
from mimecurate.curation.release_export_tables import RECORD_FIELDS, write_clips_parquet
from mimecurate.curation.release_import import import_release
from mimecurate.curation.release_import_kinetics import kinetics_files
from mimecurate.curation.release_read import NoSuchReleaseError, load_release
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import InvalidInputError, WorkspaceError
from mimecurate.schemas.versions import Change, Version, check_name, parse_reference, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ws")
    with open_workspace(root) as opened:
        release(opened.db, "m@1.0.0")
        withdraw(opened, "m", "asked", clip_ids=[CLIPS[0].clip_id])
    return root


@pytest.fixture
def bundle(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with a withheld clip."""
    monkeypatch.setattr(release_croissant_check, "find_spec", lambda name: None)
    return export_release(load_edition("m@1.0.0", workspace), "bundle", tmp_path / "out").path


def _problems(path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_bundle(path)
    return "\n".join(map(str, caught.value.problems))


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 3, "name must be a string"),
        ("digest", None, "digest must be a string"),
        ("settings", [], "settings must be an object"),
        ("history", {}, "history must be a list"),
        ("history", ["x"], "history must be a list of objects"),
        ("history", [{}], "has no 'version'"),
        ("history", [{"version": "1.0.0", "created": "## now"}], "created '## now' must be a time"),
        ("facts", {"clips_fetched": "x"}, "facts must hold whole numbers"),
        ("facts", {"decisions": [1]}, "decisions must be an object"),
        ("facts", {"seconds": {"total": "1"}}, "seconds: total must be a number of seconds"),
        ("facts", [], "facts must be an object"),
        ("withdrawn_earlier", [{"clip_id": "../x"}], "clip_id '../x' must be VIDEO_START_END"),
        ("findings", {"a": "b"}, "findings must hold whole numbers"),
        ("version", "1.0", "version '1.0' must be three numbers"),
        ("card", {"authors": 1}, "card: authors must be a list of tables"),
        ("card", {"authors": [1]}, "card: author 1 may have name, affiliation and orcid"),
        ("format", "zip", "format 'zip' is not 'mimecurate release'"),
    ],
)
def test_manifests(bundle: Path, key: str, value: object, message: str) -> None:
    _edit(bundle / "release.json", lambda document: document.update({key: value}))
    assert f"release.json: {message}" in _problems(bundle)
    with pytest.raises(InvalidInputError, match=r"release\.json: "):
        load_release(bundle)


def test_a_manifest_lacks_a_key(bundle: Path) -> None:
    _edit(bundle / "release.json", lambda document: document.pop("facts"))
    assert "release.json: has no 'facts'" in _problems(bundle)


def test_a_huge_manifest_is_not_read(bundle: Path) -> None:
    os.truncate(bundle / "release.json", 17 << 20)
    assert "release.json: is over 16 MiB" in _problems(bundle)


@pytest.mark.parametrize("name", ["SHA256SUMS", "clips.csv", "classes.csv", "release.json"])
def test_what_has_to_be_there(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"{name}: is missing" in _problems(bundle)


def test_classes(bundle: Path) -> None:
    (bundle / "classes.csv").write_text(
        "name,object_size,scene,clips\narchery,big,yes,0\ndrinking,small,no,2\ndrinking,,,2\n"
    )
    found = _problems(bundle)
    assert "classes.csv: line 2: object_size 'big' must be one of none, small" in found
    assert "classes.csv: line 4: class 'drinking' is there twice" in found
    assert "clips.csv: class 'punching person (boxing)' is not in classes.csv" in found


def test_withdrawn_clips(bundle: Path) -> None:
    path = bundle / "withdrawn.csv"
    path.write_text(path.read_text() + "../x,test,00,now,why\nv,a/b,00,now,why\nv,test,0,now,why\n")
    found = _problems(bundle)
    for line in (3, 4, 5):
        assert f"withdrawn.csv: line {line}: " in found


def test_a_clip_that_is_withdrawn_and_listed(bundle: Path, tmp_path: Path) -> None:
    with open_workspace(tmp_path / "whole") as opened:
        release(opened.db, "m@1.0.0")
    whole = export_release(load_edition("m@1.0.0", tmp_path / "whole"), "bundle", tmp_path / "o")
    (bundle / "clips.csv").write_bytes((whole.path / "clips.csv").read_bytes())
    assert "listed twice: clip 'vid-0000001_000001_000004' is not after" in _problems(bundle)
    with pytest.raises(InvalidInputError, match="listed twice"):
        load_release(bundle)
    with (
        open_workspace(tmp_path / "other") as opened,
        pytest.raises(InvalidInputError, match=r"withdrawn\.csv: clip vid-.* is listed twice"),
    ):
        import_release(opened, bundle, format="bundle")


class TestTombstones:
    """`bundle` is of m@1.0.0, which lost a clip that m@2.0.0 no longer lists."""

    REASONS = {CLIPS[0].clip_id: "asked"}  # noqa: RUF012 (read alone)

    @pytest.fixture
    def later(self, workspace: Path, tmp_path: Path) -> Path:
        return export_release(load_edition("m@2.0.0", workspace), "bundle", tmp_path / "2").path

    def test_they_come_with_the_version_that_does_without(
        self, bundle: Path, later: Path, tmp_path: Path
    ) -> None:
        assert not (later / "withdrawn.csv").exists()
        with open_workspace(tmp_path / "other") as opened:
            assert import_release(opened, later, format="bundle").still_here == {}
            known = opened.db.execute("SELECT clip_id, reason FROM withdrawals").fetchall()
            assert dict(known) == self.REASONS
            release(opened.db, "x@1.0.0")
        assert load_release("x@1.0.0", tmp_path / "other").withheld == self.REASONS
        assert "that were withdrawn" in (later / "CHANGELOG.md").read_text()
        again = load_edition(str(later), tmp_path / "other")
        assert [clip.clip_id for clip in again.withdrawn_earlier] == [CLIPS[0].clip_id]

    @pytest.mark.parametrize("from_later", [False, True])
    def test_clips_that_are_here_are_told_and_stay(
        self, bundle: Path, later: Path, tmp_path: Path, from_later: bool
    ) -> None:
        with open_workspace(tmp_path / "other") as opened:
            release(opened.db, "m@1.0.0")
            done = import_release(opened, later if from_later else bundle, format="bundle")
            assert (done.was_there, done.still_here) == (not from_later, self.REASONS)
            assert opened.db.execute("SELECT count(*) FROM withdrawals").fetchone() == (0,)
        assert load_release("m@1.0.0", tmp_path / "other").status == "frozen"

    def test_they_are_taken_over_where_the_release_is_there_without_the_clip(
        self, bundle: Path, tmp_path: Path
    ) -> None:
        with open_workspace(tmp_path / "other") as opened:
            import_release(opened, bundle, format="bundle")
            done = import_release(opened, bundle, format="bundle")
            assert (done.was_there, done.still_here) == (True, {})
        check_bundle(
            export_release(
                load_edition("m@1.0.0", tmp_path / "other"), "bundle", tmp_path / "b"
            ).path
        )

    def test_a_clip_of_the_longest_video_id(self, tmp_path: Path) -> None:
        long = clip("v" * 80, 1.5, 3)
        with open_workspace(tmp_path / "ws") as opened:
            release(opened.db, "m@1.0.0", [*CLIPS, long])
            withdraw(opened, "m", "x" * 500, clip_ids=[long.clip_id])
        out = export_release(load_edition("m@1.0.0", tmp_path / "ws"), "bundle", tmp_path / "b")
        assert load_release(out.path).withheld == {long.clip_id: "x" * 500}


def test_a_file_that_no_release_has_is_named(bundle: Path) -> None:
    (bundle / "run.sh").write_text("x")
    with (bundle / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(b'x').hexdigest()}  run.sh\n")
    assert "'run.sh' is no file of a release" in check_bundle(bundle).not_checked


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("splits/test.txt", lambda text: text[: len(text) // 2], "says something else"),
        ("splits/test.txt", lambda text: "", "has 0 lines, and 3 are due"),
        ("splits/test.txt", lambda text: text + "more\n", "line 4: says something else"),
        ("clips.jsonl", lambda text: text + "{", "clips.jsonl: line 4: not JSON"),
        ("clips.jsonl", lambda text: '{"a\0' + text, "line holds a NUL byte"),
        ("clips.jsonl", lambda text: "[" * 60_000, "clips.jsonl: line 1: not JSON"),
    ],
)
def test_lists(bundle: Path, file: str, change: Callable[[str], str], message: str) -> None:
    (bundle / file).write_text(change((bundle / file).read_text()))
    assert message in _problems(bundle)


@pytest.mark.parametrize("name", ["splits/more.txt", "subsets/more.txt", "data/more.parquet"])
def test_lists_of_nothing(bundle: Path, name: str) -> None:
    (bundle / name).write_text("x\n")
    assert f"{name}: belongs to no split" in _problems(bundle)


def test_parquet(bundle: Path) -> None:
    path = bundle / "data" / "test.parquet"
    pq.write_table(pa.table({"clip_id": ["a", "b"]}), path)
    assert "data/test.parquet: has 2 rows, and 3 are due" in _problems(bundle)
    pq.write_table(pa.table({"clip_id": ["a", "b", "c"]}), path)
    assert "has no column end_ms, label" in _problems(bundle)
    long = pa.array(["x" * 1_000_000] * 3)
    pq.write_table(pa.table(dict.fromkeys(RECORD_FIELDS, long)), path, use_dictionary=False)
    assert "too much for 3 clips" in _problems(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(distribution=None), "distribution must be a list of cr:FileObject"),
        (lambda d: d.update(distribution=[1]), "distribution must be a list of cr:FileObject"),
        (lambda d: d.update(recordSet=[]), "has no record set 'classes'"),
        (lambda d: d.update(recordSet=[1]), "has no record set 'clips'"),
        (lambda d: d.update({"@context": "http://x.test"}), "@context must be an object of terms"),
        (lambda d: d["@context"].update(x={"@id": "y", "@context": "z"}), "@context must be"),
        (lambda d: d.clear(), "has no name"),
    ],
)
def test_croissant(bundle: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    _edit(bundle / "croissant.json", change)
    assert f"croissant.json: {message}" in _problems(bundle)
    (bundle / "croissant.json").write_text("[]")
    assert "croissant.json: must be a JSON object" in _problems(bundle)


def test_croissant_need_not_be_there(bundle: Path) -> None:
    (bundle / "croissant.json").unlink()
    sums = bundle / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines() if "croissant" not in line]
    sums.write_text("\n".join(kept) + "\n")
    assert check_bundle(bundle).not_checked == ()


def test_croissant_takes_too_long(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_croissant_check, "find_spec", lambda name: True)
    monkeypatch.setattr(release_croissant_check, "_TIMEOUT_S", 0.01)
    assert "croissant.json: mlcroissant could not load it within 0.01 s" in _problems(bundle)
    monkeypatch.setattr(release_croissant_check, "MAX_ROWS", 5)
    assert check_bundle(bundle).not_checked == ("croissant.json was not loaded: over 5 rows",)


def test_too_many_files(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(release_bundle_files, "MAX_FILES", 5)
    assert "has over 5 files; is this a release?" in _problems(bundle)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(6):
            archive.writestr(str(number), "x")
    assert "has 6 files, over 5; is this a release?" in _problems(tmp_path / "a.zip")


def test_a_bundle_that_is_not_there(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(NoSuchReleaseError, match=r"gone\.zip: give NAME@VERSION"):
        compare_releases(str(bundle), str(tmp_path / "gone.zip"), tmp_path)
    (bundle / "release.json").unlink()
    with open_workspace(tmp_path / "ws") as opened, pytest.raises(InvalidInputError):
        import_release(opened, bundle, format="bundle")


def test_a_list_needs_a_name(tmp_path: Path) -> None:
    with (
        open_workspace(tmp_path / "ws") as opened,
        pytest.raises(ValueError, match="a name and a version are needed to import kinetics"),
    ):
        import_release(opened, tmp_path, format="kinetics")
    with pytest.raises(InvalidInputError, match=r"holds no \.csv and no \.json"):
        kinetics_files(tmp_path)


def test_a_row_that_is_lost_is_no_withdrawal(tmp_path: Path) -> None:
    """Somebody with the triggers dropped can do what they like, but not unnoticed."""
    with open_workspace(tmp_path) as opened:
        release(opened.db, "m@1.0.0")
        opened.db.execute("DROP TRIGGER release_rows_no_delete")
        opened.db.execute("DELETE FROM release_rows WHERE clip_id = ?", [CLIPS[0].clip_id])
    with pytest.raises(WorkspaceError, match="its row is missing, but it was not withdrawn"):
        load_release("m@1.0.0", tmp_path)


def test_media_are_copied_where_links_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError("another device")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("x")
    place(tmp_path / "a", tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").read_text() == "x"
    assert not (tmp_path / "b" / "c").samefile(tmp_path / "a")


def test_many_clips_are_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.curation.release_export_tables._BATCH", 3)
    clips = [clip(start_s=n, end_s=n + 1) for n in range(7)]
    write_clips_parquet(tmp_path / "a.parquet", clips, {"name": "m"})
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (7, 3)


class TestVersions:
    def test_they_sort_as_numbers(self) -> None:
        texts = ["1.10.0", "1.9.0", "10.0.0", "2.0.0"]
        assert [str(v) for v in sorted(map(parse_version, texts))] == [
            "1.9.0",
            "1.10.0",
            "2.0.0",
            "10.0.0",
        ]

    @pytest.mark.parametrize(
        "text", ["", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-rc1", "1.0.٣", "-1.0.0"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match="must be three numbers"):
            parse_version(text)

    def test_the_next(self) -> None:
        version = Version(1, 2, 3)
        assert [str(version.after(change)) for change in Change] == ["1.2.4", "1.3.0", "2.0.0"]

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "-a", ".a", "a" * 65, "a b", "ä"])
    def test_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="must be 1 to 64 letters"):
            check_name(name)

    def test_references(self) -> None:
        assert parse_reference("k-400@4.0.10") == ("k-400", Version(4, 0, 10))
        with pytest.raises(ValueError, match="must be NAME@VERSION"):
            parse_reference("mimetics")
