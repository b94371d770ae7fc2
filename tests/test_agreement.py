"""`annotate agreement`: from the database to the table."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from release_lists import annotate, clip, know_classes

from mimecurate.annotation.agreement import FIELDS, agreement
from mimecurate.annotation.agreement_details import Confusion, PairAgreement
from mimecurate.commands.root import cli
from mimecurate.curation.class_changes import apply_change, rename
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

    from mimecurate.curation.workspace import Workspace


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path) as space:
        know_classes(space.db)
        yield space


def _say(db: Database, number: int, annotator: str, **fields: object) -> None:
    """Annotate the clip with a number; two clips in a row are of one video."""
    start = 10 * (number % 2)
    annotate(db, clip(f"vid-{number // 2:07d}", start, start + 5), annotator, **fields)


def test_each_field_counts_the_clips_that_two_answered(space: Workspace) -> None:
    db = space.db
    _say(db, 0, "ann", label="archery", mime_artist="yes", start_ms=0, end_ms=2000)
    _say(db, 0, "bob", label="drinking", mime_artist="unsure", start_ms=1000, end_ms=3000)
    _say(db, 1, "ann", verdict="no", label="archery")
    _say(db, 1, "bob", verdict="no")
    _say(db, 2, "ann", verdict="no", label="archery", start_ms=0, end_ms=1)
    found = agreement(db)
    assert list(found) == list(FIELDS)
    assert {name: (one.clips, one.annotators) for name, one in found.items()} == {
        "verdict": (2, 2),
        "label": (1, 2),
        "mime_artist": (1, 2),
        "object_relevant": (0, 0),
        "scene_relevant": (0, 0),
        "trim": (1, 2),
    }
    assert [found[name].percent for name in ("verdict", "label", "mime_artist")] == [100, 0, 0]
    assert found["trim"].percent == 0
    assert found["trim"].mean_iou == pytest.approx(1 / 3)
    assert found["trim"].pairs == [PairAgreement("ann", "bob", 1, 0, None, 1 / 3)]
    assert agreement(db, trim_iou=1 / 3)["trim"].percent == 100
    assert found["mime_artist"].confusions == [Confusion("yes", "unsure", 1, 1)]
    assert found["verdict"].pairs == [PairAgreement("ann", "bob", 2, 100, 1)]
    assert found["verdict"].kappa_is == "cohen"


def test_a_class_that_was_renamed_is_one_class(space: Workspace) -> None:
    db = space.db
    _say(db, 0, "ann", label="archery")
    apply_change(db, rename(db, "archery", "bow shooting"), who="lead", reason="")
    _say(db, 0, "bob", label="bow shooting")
    found = agreement(db)["label"]
    assert (found.clips, found.percent, found.confusions) == (1, 100, [])


def test_what_is_not_defined_says_why(space: Workspace) -> None:
    for person in ("ann", "bob"):
        _say(space.db, 0, person, start_ms=0, end_ms=1)
    found = agreement(space.db)
    assert found["verdict"].undefined == dict.fromkeys(
        ("kappa", "alpha"), "all answers are the same"
    )
    assert found["verdict"].ac1 == 1
    assert set(found["label"].undefined.values()) == {"no clip has two answers"}
    assert set(found["trim"].undefined) == {"kappa", "alpha", "ac1"}


def test_the_latest_word_counts_and_skips_and_adjudication_do_not(space: Workspace) -> None:
    db = space.db
    db.execute(
        "INSERT INTO rounds (round, kind, mark, made_at) VALUES ('settle', 'adjudication', 'm', '')"
    )
    _say(db, 0, "ann", verdict="no", at="2026-01-01T00:00:00Z")
    _say(db, 0, "ann", verdict="yes", at="2026-01-02T00:00:00Z")
    _say(db, 0, "bob", verdict="yes")
    _say(db, 0, "lead", verdict="no", round="settle")
    _say(db, 0, "eve", skipped=1, verdict=None)
    found = agreement(db)["verdict"]
    assert (found.clips, found.annotators, found.percent) == (1, 2, 100)


def test_filters(space: Workspace) -> None:
    db = space.db
    for person, verdict, round_ in [("ann", "yes", "1"), ("bob", "yes", "1"), ("eve", "no", "2")]:
        _say(db, 0, person, verdict=verdict, round=round_)
    assert agreement(db)["verdict"].percent == pytest.approx(100 / 3)
    assert agreement(db, rounds=["1"])["verdict"].percent == 100
    assert agreement(db, exclude=["eve"])["verdict"].percent == 100
    assert agreement(db, annotators=["ann", "eve"])["verdict"].percent == 0
    with pytest.raises(MimecurateError, match=r"round '3'; there are: '1', '2'"):
        agreement(db, rounds=["3"])
    with pytest.raises(MimecurateError, match="annotator 'dan'"):
        agreement(db, exclude=["dan"])


def test_scale_of_labels_is_the_workspaces_classes(space: Workspace) -> None:
    """AC1 depends on how many values there could be: three classes, not the two in use."""
    for number, (one, other) in enumerate([("archery", "archery"), ("archery", "drinking")]):
        _say(space.db, number, "ann", label=one)
        _say(space.db, number, "bob", label=other)
    chance = (3 / 4 * 1 / 4 * 2) / 2
    assert agreement(space.db)["label"].ac1 == pytest.approx((0.5 - chance) / (1 - chance))


def test_intervals_hold_the_value_and_repeat(space: Workspace) -> None:
    chance = random.Random(1)
    for number in range(40):
        for person in ("ann", "bob", "eve"):
            said = "yes" if chance.random() < 0.7 else "no"
            _say(space.db, number, person, verdict=said, mime_artist="no")
    found = agreement(space.db, resamples=200)
    one = found["verdict"]
    for name in ("percent", "kappa", "alpha", "ac1"):
        interval = one.ci[name]
        assert interval is not None
        assert interval[0] < getattr(one, name) < interval[1]
    assert one == agreement(space.db, resamples=200)["verdict"]
    assert one.ci != agreement(space.db, resamples=200, seed=1)["verdict"].ci
    assert set(found["mime_artist"].ci.values()) == {None}  # all alike: resampling tells nothing
    assert set(agreement(space.db, resamples=0)["verdict"].ci.values()) == {None}


def test_clips_of_one_video_are_not_independent(space: Workspace) -> None:
    """Two clips of a video that always go together widen the interval."""
    chance = random.Random(2)
    for number in range(0, 60, 2):
        agree = chance.random() < 0.6
        for clip_number in (number, number + 1):
            _say(space.db, clip_number, "ann", verdict="yes")
            _say(space.db, clip_number, "bob", verdict="yes" if agree else "no")
    wide = agreement(space.db, resamples=500)["verdict"].ci["percent"]
    space.db.execute(
        "INSERT INTO videos (video_id, added_at) SELECT 'own-' || clip_id, 'x' FROM clips"
    )
    space.db.execute("UPDATE clips SET video_id = 'own-' || clip_id")
    narrow = agreement(space.db, resamples=500)["verdict"].ci["percent"]
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 1.2 * (narrow[1] - narrow[0])


def test_json_has_the_keys_of_the_interface_first(space: Workspace) -> None:
    for number in range(12):
        _say(space.db, 2 * number, "ann", verdict="yes" if number % 3 else "no")
        _say(space.db, 2 * number, "bob", verdict="yes" if number % 4 else "no")
    result = CliRunner().invoke(cli, ["annotate", "agreement", "-w", str(space.root), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert list(document) == list(FIELDS)
    keys = ["clips", "annotators", "percent", "kappa", "alpha", "ac1"]
    assert all(list(one)[:6] == keys for one in document.values())
    assert document["label"]["percent"] is document["trim"]["mean_iou"] is None
    assert document["verdict"]["clips"] == 12
    low, high = document["verdict"]["ci"]["percent"]
    assert low < document["verdict"]["percent"] < high


def test_table_names_pairs_and_confusions(space: Workspace) -> None:
    for person, verdict in [("ann", "yes"), ("bob", "no"), ("\x1b[31meve", "no")]:
        _say(space.db, 0, person, verdict=verdict)
    result = CliRunner().invoke(cli, ["annotate", "agreement", "-w", str(space.root)])
    assert result.exit_code == 0, result.output
    assert "Pairs of annotators" in result.stdout
    assert "What is confused" in result.stdout
    assert "resampl" not in result.stderr.replace("they need resamples, 10 source videos", "")
    assert "no clip has two answers" in result.stdout
    assert "\x1b[31m" not in result.output


def test_nobody_said_anything(space: Workspace) -> None:
    found = agreement(space.db)
    assert all(one.percent is None and one.clips == 0 for one in found.values())


def test_many_annotations_take_seconds(space: Workspace) -> None:
    chance = random.Random(3)
    rows = 20_000
    with space.db.atomic():
        for number in range(rows // 2):
            video, start = f"v{number // 3:09d}", 10 * (number % 3)
            if start == 0:
                space.db.execute("INSERT INTO videos (video_id, added_at) VALUES (?, 'x')", [video])
            space.db.execute(
                "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, added_at) "
                "VALUES (?, ?, ?, ?, 'x')",
                [f"{video}_{start}", video, start, start + 1],
            )
            for person in chance.sample("abcdef", 2):
                space.db.execute(
                    "INSERT INTO annotations (clip_id, annotator, at, verdict, label) "
                    "VALUES (?, ?, 'x', ?, 'archery')",
                    [f"{video}_{start}", person, chance.choice(["yes", "no"])],
                )
    begin = time.process_time()
    assert agreement(space.db)["verdict"].clips == rows // 2
    assert time.process_time() - begin < 5
