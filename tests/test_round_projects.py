"""Where a round's project is, on a Label Studio whose numbers begin anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labelling import Annotator, add_clips, push_round
from round_workspace import make_workspace

from mimecurate.annotation.pull import pull
from mimecurate.annotation.push import PushOptions, plan_push, push
from mimecurate.annotation.rounds import find_projects
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import open_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from label_studio import LabelStudio
    from testbed import SampleMaker


def test_a_new_project_may_have_the_number_of_one_that_is_gone(
    label_studio: LabelStudio, sample: SampleMaker
) -> None:
    """So it is once a server lost its database, or was set up anew."""
    root = label_studio.media_root / "numbers"
    media = sample(VideoSpec(seconds=1, fps=25)).path
    with make_workspace(root, media, 3) as space, label_studio.connect() as lead:
        shown = label_studio.document_root / "clips" / "numbers" / "clips"
        options = PushOptions(clips_dir=shown)

        def go() -> tuple[int, int]:
            pushed = push(space, lead, plan_push(space.db, options))
            return pushed.created, pushed.existing

        assert go() == (3, 0)
        [old] = find_projects(space.db, "1")
        lead.delete(f"/api/projects/{old.project_id}")
        with space.db.atomic():
            space.db.execute("UPDATE projects SET project_id = project_id + 1, pulled_until = 'x'")
        assert go() == (3, 0)
        [new] = find_projects(space.db, "1")
        assert new.project_id == old.project_id + 1
        assert space.db.execute("SELECT pulled_until FROM projects").fetchall() == [(None,)]
        assert go() == (0, 3)


def test_an_answer_with_the_number_of_another_that_is_gone_takes_no_vote_away(
    label_studio: LabelStudio, tmp_path: Path
) -> None:
    [user] = label_studio.annotators(1)
    with (
        open_workspace(tmp_path) as space,
        label_studio.connect() as lead,
        Annotator(label_studio, user) as ann,
    ):
        done = push_round(space, lead, add_clips(space, 1), overlap=2)
        [(clip_id, task_id)] = done.tasks.items()
        number = ann.say(task_id)
        mark = space.db.execute("SELECT mark FROM rounds").fetchone()[0]
        made = "2026-01-01T00:00:00.000000Z"
        space.db.table("annotations").insert(
            {
                "clip_id": clip_id,
                "annotator": "bob",
                "round": "1",
                "at": "2026-01-01T00:00:00Z",
                "verdict": "no",
                "origin": f"label-studio/{mark}/{done.project_id}/{number}@{made}",
                "details": json.dumps(
                    {
                        "project_key": done.project_key,
                        "server_annotation_id": number,
                        "created_at": made,
                    }
                ),
            }
        )
        pulled = pull(space, lead)
        assert (pulled.new, pulled.superseded) == (1, 0)
        said = space.db.execute("SELECT annotator, verdict FROM current_annotations ORDER BY at")
        assert said.fetchall() == [("bob", "no"), (user.username, "yes")]
