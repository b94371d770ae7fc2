"""Making releases: from decisions and annotations, filters, splits, checks, versions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from release_lists import (
    CLASSES,
    NO,
    YES,
    annotate,
    clip,
    decide,
    know,
    know_classes,
    release,
)

from mimecurate.curation.release_create import (
    CreatedRelease,
    Recipe,
    WrongVersionError,
    create_release,
)
from mimecurate.curation.release_freeze import ReleaseExistsError
from mimecurate.curation.release_read import load_release
from mimecurate.curation.release_where import WhereError
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import InvalidInputError, MimecurateError, WorkspaceBusyError
from mimecurate.schemas.release import ReleasedClass
from mimecurate.schemas.versions import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = (clip(), clip("vid-0000002", 0, 4, "drinking"), clip("vid-0000003", 5, 9, CLASSES[2].name))
"""A clip of each class, with nothing to say against it."""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        know_classes(opened.db)
        yield opened


@pytest.fixture
def decided(workspace: Workspace) -> Workspace:
    for one in GOOD:
        decide(workspace.db, one)
    return workspace


def _create(
    workspace: Workspace,
    version: str | None = "1.0.0",
    recipe: Recipe | None = None,
    allow: tuple[str, ...] = (),
) -> CreatedRelease:
    return create_release(
        workspace,
        "m",
        None if version is None else parse_version(version),
        recipe or Recipe(),
        allow=allow,
    )


def _clips(workspace: Workspace, ref: str = "m@1.0.0") -> list[tuple[str, str, str]]:
    release = load_release(ref, workspace.root)
    return [(c.clip_id, c.label, c.split) for c in release.clips]


def test_a_release_is_what_was_decided(decided: Workspace) -> None:
    decide(decided.db, clip("vid-0000004"), "no")
    decide(decided.db, clip("vid-0000005"), "yes")
    decide(decided.db, clip("vid-0000005"), "unsure")
    made = _create(decided)
    assert (made.frozen, made.version, made.parent) == (True, Version(1, 0, 0), None)
    assert made.findings == []
    assert load_release("m@1.0.0", decided.root).clips == GOOD
    assert load_release("m@1.0.0", decided.root).classes == CLASSES


def test_without_a_version_nothing_is_frozen(decided: Workspace) -> None:
    made = _create(decided, None)
    assert (made.frozen, made.version) == (False, Version(1, 0, 0))
    assert made.counts["clips"] == 3
    assert decided.db.execute("SELECT count(*) FROM releases").fetchone() == (0,)


def test_a_label_that_nobody_changed_is_the_clips_own(workspace: Workspace) -> None:
    decide(workspace.db, GOOD[0], label=None)
    _create(workspace, allow=("class-without-clips",))
    assert _clips(workspace)[0][1] == "archery"


def test_a_trim_makes_another_clip(decided: Workspace) -> None:
    decide(decided.db, GOOD[0], start_ms=1500, end_ms=3250)
    _create(decided, allow=("unverified-media",))
    assert _clips(decided)[0][0] == "vid-0000001_000001.500_000003.250"
    decide(decided.db, GOOD[0], start_ms=2000, end_ms=4000)
    _create(decided, "2.0.0", allow=("unverified-media",))
    names = [name for name, _, _ in _clips(decided, "m@2.0.0")]
    assert names[0] == "vid-0000001_000002_000004"
    assert len(names) == 3


@pytest.mark.parametrize("fresh", [False, True])
def test_what_nobody_decided_on_stays_as_it_was_released(workspace: Workspace, fresh: bool) -> None:
    release(workspace.db, "m@1.0.0", GOOD)
    decide(workspace.db, GOOD[0], "no")
    decide(workspace.db, clip("vid-0000009"))
    everything = ("class-without-clips", "unverified-media", "missing-flags")
    _create(workspace, "2.0.0", Recipe(fresh=fresh), everything)
    expected = [] if fresh else [GOOD[1].clip_id, GOOD[2].clip_id]
    assert [name for name, _, _ in _clips(workspace, "m@2.0.0")] == [
        *expected,
        "vid-0000009_000001_000004",
    ]


def test_a_class_that_was_empty_stays(decided: Workspace) -> None:
    release(decided.db, "m@1.0.0", GOOD, (*CLASSES, ReleasedClass("tying tie")))
    decide(decided.db, clip("vid-0000009"))
    made = _create(decided, "1.1.0", allow=("class-without-clips",))
    assert str(made.changes) == "1 clips added"
    assert [c.name for c in load_release("m@1.1.0", decided.root).classes][-1] == "tying tie"


class TestVersions:
    def test_additions_are_minor(self, decided: Workspace) -> None:
        _create(decided)
        decide(decided.db, clip("vid-0000009"))
        made = _create(decided, None)
        assert (str(made.version), made.parent, str(made.changes)) == (
            "1.1.0",
            "m@1.0.0",
            "1 clips added",
        )
        for wrong in ("1.0.1", "2.0.0", "1.2.0", "0.9.0"):
            with pytest.raises(
                WrongVersionError,
                match=r"since m@1\.0\.0 there are 1 clips added: this is a MINOR change, so the "
                r"version is 1\.1\.0",
            ):
                _create(decided, wrong)
        assert _create(decided, "1.1.0").frozen

    @pytest.mark.parametrize(
        ("change", "summary"),
        [
            pytest.param({"verdict": "no"}, "1 clips removed", id="removal"),
            pytest.param({"label": "drinking"}, "1 clips changed", id="label"),
            pytest.param({"mime_artist": "yes"}, "1 clips changed", id="flag"),
            pytest.param(
                {"start_ms": 1000, "end_ms": 3000}, "1 clips added, 1 clips removed", id="trim"
            ),
        ],
    )
    def test_edits_are_major(
        self, decided: Workspace, change: dict[str, str], summary: str
    ) -> None:
        _create(decided)
        decide(decided.db, GOOD[0], **change)
        made = _create(decided, None, allow=("unverified-media",))
        assert str(made.version) == "2.0.0"
        assert summary in str(made.changes)

    def test_a_move_is_major(self, decided: Workspace) -> None:
        _create(decided)
        made = _create(decided, None, Recipe(splits=[("val", "label = 'drinking'")]))
        assert (str(made.version), str(made.changes)) == ("2.0.0", "1 clips changed")

    def test_another_description_of_a_class_is_major(self, decided: Workspace) -> None:
        _create(decided)
        decided.db.execute("UPDATE classes SET object_size = 'none' WHERE name = 'archery'")
        made = _create(decided, None)
        assert (str(made.version), str(made.changes)) == ("2.0.0", "1 classes changed")

    def test_the_same_rows_are_a_patch(self, decided: Workspace) -> None:
        _create(decided)
        made = create_release(
            decided, "m", Version(1, 0, 1), Recipe(), card={"license": "CC-BY-4.0"}
        )
        assert made.digest == load_release("m@1.0.0", decided.root).digest
        _create(decided, "1.0.2")
        cards = decided.db.execute("SELECT card FROM releases ORDER BY patch").fetchall()
        assert [json.loads(card) for (card,) in cards] == [{}, *[{"license": "CC-BY-4.0"}] * 2]

    def test_freezing_again_changes_nothing(self, decided: Workspace) -> None:
        assert _create(decided) != _create(decided)
        assert decided.db.execute("SELECT count(*) FROM releases").fetchone() == (1,)
        decide(decided.db, clip("vid-0000009"))
        with pytest.raises(ReleaseExistsError, match="choose another version"):
            _create(decided)


class TestChecks:
    def test_everything_is_listed_at_once(self, workspace: Workspace) -> None:
        db = workspace.db
        decide(db, replace(GOOD[0], mime_artist=None))
        decide(db, clip("vid-0000001", 3, 4.5))
        decide(db, clip("vid-0000001", 20, 40))
        know(db, clip("vid-0000002", split="train"), fetched=False)
        decide(db, clip("vid-0000002", 30, 32))
        db.table("decisions").insert(
            {
                "clip_id": "vid-0000002_000001_000004",
                "verdict": "yes",
                "method": "rule",
                "decided_by": "ann",
                "decided_at": "x",
            }
        )
        with pytest.raises(InvalidInputError) as caught:
            _create(workspace)
        assert "\n".join(map(str, caught.value.problems)).split("\n") == [
            "video-across-splits: a video has clips in several splits, so that one split leaks "
            "into another (1)",
            "    video vid-0000002: test,train",
            "class-without-clips: a class has no clip (2)",
            "    class drinking",
            "    class punching person (boxing)",
            "missing-flags: a clip lacks one of mime_artist, object_relevant and scene_relevant "
            "(2)",
            "    clip vid-0000001_000001_000004",
            "    clip vid-0000002_000001_000004",
            "interval-length: a clip lasts less than 1 s or more than 10 s (1)",
            "    clip vid-0000001_000020_000040: 20-40 s",
            "overlapping-clips: two clips of one video share some of it (1)",
            "    clip vid-0000001_000003.000_000004.500: 3-4.5 s begins before an earlier clip of "
            "the video ends",
            "unverified-media: a clip's media were never fetched and verified in this workspace "
            "(1)",
            "    clip vid-0000002_000001_000004",
        ]
        assert len(caught.value.problems) == 6
        assert db.execute("SELECT count(*) FROM releases").fetchone() == (0,)

    def test_what_is_allowed_is_recorded(self, decided: Workspace) -> None:
        decide(decided.db, clip("vid-0000001", 3, 4.5))
        decide(decided.db, clip("vid-0000001", 3, 5))
        with pytest.raises(InvalidInputError, match="overlapping-clips"):
            _create(decided, allow=("unverified-media",))
        made = _create(decided, allow=("overlapping-clips",))
        [finding] = made.findings
        assert (finding.name, finding.count) == ("overlapping-clips", 2)
        [(findings,)] = decided.db.execute("SELECT findings FROM releases").fetchall()
        assert json.loads(findings) == {"overlapping-clips": 2}

    def test_clips_that_touch_do_not_overlap(self, decided: Workspace) -> None:
        decide(decided.db, clip("vid-0000001", 4, 6))
        assert _create(decided).findings == []

    def test_only_checks_that_exist_can_be_allowed(self, decided: Workspace) -> None:
        with pytest.raises(MimecurateError, match="no check 'everything' to allow; there are:"):
            _create(decided, allow=("everything",))

    def test_many_cases_are_counted_and_few_shown(self, workspace: Workspace) -> None:
        for number in range(15):
            decide(workspace.db, clip(f"vid-00001{number:02d}", 0, 20))
        with pytest.raises(InvalidInputError) as caught:
            _create(workspace, allow=("class-without-clips",))
        (problem,) = caught.value.problems
        lines = str(problem).split("\n")
        assert lines[0].endswith("(15)")
        assert len(lines) == 12
        assert lines[-1] == "    and 5 more"

    def test_the_impossible_cannot_be_allowed(self, workspace: Workspace) -> None:
        db = workspace.db
        decide(db, replace(clip("vid-0000001", split="test"), label="archery"))
        know(db, clip("vid-0000002"))
        db.execute("UPDATE clips SET label = NULL WHERE video_id = 'vid-0000002'")
        decide(db, clip("vid-0000002"), label=None)
        decide(db, clip("vid-0000001", 5, 9), start_ms=1000, end_ms=4000)
        db.execute("UPDATE clips SET split = NULL")
        with pytest.raises(InvalidInputError) as caught:
            _create(workspace)
        assert [str(p) for p in caught.value.problems] == [
            "clip vid-0000002_000001_000004 was decided to be in, but has no class",
            "clip vid-0000001_000001_000004 comes from several decisions, on "
            "vid-0000001_000001_000004 and vid-0000001_000005_000009",
            "clip vid-0000001_000001_000004 has no split; give one, e.g. --split test",
        ]

    def test_an_empty_release_is_refused(self, workspace: Workspace) -> None:
        with pytest.raises(InvalidInputError, match="there is no clip to release"):
            _create(workspace)


class TestFilters:
    def test_a_filter_keeps_what_it_holds_for(self, decided: Workspace) -> None:
        recipe = Recipe(where="label <> 'drinking' AND duration_s >= 3")
        _create(decided, recipe=recipe, allow=("class-without-clips",))
        assert [label for _, label, _ in _clips(decided)] == ["archery", CLASSES[2].name]
        [(settings,)] = decided.db.execute("SELECT settings FROM releases").fetchall()
        assert json.loads(settings) == {"source": "decisions", "where": recipe.where}

    def test_every_column_can_be_asked(self, decided: Workspace) -> None:
        decide(decided.db, replace(GOOD[0], mime_artist=YES))
        where = (
            "clip_id LIKE 'vid%' AND video_id = 'vid-0000001' AND label = 'archery' AND "
            "split = 'test' AND start_s = 1 AND end_s = 4 AND duration_s = 3 AND "
            "mime_artist = 'yes' AND object_relevant = 'no' AND scene_relevant = 'no' AND "
            "object_size = 'large' AND scene = 'yes' AND source = 'decided' AND has_media = 'yes'"
        )
        _create(decided, recipe=Recipe(where=where), allow=("class-without-clips",))
        assert len(_clips(decided)) == 1

    @pytest.mark.parametrize(
        "where",
        [
            pytest.param("lable = 'x'", id="no-such-column"),
            pytest.param("label = ", id="half"),
            pytest.param("1); DELETE FROM decisions; --", id="second-statement"),
            pytest.param("clip_id IN (SELECT name FROM sqlite_master)", id="other-table"),
            pytest.param("(SELECT count(*) FROM annotations) > 0", id="annotations"),
            pytest.param("1) UNION SELECT url FROM videos WHERE (1", id="union"),
            pytest.param("load_extension('x')", id="extension"),
            pytest.param("label = '\0'", id="nul"),
            pytest.param("json(label) = 1", id="fails-when-run"),
        ],
    )
    def test_a_filter_can_do_nothing_else(self, decided: Workspace, where: str) -> None:
        with pytest.raises(WhereError, match="columns: clip_id, video_id, label"):
            _create(decided, recipe=Recipe(where=where))
        assert decided.db.execute("SELECT count(*) FROM decisions").fetchone() == (3,)
        _create(decided)

    def test_splits(self, decided: Workspace) -> None:
        splits = [("val", "label = 'drinking'"), ("test", None), ("train", "start_s = 5")]
        _create(decided, recipe=Recipe(splits=splits))
        assert [split for _, _, split in _clips(decided)] == ["test", "val", "train"]

    def test_a_clip_in_two_splits_is_refused(self, decided: Workspace) -> None:
        splits = [("val", "start_s < 2"), ("train", "start_s = 1"), ("train", "start_s > 0")]
        with pytest.raises(InvalidInputError) as caught:
            _create(decided, recipe=Recipe(splits=splits))
        assert [str(p) for p in caught.value.problems] == [
            "clip vid-0000001_000001_000004 is in two splits: val,train"
        ]

    def test_the_name_of_a_split_is_checked(self, decided: Workspace) -> None:
        with pytest.raises(ValueError, match=r"split '\.\./x' must be"):
            _create(decided, recipe=Recipe(splits=[("../x", None)]))


class TestAnnotations:
    RECIPE = Recipe("annotations", min_annotators=2)

    def _vote(self, workspace: Workspace) -> None:
        flags = {"mime_artist": "no", "object_relevant": "no", "scene_relevant": "no"}
        for one in GOOD:
            for annotator in ("ann", "bob"):
                annotate(workspace.db, one, annotator, label=one.label, **flags)

    def test_a_majority_makes_a_release(self, workspace: Workspace) -> None:
        self._vote(workspace)
        _create(workspace, recipe=self.RECIPE)
        assert load_release("m@1.0.0", workspace.root).clips == GOOD

    def test_what_the_rule_leaves_open_is_told(self, workspace: Workspace) -> None:
        self._vote(workspace)
        alone, disputed = clip("vid-0000008"), clip("vid-0000009")
        annotate(workspace.db, alone, "ann")
        annotate(workspace.db, disputed, "ann")
        annotate(workspace.db, disputed, "bob", verdict="no")
        with pytest.raises(InvalidInputError) as caught:
            _create(workspace, recipe=self.RECIPE)
        assert "\n".join(map(str, caught.value.problems)).split("\n") == [
            "too-few-annotators: a clip has too few annotators for the rule, and is left as it "
            "was (1)",
            "    clip vid-0000008_000001_000004: 1 of 2 annotators",
            "no-majority: annotators disagree on a clip, which is left as it was until somebody "
            "decides (1)",
            "    clip vid-0000009_000001_000004: no majority for a verdict",
        ]
        _create(workspace, recipe=self.RECIPE, allow=("too-few-annotators", "no-majority"))
        assert len(_clips(workspace)) == 3

    def test_how_near_trims_must_be_is_part_of_the_recipe(self, workspace: Workspace) -> None:
        self._vote(workspace)
        for annotator, end_ms in (("ann", 3000), ("bob", 3500)):
            annotate(workspace.db, clip("vid-0000009"), annotator, start_ms=1500, end_ms=end_ms)
        strict = replace(self.RECIPE, trim_iou=0.9)
        assert _create(workspace, None, strict).counts["clips"] == 3
        assert _create(workspace, None, self.RECIPE).counts["clips"] == 4
        assert strict.as_settings()["trim_iou"] == 0.9

    def test_a_decision_settles_it(self, workspace: Workspace) -> None:
        self._vote(workspace)
        disputed = clip("vid-0000009")
        annotate(workspace.db, disputed, "ann", mime_artist="no")
        annotate(workspace.db, disputed, "bob", verdict="no")
        decide(workspace.db, disputed, mime_artist=NO)
        _create(workspace, recipe=self.RECIPE)
        assert len(_clips(workspace)) == 4


def test_withdrawn_clips_do_not_come_back(decided: Workspace) -> None:
    decided.db.execute("INSERT INTO withdrawals VALUES (?, 'x', 'y', '')", [GOOD[0].clip_id])
    _create(decided, allow=("class-without-clips",))
    assert [name for name, _, _ in _clips(decided)] == [GOOD[1].clip_id, GOOD[2].clip_id]


def test_two_at_once_do_not_mix(decided: Workspace) -> None:
    with (
        open_workspace(decided.root) as other,
        other.lock("release", "release create x"),
        pytest.raises(WorkspaceBusyError, match="release create x"),
    ):
        _create(decided)
