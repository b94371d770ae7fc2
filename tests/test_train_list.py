from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mimecurate.baselines.train_list import (
    ClipList,
    LabelledClip,
    common_classes,
    list_remarks,
    read_clip_list,
)
from mimecurate.errors import InvalidInputError, MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

KINETICS = """label,youtube_id,time_start,time_end,split
archery,0zFbEjoGlhc,6,10,train
playing_violin,0zFbEjoGlhd,0,10,val
archery,0zFbEjoGlhe,1.5,3,train
"""


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_kinetics_list(tmp_path: Path) -> None:
    found = read_clip_list(written(tmp_path / "k.csv", KINETICS))

    assert [(clip.clip_id, clip.label) for clip in found.clips] == [
        ("0zFbEjoGlhc_000006_000010", "archery"),
        ("0zFbEjoGlhd_000000_000010", "playing violin"),
        ("0zFbEjoGlhe_000001.500_000003.000", "archery"),
    ]
    assert found.per_class == {"archery": 2, "playing violin": 1}


def test_list_of_clip_ids(tmp_path: Path) -> None:
    text = '\ufeffclip_id,notes,label\nclip.1,"a, b",Playing_violin \nclip-2,,archery\n'

    found = read_clip_list(written(tmp_path / "l.csv", text))

    assert [(c.clip_id, c.label, c.line, c.column) for c in found.clips] == [
        ("clip.1", "Playing violin", 2, 15),
        ("clip-2", "archery", 3, 9),
    ]


def test_one_split_of_a_list(tmp_path: Path) -> None:
    path = written(tmp_path / "k.csv", KINETICS)

    assert len(read_clip_list(f"{path}:train").clips) == 2
    with pytest.raises(MimecurateError, match=r"no clip of the split 'test'; it has train, val"):
        read_clip_list(f"{path}:test")


def test_a_clip_in_two_splits_is_remarked_on_and_not_refused(tmp_path: Path) -> None:
    rows = "clip_id,label,split\na,archery,train\nb,bowling,train\na,archery,val\n"
    path = written(tmp_path / "l.csv", rows)

    train, val = read_clip_list(f"{path}:train"), read_clip_list(f"{path}:val")

    assert [clip.clip_id for clip in (*train.clips, *val.clips)] == ["a", "b", "a"]
    assert any("1 clip in both lists, e.g. a" in line for line in list_remarks(train, val))
    with pytest.raises(InvalidInputError, match="line 4: a is listed twice, first in line 2"):
        read_clip_list(path)
    written(tmp_path / "l.csv", rows + "a,archery,val\n")
    with pytest.raises(InvalidInputError, match="line 5: a is listed twice, first in line 4"):
        read_clip_list(f"{path}:val")


def test_colon_in_a_file_name(tmp_path: Path) -> None:
    assert len(read_clip_list(written(tmp_path / "k:train", KINETICS)).clips) == 3


def test_mimetics_release(shared: Path, tmp_path: Path) -> None:
    from mimecurate.curation.release_import import import_release
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.schemas.versions import Version

    with open_workspace(tmp_path) as space:
        import_release(
            space,
            shared / "mimetics-v1.0",
            format="mimetics",
            name="mimetics",
            version=Version(1, 0, 0),
        )

    found = read_clip_list("mimetics@1.0.0", tmp_path)

    assert len(found.clips) == 713
    assert len(found.per_class) == 50
    assert len(read_clip_list("mimetics@1.0.0:test", tmp_path).clips) == 713


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = "clip_id,label,split\nok,archery,train\n../up,archery,a-b\nok,archery,val\nx,,\nshort\n"

    with pytest.raises(InvalidInputError) as caught:
        read_clip_list(written(tmp_path / "l.csv", text))

    assert [(problem.line, problem.column) for problem in caught.value.problems] == [
        (3, 1),
        (3, 15),
        (4, None),
        (5, 3),
        (6, None),
    ]
    assert "ok is listed twice, first in line 2" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,class\nx,archery\n", "line 1: the header has no column 'label'"),
        ('clip_id,label\nx,"archery\n', "line 2: is no CSV"),
        (KINETICS.replace("playing_violin", ""), "line 3: label is missing"),
        (KINETICS.replace("label,", "lable,"), "line 2: label is missing"),
        (KINETICS.replace("0zFbEjoGlhd", "nonsense"), "line 3, column 16: youtube_id 'nonsense'"),
    ],
)
def test_wrong_lists(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_clip_list(written(tmp_path / "l.csv", text))
    assert message in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match=r"no release .*nothing\.csv"):
        read_clip_list(str(tmp_path / "nothing.csv"), tmp_path)
    with pytest.raises(MimecurateError, match="lists no clip"):
        read_clip_list(written(tmp_path / "empty.csv", "clip_id,label\n"))


def clip_list(name: str, **per_class: int) -> ClipList:
    clips = [
        LabelledClip(f"{name}{label}{number}", label, line=number + 2, column=9)
        for label, count in per_class.items()
        for number in range(count)
    ]
    return ClipList(name, tuple(clips))


def test_classes_are_those_to_learn_from() -> None:
    train = clip_list("train", waving=3, archery=1)

    assert common_classes(train, clip_list("val", archery=1)) == ["archery", "waving"]
    with pytest.raises(InvalidInputError) as caught:
        common_classes(train, clip_list("val", wavin=2, juggling=1))
    assert [str(problem) for problem in caught.value.problems] == [
        "line 2, column 9: label 'wavin' is no class of train; did you mean 'waving'?",
        "line 2, column 9: label 'juggling' is no class of train",
    ]
    with pytest.raises(InvalidInputError, match="has one class, 'waving'"):
        common_classes(clip_list("train", waving=3), train)


def test_remarks_tell_balance_gaps_and_leaks() -> None:
    train = clip_list("t", waving=30, archery=3, bowing=9)
    val = ClipList("v", train.clips[:1])

    balance, gap, leak = list_remarks(train, val)

    assert balance.startswith("3 classes; clips per class: 3 to 30, median 9; fewest: archery (3)")
    assert gap.startswith("2 classes without a clip in v, so")
    assert leak.startswith("1 clip in both lists, e.g. twaving0: ")
