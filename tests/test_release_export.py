"""Exports, each read back by its reader; fiftyone's and mmaction2's by their documentation."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from release_lists import CLASSES, CLIPS, NO, YES, annotate, clip, decide, know, release

from mimecurate.curation.release_cards import MIMETICS_CARD, read_card
from mimecurate.curation.release_edition import Edition, load_edition
from mimecurate.curation.release_export import EXPORTERS, export_release
from mimecurate.curation.release_texts import markdown
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import InvalidInputError, MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

RELEASED = (
    *CLIPS,
    clip("vid-0000004", 1, 3, "drinking", split="train", flags=(None, None, None)),
)
PRESENT = {c.clip_id for c in (CLIPS[0], CLIPS[3], RELEASED[4])}
DATASETS = """
import json, sys
from datasets import Video, config, load_dataset
config.TORCHCODEC_AVAILABLE = False  # nothing is decoded, and torchcodec wants torch
bundle, folder, cache = sys.argv[1:]
read = load_dataset(bundle, cache_dir=cache)
videos = load_dataset("videofolder", data_dir=folder, cache_dir=cache)
videos = {s: part.cast_column("video", Video(decode=False)) for s, part in videos.items()}
print(json.dumps({
    "bundle": {split: part.to_list() for split, part in read.items()},
    "videos": {split: [{**row, "video": row["video"]["path"]} for row in part.to_list()]
               for split, part in videos.items()},
}))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, sample: SampleMaker) -> Path:
    root = tmp_path_factory.mktemp("ws")
    media = sample(VideoSpec(seconds=0.4, fps=10, width=32, height=32)).path.read_bytes()
    with open_workspace(root) as opened:
        release(opened.db, "m@1.0.0", RELEASED)
        for one in RELEASED:
            if one.clip_id in PRESENT:
                know(opened.db, one)
                path = root / "clips" / one.clip_id[:2] / f"{one.clip_id}.mp4"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(media)
    return root


@pytest.fixture(scope="module")
def edition(workspace: Path) -> Edition:
    return load_edition("m@1.0.0", workspace)


def test_pandas_reads_parquet(edition: Edition, tmp_path: Path) -> None:
    export_release(edition, "parquet", tmp_path / "out")
    clips = pd.read_parquet(tmp_path / "out" / "clips.parquet")
    assert clips["clip_id"].tolist() == [c.clip_id for c in edition.release.clips]
    assert clips["start_ms"].tolist() == [c.start_ms for c in edition.release.clips]
    assert clips.loc[clips.split == "train", "mime_artist"].isna().all()
    classes = pd.read_parquet(tmp_path / "out" / "classes.parquet")
    assert classes["name"].tolist() == [c.name for c in CLASSES]
    assert classes["scene"].tolist() == [c.scene for c in CLASSES]
    about = pq.read_schema(tmp_path / "out" / "clips.parquet").metadata
    assert about[b"digest"].decode() == edition.release.digest


class TestKinetics:
    def test_pandas_reads_it_as_crawlers_do(self, edition: Edition, tmp_path: Path) -> None:
        done = export_release(edition, "kinetics", tmp_path / "out")
        assert sorted(p.name for p in done.path.iterdir()) == ["test.csv", "train.csv"]
        test = pd.read_csv(done.path / "test.csv")
        columns = ["label", "youtube_id", "time_start", "time_end", "split"]
        assert test.columns.tolist() == columns
        assert test["time_start"].dtype == test["time_end"].dtype == "int64"
        assert len(test) == 4
        widened = test[test.youtube_id == CLIPS[3].video_id].iloc[0]
        assert (widened.time_start, widened.time_end) == (2, 13)
        assert done.notices == ["1 intervals were widened to whole seconds"]

    def test_clips_that_would_become_one_are_named(self, workspace: Path, tmp_path: Path) -> None:
        with open_workspace(tmp_path / "ws") as opened:
            clips = [clip(start_s=1.2, end_s=4), clip(start_s=1.6, end_s=3.5), clip(start_s=2)]
            release(opened.db, "m@1.0.0", clips)
        with pytest.raises(InvalidInputError) as caught:
            export_release(load_edition("m@1.0.0", tmp_path / "ws"), "kinetics", tmp_path / "out")
        assert [str(p) for p in caught.value.problems] == [
            "vid-0000001_000001.200_000004.000 and vid-0000001_000001.600_000003.500 would all be "
            "vid-0000001 1-4 s"
        ]
        assert not (tmp_path / "out").exists()
        assert not list(tmp_path.glob(".out*"))


