from __future__ import annotations

import pickle
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_made import made_people, same

from mimecurate.baselines.people_file import PeopleFile, check_people_file, open_people
from mimecurate.baselines.people_table import CLIPS, HEADER, Header
from mimecurate.baselines.people_writer import PeopleWriter, write_people
from mimecurate.errors import ClipError, InvalidInputError, MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = Header("coco17", 17, 2, 0, {"model": "keypoint_rcnn", "seed": 0})
NAMES = st.text("abcXYZ019_-. ", min_size=1, max_size=20).filter(lambda s: s == s.strip())


@pytest.fixture
def written(tmp_path: Path) -> Path:
    clips = [
        made_people("b_000001_000003", [2, 0, 1], seed=1),
        made_people("nobody_000001_000003", [0, 0], seed=2),
        made_people("a_000001_000003", [1, 1, 1, 1], seed=3, fps=None),
    ]
    write_people(tmp_path / "people.parquet", clips, made_by={"model": "keypoint_rcnn"})
    return tmp_path / "people.parquet"


def rewritten(path: Path, change: Any = None, **metadata: bytes) -> Path:
    """Write the file's table again, changed, with other metadata."""
    table = pq.read_table(path)
    kept = dict(pq.ParquetFile(path).metadata.metadata)
    kept.pop(b"ARROW:schema", None)
    kept.update({b"mimecurate." + key.encode(): value for key, value in metadata.items()})
    table = change(table) if change else table
    out = path.with_name("changed.parquet")
    pq.write_table(table.replace_schema_metadata(kept), out)
    return out


def replaced(table: pa.Table, column: str, row: int, value: object) -> pa.Table:
    values = table.column(column).to_pylist()
    values[row] = value
    index = table.schema.get_field_index(column)
    field = table.schema.field(column)
    return table.set_column(index, field, pa.array(values, field.type))


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(NAMES, st.lists(st.integers(0, 3), max_size=5), min_size=1, max_size=6),
    st.sampled_from([0, 4]),
    st.sampled_from([2, 3]),
)
def test_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    counts: dict[str, list[int]],
    features: int,
    dimensions: int,
) -> None:
    path = tmp_path_factory.mktemp("people") / "people.parquet"
    clips = [
        made_people(name, each, seed=i, features=features, dimensions=dimensions)
        for i, (name, each) in enumerate(counts.items())
    ]
    assert write_people(path, clips) == len(clips)
    with PeopleFile(path) as people:
        assert list(people) == list(counts)
        for clip in reversed(clips):
            same(people[clip.clip_id], clip)


def test_is_a_mapping_that_says_how_it_was_made(written: Path) -> None:
    with PeopleFile(written) as people:
        assert len(people) == 3
        assert "nobody_000001_000003" in people
        assert len(people["nobody_000001_000003"].frame) == 0
        assert "c" not in people
        assert people.header.made_by == {"model": "keypoint_rcnn"}
        with pytest.raises(KeyError):
            people["c"]
        again = pickle.loads(pickle.dumps(people))
    with again:
        assert again["a_000001_000003"].fps is None


def test_its_arrays_can_be_written_to(written: Path) -> None:
    people = open_people(written)["b_000001_000003"]
    for name in ("frame", "boxes", "scores", "joints", "joint_scores"):
        assert getattr(people, name).flags.writeable, name


def test_reads_a_row_group_once_for_clips_in_order(tmp_path: Path) -> None:
    clips = [made_people(f"clip{i}", [60] * 10, seed=i, features=1024) for i in range(12)]
    path = tmp_path / "people.parquet"
    write_people(path, clips)
    with PeopleFile(path) as people:
        groups = people._file.metadata.num_row_groups
        assert 1 < groups < len(clips)
        counting = people._file = _Counting(people._file)
        for clip in clips:
            assert len(people[clip.clip_id].frame) == 600
    assert counting.reads == list(range(groups))


