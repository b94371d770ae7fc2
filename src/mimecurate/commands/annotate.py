"""`mimecurate annotate`: label clips with Label Studio."""

from __future__ import annotations

from mimecurate.commands.lazy_group import LazyGroup

command = LazyGroup(
    "annotate",
    package="mimecurate.commands",
    prefix="annotate_",
    commands={
        "serve": "Run a local Label Studio for the workspace, until Ctrl-C.",
        "push": "Send clips to Label Studio to be labelled.",
        "pull": "Bring what annotators said into the workspace.",
        "status": "Show how far the annotation is, by class and by annotator.",
        "agreement": "Measure how much annotators agree, field by field.",
        "adjudicate": "Settle what annotators disagree on.",
    },
    short_help="Label clips with Label Studio, and settle disagreements.",
    help="""Label clips with Label Studio, and settle disagreements.

    \b
    Example:
      mimecurate annotate serve               a local server for the team
      mimecurate annotate push --overlap 2    two answers for every clip
      mimecurate annotate pull --watch        keep what they say
    """,
)
