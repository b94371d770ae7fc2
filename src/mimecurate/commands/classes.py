"""`mimecurate classes`: shape the list of classes."""

from __future__ import annotations

from mimecurate.commands.lazy_group import LazyGroup

command = LazyGroup(
    "classes",
    package="mimecurate.commands",
    prefix="classes_",
    commands={
        "list": "List the classes, with their properties and other names.",
        "load": "Add the classes of a file, or replace what is known of them.",
        "combine": "Make one class of several; their names become aliases.",
        "split": "Make several classes of one.",
        "rename": "Call a class something else; the old name stays an alias.",
        "drop": "Collect a class no more.",
        "history": "List every change, and the releases made with each list.",
        "diff": "Say what differs between two lists.",
        "kinetics": "Show what each class is called in Kinetics-400, 600 and 700.",
        "superclasses": "Print the superclasses for `evaluate --superclasses`.",
    },
    where={
        "list": "show:list_",
        "load": "change:load",
        "combine": "change:combine",
        "split": "change:split",
        "rename": "change:rename",
        "drop": "change:drop",
        "history": "show:history",
        "diff": "show:diff",
        "kinetics": "show:kinetics",
        "superclasses": "show:superclasses",
    },
    short_help="Shape the list of classes.",
    help="""Shape the list of classes.

    Changes reach decisions on clips that no release lists yet; a release keeps the list it was made
    with. Every list there ever was is kept.

    \b
    Example:
      mimecurate classes list
      mimecurate classes rename "tying tie" "tying necktie" --dry-run
    """,
)
