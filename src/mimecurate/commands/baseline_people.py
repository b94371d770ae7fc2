"""`mimecurate baseline people`: find people, import poses, look at them."""

from __future__ import annotations

from mimecurate.commands.lazy_group import LazyGroup

command = LazyGroup(
    "people",
    package="mimecurate.commands",
    prefix="baseline_people_",
    commands={
        "detect": "Find people and their joints in clips with Keypoint R-CNN.",
        "import": "Make a people file of another program's poses.",
        "show": "Show the tubes of a clip, or what a people file holds.",
    },
    short_help="Find people and their joints in clips, or import poses.",
    help="""Find people and their joints in clips, or import poses, for models that read them.

    \b
    Example:
      mimecurate baseline people detect --release mimetics@1.0.0 --out people.parquet
      mimecurate baseline people import poses/ --format openpose --size 340x256 --out p.parquet
      mimecurate baseline people show people.parquet 0zFbEjoGlhc_000006_000010 --png tubes.png
    """,
)
