"""Comparing releases, and the version that a change asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_lists import CLASSES, CLIPS, NO, YES, clip, release

from mimecurate.curation.release_compare import compare_releases
from mimecurate.curation.release_diff import ReleaseDiff, diff_releases
from mimecurate.curation.release_read import NoSuchReleaseError, find_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.database import open_database
from mimecurate.schemas.release import ReleasedClass, ReleasedClip
from mimecurate.schemas.versions import Change

if TYPE_CHECKING:
    from pathlib import Path


def _compare(
    tmp_path: Path,
    after: list[ReleasedClip],
    before: list[ReleasedClip] | None = None,
    classes: tuple[ReleasedClass, ...] = CLASSES,
) -> ReleaseDiff:
    with open_workspace(tmp_path / "ws") as opened:
        release(opened.db, "m@1.0.0", CLIPS if before is None else before)
        release(opened.db, "m@9.0.0", after, classes)
        return compare_releases("m@1.0.0", "m@9.0.0", opened.root)


def test_nothing_differs(tmp_path: Path) -> None:
    diff = _compare(tmp_path, list(CLIPS))
    assert (diff.same, diff.change, diff.proposed) == (4, Change.PATCH, "1.0.1")


def test_each_kind_of_change(tmp_path: Path) -> None:
    before = [*CLIPS, clip("vid-0000007", 0, 9), clip("vid-0000008")]
    after = [
        replace(CLIPS[0], label="drinking"),
        replace(CLIPS[1], mime_artist=NO, scene_relevant=None),
        replace(CLIPS[2], split="train"),
        CLIPS[3],
        clip("vid-0000007", 1, 8, flags=(YES, NO, NO)),
        clip("vid-0000009"),
    ]
    diff = _compare(tmp_path, after, before)
    assert diff.as_json() == {
        "a": "m@1.0.0",
        "b": "m@9.0.0",
        "same": 1,
        "added": ["vid-0000009_000001_000004"],
        "removed": ["vid-0000008_000001_000004"],
        "relabelled": [{"clip_id": CLIPS[0].clip_id, "from": "archery", "to": "drinking"}],
        "reflagged": [
            {"clip_id": CLIPS[1].clip_id, "flag": "mime_artist", "from": "yes", "to": "no"},
            {"clip_id": CLIPS[1].clip_id, "flag": "scene_relevant", "from": "yes", "to": None},
            {
                "clip_id": "vid-0000007_000001_000008",
                "flag": "mime_artist",
                "from": "no",
                "to": "yes",
            },
        ],
        "retrimmed": [{"from": "vid-0000007_000000_000009", "to": "vid-0000007_000001_000008"}],
        "moved": [{"clip_id": CLIPS[2].clip_id, "from": "test", "to": "train"}],
        "withheld": [],
        "classes_added": [],
        "classes_removed": [],
        "classes_changed": [],
        "change": "MAJOR",
        "proposed": "2.0.0",
    }


def test_additions_are_minor(tmp_path: Path) -> None:
    added = clip("vid-0000009", 1, 2, "tying tie")
    diff = _compare(tmp_path, [*CLIPS, added], classes=(*CLASSES, ReleasedClass("tying tie")))
    assert (diff.change, diff.proposed) == (Change.MINOR, "1.1.0")
    assert diff.classes_added == ["tying tie"]


def test_classes_that_change_are_major(tmp_path: Path) -> None:
    changed = (replace(CLASSES[0], scene=None), CLASSES[1])
    diff = _compare(tmp_path, list(CLIPS), classes=changed)
    assert diff.classes_changed == ["archery"]
    assert diff.classes_removed == ["punching person (boxing)"]
    assert diff.change is Change.MAJOR


def test_what_does_not_overlap_is_no_trim(tmp_path: Path) -> None:
    before = [clip("vid-0000001", 0, 3), clip("vid-0000001", 10, 20)]
    after = [clip("vid-0000001", 3, 5), clip("vid-0000001", 11, 15, "drinking")]
    diff = _compare(tmp_path, after, before)
    assert diff.retrimmed == []
    assert (len(diff.added), len(diff.removed)) == (2, 2)


def test_of_several_the_largest_overlap_is_the_trim(tmp_path: Path) -> None:
    before = [clip("vid-0000001", 0, 10), clip("vid-0000001", 8, 14)]
    after = [clip("vid-0000001", 7, 13)]
    diff = _compare(tmp_path, after, before)
    assert diff.retrimmed == [("vid-0000001_000008_000014", "vid-0000001_000007_000013")]
    assert diff.removed == ["vid-0000001_000000_000010"]


def test_other_names_get_no_proposal(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as opened:
        release(opened.db, "m@1.0.0")
        release(opened.db, "n@1.0.0")
        assert compare_releases("m@1.0.0", "n@1.0.0", tmp_path).proposed is None
        with pytest.raises(NoSuchReleaseError, match=r"no release m@3\.0\.0 .* m@1\.0\.0, n@1"):
            compare_releases("m@3.0.0", "n@1.0.0", tmp_path)


_RELEASED = st.dictionaries(
    st.integers(0, 5),
    st.tuples(st.sampled_from(["archery", "drinking"]), st.sampled_from(["test", "train"])),
)


@settings(deadline=None, max_examples=40)
@given(before=_RELEASED, after=_RELEASED)
def test_a_diff_accounts_for_every_clip(
    before: dict[int, tuple[str, str]], after: dict[int, tuple[str, str]]
) -> None:
    db = open_database(":memory:")  # type: ignore[arg-type]
    sides = []
    for side in (before, after):
        clips = {n: clip(f"vid-000000{n}", 0, 5, *fields) for n, fields in side.items()}
        sides.append({c.clip_id: c for c in clips.values()})
    release(db, "m@1.0.0", sides[0].values())
    release(db, "m@2.0.0", sides[1].values())
    diff = diff_releases(db, find_release(db, "m@1.0.0"), find_release(db, "m@2.0.0"))
    old, new = sides
    assert diff.added == sorted(new.keys() - old.keys())
    assert diff.removed == sorted(old.keys() - new.keys())
    both = sorted(new.keys() & old.keys())
    assert diff.relabelled == [
        (n, old[n].label, new[n].label) for n in both if old[n].label != new[n].label
    ]
    assert diff.moved == [
        (n, old[n].split, new[n].split) for n in both if old[n].split != new[n].split
    ]
    assert diff.same == sum(old[n] == new[n] for n in both)
    db.close()