class _Counting:
    def __init__(self, file: Any) -> None:
        self._file = file
        self.reads: list[int] = []

    def read_row_group(self, group: int, **options: Any) -> Any:
        self.reads.append(group)
        return self._file.read_row_group(group, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_reads_a_file_that_others_wrote(written: Path) -> None:
    def plain(table: pa.Table) -> pa.Table:
        kinds = {"frame": pa.int64(), "joints": pa.list_(pa.float64())}
        fields = [f.with_type(kinds.get(f.name, f.type)) for f in table.schema]
        return table.cast(pa.schema(fields))

    changed = rewritten(written, plain)
    pq.write_table(pq.read_table(changed), written.with_name("small.parquet"), row_group_size=2)
    for path in (changed, written.with_name("small.parquet")):
        with PeopleFile(path) as there, PeopleFile(written) as here:
            for clip_id in here:
                same(there[clip_id], here[clip_id])


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("frame", 3, "row 3: frame is not 0 to 2, the clip's"),
        ("frame", -1, "row 3: frame is lower than in the row before"),
        ("x1", float("nan"), "row 3: box is not finite"),
        ("x2", -5.0, "row 3: box ends before it starts"),
        ("score", 1.5, "row 3: score is not from 0 to 1"),
        ("joint_scores", [2.0] * 17, "row 3: joint score is not from 0 to 1"),
        ("joints", [float("inf")] * 34, "row 3: joint has a score, and no finite place"),
        ("clip_id", "x", "rows 1 to 3 are of 'b_000001_000003', 'x'"),
    ],
)
def test_names_the_row_that_is_wrong(written: Path, column: str, value: object, words: str) -> None:
    path = rewritten(written, lambda table: replaced(table, column, 2, value))
    with PeopleFile(path) as people:
        with pytest.raises(ClipError, match=re.escape(words)):
            people["b_000001_000003"]
        assert len(people["a_000001_000003"].frame) == 4  # the others are as good as before
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        check_people_file(path)


