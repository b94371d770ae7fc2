"""What the three flags of a clip mean: the one place where their definitions are written.

They are those of the Mimetics paper, Sections 5.1 and 5.2, in words for annotators.
"""

from __future__ import annotations

from dataclasses import dataclass

ANSWERS = ("yes", "no", "unsure")


@dataclass(frozen=True, slots=True)
class FlagDefinition:
    """One flag, as annotators are asked about it."""

    name: str
    """The column, the control and the JSON key."""
    title: str
    yes: str
    """When the answer is yes."""
    no: str
    """When the answer is no."""


FLAGS = (
    FlagDefinition(
        "mime_artist",
        "Mime artist",
        "a mime performs for an audience, on a stage or in the street, often made up or in costume",
        "anybody else who imitates the action: in a game, in training, for fun",
    ),
    FlagDefinition(
        "object_relevant",
        "Relevant object",
        "an object that belongs to the action can be seen, even a toy or a part of it",
        "the object is imagined, or something else stands in for it",
    ),
    FlagDefinition(
        "scene_relevant",
        "Relevant scene",
        "it happens where the action usually does: a court for tennis, water for surfing",
        "the place says nothing of the action: a stage, a street, a living room",
    ),
)
"""In the order in which they are shown."""