def _load_with_datasets(bundle: Path, folder: Path, cache: Path) -> dict[str, Any]:
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", DATASETS, bundle, folder, cache],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **offline},
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def test_datasets_reads_the_bundle_and_the_video_folder(edition: Edition, tmp_path: Path) -> None:
    export_release(edition, "bundle", tmp_path / "bundle")
    done = export_release(edition, "huggingface", tmp_path / "folder")
    loaded = _load_with_datasets(tmp_path / "bundle", tmp_path / "folder", tmp_path / "cache")
    rows = loaded["bundle"]["test"] + loaded["bundle"]["train"]
    assert sorted(r["clip_id"] for r in rows) == [c.clip_id for c in edition.release.clips]
    assert {split: len(part) for split, part in loaded["bundle"].items()} == {"test": 4, "train": 1}
    assert done.notices == ["3 of 5 clips written: the media of the others are not here"]
    videos = loaded["videos"]
    assert {split: len(part) for split, part in videos.items()} == {"test": 2, "train": 1}
    for row in [*videos["test"], *videos["train"]]:
        assert row["video"].endswith(f"{row['clip_id']}.mp4")
        assert row["label"] in {c.name for c in CLASSES}
    assert {row["clip_id"] for row in videos["test"]} | {videos["train"][0]["clip_id"]} == PRESENT