def test_a_check_lists_all_that_is_wrong(written: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        return replaced(replaced(table, "score", 0, 7.0), "x1", 6, float("nan"))

    with pytest.raises(InvalidInputError) as caught:
        check_people_file(rewritten(written, change))
    assert [p.message for p in caught.value.problems] == [
        "row 1: score is not from 0 to 1",
        "row 7: box is not finite",
    ]


def test_opening_lists_all_that_is_wrong_with_the_head(written: Path) -> None:
    clips = (
        b"clip_id,frames,width,height,fps,detections\n"
        b"b,-3,320,240,25,3\n"
        b"b,4,320,240,0.5,3\n"
        b"\xe2\x80\xaec,4,320,99999,,3\n"
    )
    path = rewritten(written, lambda t: t.drop_columns("y2"), clips=clips)
    with pytest.raises(InvalidInputError) as caught:
        PeopleFile(path)
    said = [str(problem) for problem in caught.value.problems]
    for words in (
        "has no columns y2",
        "line 2: frames is -3",
        "line 3: fps is 0.5",
        "line 4: clip_id is '\\u202ec'",
        "line 4: height is 99999 pixels",
        "clip 'b' is listed more than once",
        "its clips list 9 detections, and it holds 7 rows",
    ):
        assert any(words in line for line in said), words


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"people": b"[]"}, "is no JSON object"),
        ({"people": b"[" * 100_000}, "is no JSON object"),
        ({"people": b'{"version": 2, "layout": "x", "joints": 17}'}, "is of version 2"),
        ({"people": b'{"version": 1, "layout": 5, "joints": 17, "dimensions": 2}'}, "layout is 5"),
        ({"people": b'{"version": 1, "layout": "x", "joints": 1e9}'}, "joints is 1000000000.0"),
        ({"clips": b""}, "list of clips or failures"),
        ({"clips": b"clip_id,frames\n"}, "list of clips or failures"),
        ({"clips": b"clip_id,frames,width,height,fps,detections\na,b,c,d,e,f\n"}, "list of clips"),
        ({"clips": b"\xff\xfe\n\n,,,,"}, "list of clips or failures"),
        ({"failures": b"x\n1\n"}, "list of clips or failures"),
    ],
)
def test_refuses_metadata_that_make_no_sense(
    written: Path, metadata: dict[str, bytes], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        PeopleFile(rewritten(written, **metadata))


def test_refuses_a_row_group_that_would_fill_memory(written: Path) -> None:
    head = b'{"version": 1, "layout": "x", "joints": 1000, "dimensions": 3, "features": 65536}'

    def grown(table: pa.Table) -> pa.Table:
        return pa.concat_tables([table] * 1000)

    with pytest.raises(InvalidInputError, match=r"has no columns features"):
        PeopleFile(rewritten(written, grown, people=head))
    with_features = rewritten(
        written,
        lambda t: grown(t).append_column(
            "features", pa.array([[1.0]] * 7000, pa.list_(pa.float32()))
        ),
        people=head,
    )
    with pytest.raises(InvalidInputError, match=r"row group 1 takes 1,\d+,\d+,\d+ bytes"):
        PeopleFile(with_features)


def test_refuses_lists_of_another_length_than_the_header_says(written: Path) -> None:
    def ragged(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index("joints")
        short = pa.array([[1.0, 2.0]] * 7, pa.list_(pa.float32()))
        return table.set_column(index, "joints", short)

    with (
        PeopleFile(rewritten(written, ragged)) as people,
        pytest.raises(ClipError, match="joints must hold 34 numbers in every row"),
    ):
        people["a_000001_000003"]


def test_damage_is_a_refusal_and_never_a_crash(written: Path) -> None:
    whole = written.read_bytes()
    refused = 0
    places = range(4, len(whole), 131)
    for at in places:
        data = bytearray(whole)
        data[at] ^= 0xFF
        written.write_bytes(data)
        try:
            check_people_file(written)
        except InvalidInputError:
            refused += 1
    assert refused > len(places) / 2


def test_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("clip_id,frame\n")
    with pytest.raises(InvalidInputError, match=r"is neither Parquet nor \.npz"):
        open_people(tmp_path / "a.parquet")
    with pytest.raises(MimecurateError, match="No such file"):
        open_people(tmp_path / "b.parquet")
    pq.write_table(pa.table({"clip_id": ["a"]}), tmp_path / "c.parquet")
    with pytest.raises(InvalidInputError, match=r"no mimecurate\.people and no mimecurate\.clip"):
        open_people(tmp_path / "c.parquet")


def test_writes_nothing_of_people_that_are_wrong(tmp_path: Path) -> None:
    good = made_people("a", [1, 1])
    bad = replace(good, clip_id="b", scores=np.array([0.5, np.nan], np.float32))
    with pytest.raises(InvalidInputError, match="b: row 2: score is not from 0 to 1"):
        write_people(tmp_path / "p.parquet", [good, bad])
    other = made_people("c", [1], layout="lcrnet13", joints=13)
    with pytest.raises(InvalidInputError, match="joints 13, not 17, layout lcrnet13, not coco17"):
        write_people(tmp_path / "p.parquet", [good, other])
    with pytest.raises(InvalidInputError, match="a: comes twice"):
        write_people(tmp_path / "p.parquet", [good, good])
    with pytest.raises(MimecurateError, match="no clip to write"):
        write_people(tmp_path / "p.parquet", [])
    assert list(tmp_path.iterdir()) == []


def test_goes_on_where_a_run_was_stopped(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    clips = [made_people(f"clip{i}", [1, 2], seed=i) for i in range(5)]
    with PeopleWriter(path, HEAD, batch_clips=2) as writer:
        for clip in clips[:3]:
            writer.add(clip)
        writer.fail("broken", "corrupt", "ends early, in frame 3")
    assert not path.exists()  # stopped before it was done
    with PeopleWriter(path, HEAD) as writer:
        assert writer.done == {"clip0", "clip1", "clip2"}
        for clip in clips[3:]:
            writer.add(clip)
        assert writer.finish() == 5
    assert [p.name for p in tmp_path.iterdir()] == ["people.parquet"]
    with PeopleFile(path) as people:
        assert people.failures == [("broken", "corrupt", "ends early, in frame 3")]
        for clip in clips:
            same(people[clip.clip_id], clip)
    with PeopleWriter(path, HEAD) as writer:  # and more later
        writer.add(made_people("broken", [1]))
        assert writer.finish() == 6
    with PeopleFile(path) as people:
        assert people.failures == []
        assert len(people) == 6


def test_a_kill_while_finishing_leaves_each_clip_once(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    with PeopleWriter(path, HEAD) as writer:
        writer.add(made_people("a", [1]))
    part = next((tmp_path / "people.parquet.parts").glob("*.parquet"))
    path.write_bytes(part.read_bytes())  # the file was put in place, its parts not yet removed
    with PeopleWriter(path, HEAD) as writer:
        assert writer.finish() == 1


def test_refuses_to_mix_settings_or_runs(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    with PeopleWriter(path, HEAD) as writer:
        writer.add(made_people("a", [1]))
        with pytest.raises(MimecurateError, match="another run is writing it"):
            PeopleWriter(path, HEAD)
        writer.finish()
    newer = replace(HEAD, made_by={**HEAD.made_by, "versions": {"torch": "3"}})
    with PeopleWriter(path, newer) as writer:
        assert writer.done == {"a"}
    with pytest.raises(MimecurateError, match=r"other settings \(seed 0, not 1\)"):
        PeopleWriter(path, replace(HEAD, made_by={"model": "keypoint_rcnn", "seed": 1}))


def arrays(**changes: Any) -> dict[str, Any]:
    clips = [made_people("a", [1, 2]), made_people("b", [0]), made_people("c", [1])]
    made: dict[str, Any] = {
        "layout": "coco17",
        "clip_id": ["a", "b", "c"],
        "frames": [2, 1, 1],
        "width": [320] * 3,
        "height": [240] * 3,
        "fps": [25.0, np.nan, 25.0],
        "detections": [3, 0, 1],
    }
    for name in ("frame", "boxes", "scores", "joints", "joint_scores"):
        made[name] = np.concatenate([getattr(clip, name) for clip in clips])
    return {k: v for k, v in (made | changes).items() if v is not None}


def test_reads_arrays_of_ones_own(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "p.npz", **arrays())
    people = open_people(tmp_path / "p.npz")
    assert list(people) == ["a", "b", "c"]
    same(people["a"], replace(made_people("a", [1, 2]), fps=25.0))
    assert people["b"].fps is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"joints": None, "layout": None}, "has no array layout"),
        ({"scores": np.array([1, 2, 3, 4])}, "scores holds int64"),
        ({"frames": [2, 1]}, "frames has shape (2,), clip_id (3,)"),
        ({"detections": [3, 0, 2]}, "detections adds up to 5, frame holds 4"),
        ({"boxes": np.zeros((3, 4))}, "boxes has (3,) rows, frame (4,)"),
        ({"scores": np.array([0.5, 2, 0.5, 2])}, "row 4: score is not from 0 to 1"),
        ({"clip_id": ["a", "a", "b"]}, "clip 'a' comes more than once"),
        ({"layout": np.array([None])}, "holds objects, not numbers or text"),
    ],
)
def test_refuses_arrays_that_do_not_fit(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    np.savez(tmp_path / "p.npz", allow_pickle=True, **arrays(**changes))
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        open_people(tmp_path / "p.npz")


def test_refuses_an_archive_that_would_fill_memory(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr(
            "frame.npy",
            b"\x93NUMPY\x01\x00"
            + b"v\x00"
            + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117)
            + b"\n",
        )
    with pytest.raises(InvalidInputError, match="declares another size"):
        open_people(tmp_path / "p.npz")


def test_a_large_file_is_opened_by_its_list_of_clips_alone(tmp_path: Path) -> None:
    import resource
    import time

    count = 200_000
    ids = [f"{i * 7919 % count:011d}_000001_000011" for i in range(count)]
    lines = "".join(f"{i},300,340,256,30,0\n" for i in ids)
    clips = b"clip_id,frames,width,height,fps,detections\n" + lines.encode()
    write_people(tmp_path / "one.parquet", [made_people("x", [0])])
    path = rewritten(tmp_path / "one.parquet", clips=clips)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with PeopleFile(path) as people:
        assert [people[i].frames for i in ids[:1000]] == [300] * 1000
        assert "0" not in people
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024  # KiB


def test_the_keys_of_the_format_stay(written: Path) -> None:
    metadata = pq.ParquetFile(written).metadata.metadata
    assert metadata[CLIPS].decode().splitlines()[0].replace('"', "") == (
        "clip_id,frames,width,height,fps,detections"
    )
    assert b'"layout": "coco17"' in metadata[HEADER]
    assert pq.read_table(written).column_names == [
        *("clip_id", "frame", "x1", "y1", "x2", "y2", "score", "joints", "joint_scores")
    ]