def test_mlcroissant_reads_every_record_set(edition: Edition, tmp_path: Path) -> None:
    cited = replace(edition, card={**MIMETICS_CARD, "biases": "known ones", "keywords": ["mime"]})
    out = export_release(cited, "croissant", tmp_path / "out").path
    code = (
        "import json, mlcroissant, sys\n"
        "dataset = mlcroissant.Dataset(jsonld=sys.argv[1])\n"
        "about = dataset.metadata.to_json()\n"
        "rows = {r.id: list(dataset.records(r.id)) for r in dataset.metadata.record_sets}\n"
        "issues = dataset.metadata.ctx.issues\n"
        "print(json.dumps([about, rows, issues.report()], default=str))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, out / "croissant.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    about, rows, issues = json.loads(done.stdout)
    assert issues == ""
    assert about["name"] == "m"
    assert about["rai:dataBiases"] == "known ones"
    assert "Weinzaepfel" in about["citeAs"]
    assert {name: len(found) for name, found in rows.items()} == {"clips": 5, "classes": 3}
    last = rows["clips"][-1]
    assert last["clips/time_start"] == 1.0
    assert last["clips/label"] == "b'drinking'"


def test_fiftyone_gets_temporal_detections(edition: Edition, tmp_path: Path) -> None:
    """As `FiftyOneTemporalDetectionDataset` documents it: classes, and labels by file stem."""
    out = export_release(edition, "fiftyone", tmp_path / "out").path
    document = json.loads((out / "labels.json").read_text())
    assert set(document) == {"classes", "labels"}
    assert {p.stem for p in (out / "data").iterdir()} == set(document["labels"]) == PRESENT
    for clip_id, detections in document["labels"].items():
        [detection] = detections
        original = next(c for c in RELEASED if c.clip_id == clip_id)
        assert document["classes"][detection["label"]] == original.label
        first, last = detection["support"]
        assert 1 == first < last
        start, stop = detection["timestamps"]
        assert (start, stop) == (0.0, (original.end_ms - original.start_ms) / 1000)
    assert document["labels"][CLIPS[0].clip_id][0]["attributes"]["mime_artist"] == YES


def test_mmaction2_gets_lists(edition: Edition, tmp_path: Path) -> None:
    """As `VideoDataset` documents them: a path and a number, parted by one blank."""
    out = export_release(edition, "mmaction2", tmp_path / "out").path
    names = (out / "label_map.txt").read_text().splitlines()
    assert names == [c.name for c in CLASSES]
    seen = {}
    for split in ("test", "train"):
        for line in (out / f"{split}.txt").read_text().splitlines():
            path, number = line.strip().split(" ")
            assert (out / path).is_file()
            seen[(out / path).stem] = names[int(number)]
    assert seen == {c.clip_id: c.label for c in RELEASED if c.clip_id in PRESENT}
    assert seen[CLIPS[3].clip_id] == "punching person (boxing)"


def test_media_are_linked_and_not_copied(workspace: Path, edition: Edition, tmp_path: Path) -> None:
    out = export_release(edition, "fiftyone", tmp_path / "out").path
    clip_id = CLIPS[0].clip_id
    copy, original = out / "data" / f"{clip_id}.mp4", edition.media[clip_id].path
    assert copy.samefile(original)


@pytest.mark.parametrize("format", ["huggingface", "fiftyone", "mmaction2"])
def test_without_media_it_says_what_to_do(tmp_path: Path, format: str) -> None:
    with open_workspace(tmp_path / "ws") as opened:
        release(opened.db, "m@1.0.0")
    edition = load_edition("m@1.0.0", tmp_path / "ws")
    with pytest.raises(MimecurateError, match="mimecurate release rehydrate m@1"):
        export_release(edition, format, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_a_bundle_can_be_a_zip(edition: Edition, tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match=r"only a bundle can be a \.zip"):
        export_release(edition, "parquet", tmp_path / "a.zip")


def test_what_the_system_refuses_is_one_line(
    edition: Edition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> list[str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(EXPORTERS, "parquet", full)
    with pytest.raises(MimecurateError, match=r"out: can't be written: No space left on device$"):
        export_release(edition, "parquet", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class TestTexts:
    @pytest.fixture
    def hostile(self, edition: Edition) -> Edition:
        card = {
            "title": "<script>alert(1)</script> *x* [y](javascript:z)",
            "description": "one\n\n# two | three",
            "citation": "@x{\n```\n}",
            "license": "CC-BY-4.0",
            "authors": [{"name": 'Zoë "Z": x', "affiliation": "#1", "orcid": "0000-0001"}],
            "homepage": "https://example.org/",
            "limitations": "few clips",
        }
        return replace(edition, card=card)

    def test_free_text_is_escaped(self, hostile: Edition, tmp_path: Path) -> None:
        out = export_release(hostile, "bundle", tmp_path / "out").path
        for name in ("README.md", "DATASHEET.md", "CHANGELOG.md"):
            text = (out / name).read_text().rpartition("---\n")[2]
            assert "<script>" not in text
            assert "\n# two" not in text
        assert "few clips" in (out / "DATASHEET.md").read_text()
        assert "\n````bibtex\n" in (out / "README.md").read_text()

    def test_the_readme_has_a_heading_that_yaml_reads(
        self, hostile: Edition, tmp_path: Path
    ) -> None:
        out = export_release(hostile, "bundle", tmp_path / "out").path
        _, heading, _ = (out / "README.md").read_text().split("---\n", 2)
        read = yaml.safe_load(heading)
        assert read["license"] == "cc-by-4.0"
        assert read["pretty_name"].startswith("<script>")
        [config] = read["configs"]
        assert config["data_files"] == [
            {"split": "test", "path": "data/test.parquet"},
            {"split": "train", "path": "data/train.parquet"},
        ]

    def test_the_citation_is_yaml(self, hostile: Edition, tmp_path: Path) -> None:
        out = export_release(hostile, "bundle", tmp_path / "out").path
        cited = yaml.safe_load((out / "CITATION.cff").read_text())
        assert cited["cff-version"] == "1.2.0"
        assert cited["authors"] == [{"name": 'Zoë "Z": x', "orcid": "0000-0001"}]
        assert cited["version"] == "1.0.0"
        assert cited["identifiers"][0]["value"] == f"sha256:{hostile.release.digest}"

    @pytest.mark.parametrize(
        ("card", "text"),
        [
            ({}, "No licence was stated"),
            ({"license": "CC0-1.0"}, "https://creativecommons.org/publicdomain/zero/1.0/legalcode"),
            ({"license": "X-1"}, "licensed under X-1"),
            ({"license_text": "Do as you like."}, "Do as you like."),
        ],
    )
    def test_the_licence_is_what_was_said(
        self, edition: Edition, tmp_path: Path, card: dict[str, str], text: str
    ) -> None:
        out = export_release(replace(edition, card=card), "bundle", tmp_path / "out").path
        licence = (out / "LICENSE").read_text()
        assert text in licence
        assert "The videos are not part of this release." in licence

    def test_the_datasheet_counts(self, tmp_path: Path) -> None:
        with open_workspace(tmp_path / "ws") as opened:
            for one in CLIPS:
                know(opened.db, one)
            for annotator in ("ann", "bob"):
                annotate(opened.db, CLIPS[0], annotator)
            decide(opened.db, CLIPS[1])
            trimmed = clip(CLIPS[3].video_id, 3, 12.5, CLIPS[3].label)
            decide(opened.db, CLIPS[3], start_ms=3000, end_ms=12500)
            release(opened.db, "m@1.0.0", [*CLIPS[:3], trimmed])
            annotate(opened.db, CLIPS[2], "eve", at="2026-02-01T00:00:00Z")
            decide(opened.db, CLIPS[2], decided_at="2026-02-01T00:00:00Z")
        edition = load_edition("m@1.0.0", tmp_path / "ws")
        text = export_release(edition, "bundle", tmp_path / "out").path / "DATASHEET.md"
        sheet = text.read_text()
        assert "4 clips of 3 videos in 3 classes" in sheet
        assert "Clips last 1 to 9.5 s, 4.6 s on average" in sheet
        assert "2 annotations of 1 clips by 2 annotators" in sheet
        assert "- 2 clips adjudicated" in sheet
        assert "could fetch 3 clips" in sheet
        assert "### Why was it made?\n\nNot stated." in sheet

    def test_the_changelog_lists_every_version(self, tmp_path: Path) -> None:
        with open_workspace(tmp_path / "ws") as opened:
            release(opened.db, "m@1.0.0")
            release(opened.db, "m@1.10.0", RELEASED)
            release(opened.db, "m@1.9.0", RELEASED[1:])
        out = export_release(
            load_edition("m@1.10.0", tmp_path / "ws"), "bundle", tmp_path / "out"
        ).path
        text = (out / "CHANGELOG.md").read_text()
        assert [line[3:9] for line in text.splitlines() if line.startswith("## ")] == [
            "1.10.0",
            "1.9.0,",
            "1.0.0,",
        ]

    def test_markdown(self) -> None:
        assert markdown("a\nb `c` <d> [e]") == r"a b \`c\` &lt;d&gt; \[e\]"


class TestCards:
    def test_a_card_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "card.toml"
        path.write_text(
            'title = "Mimes"\nlicense = "CC-BY-4.0"\nkeywords = ["mime"]\n'
            '[[authors]]\nname = "A"\norcid = "0"\n'
        )
        assert read_card(path)["authors"] == [{"name": "A", "orcid": "0"}]

    def test_all_that_is_wrong_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "card.toml"
        path.write_text(
            'titel = "x"\ntitle = 1\nkeywords = "a"\nhomepage = "ftp://x"\nbiases = "a\\u0007b"\n'
            '[[authors]]\naffiliation = "x"\n[[authors]]\nname = "x"\nage = 3\n'
        )
        with pytest.raises(InvalidInputError, match="a card may have: title, description") as found:
            read_card(path)
        assert [str(p).partition(":")[0] for p in found.value.problems] == [
            "'titel' is no field of a card",
            "title must be a text of at most 20,000 characters",
            "keywords must be a list of short texts",
            "biases must be a text of at most 20,000 characters",
            "author 1 needs a name, and short texts",
            "author 2 may have name, affiliation and orcid",
            "homepage 'ftp",
        ]

    @pytest.mark.parametrize("text", ["title = ", "\xff", 'title = "a"\ntitle = "b"'])
    def test_what_is_no_toml(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "card.toml"
        path.write_text(text, "latin-1")
        with pytest.raises(InvalidInputError, match="can't be read"):
            read_card(path)


def test_flags_are_enough_to_tell_subsets(edition: Edition, tmp_path: Path) -> None:
    """Whoever has only the CSV gets the published subsets."""
    out = export_release(edition, "bundle", tmp_path / "out").path
    clips = pd.read_csv(out / "clips.csv", keep_default_na=False)
    mimes = clips.loc[clips.mime_artist == YES, "clip_id"].tolist()
    assert mimes == (out / "subsets" / "mime_artist.txt").read_text().splitlines()
    neither = (clips.object_relevant == NO) & (clips.scene_relevant == NO)
    listed = out / "subsets" / "no_relevant_object_and_scene_not_relevant.txt"
    assert clips.loc[neither, "clip_id"].tolist() == listed.read_text().splitlines()
