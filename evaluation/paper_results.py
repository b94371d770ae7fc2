"""Figures that the Mimetics paper prints: facts, kept to check our arithmetic against.

Weinzaepfel and Rogez, "Mimetics: Towards Understanding Human Actions Out of Context", IJCV 2021.
Object sizes are those of the published v1.0 annotation files.
"""

from __future__ import annotations

from dataclasses import dataclass

from mimecurate.schemas.release import ObjectSize


@dataclass(frozen=True, slots=True)
class PaperClass:
    """A row of Table 11."""

    name: str
    object_size: ObjectSize
    clips: int
    top1: tuple[float, ...]
    """Percent, per system of ``SYSTEMS``."""
    ap: tuple[float, ...]


SYSTEMS = ("RGB", "Flow", "STGCN", "STGCN2D", "STGCN3D", "SIP-Net")
"""The columns of Table 11; STGCN is the one on OpenPose."""

TABLE_6 = {
    "top-1": (8.6, 11.8, 12.6, 9.0, 5.8, 14.2),
    "mAP": (15.6, 21.1, 20.7, 15.4, 11.3, 22.7),
}
"""Means over the classes, also the last row of Table 11."""

TABLE_8 = {
    "all": (50, 713, {"RGB": 8.4, "Flow": 11.5, "SIP-Net": 14.3}),
    "object_none_or_small": (19, 268, {"RGB": 11.2, "Flow": 12.3, "SIP-Net": 9.0}),
    "object_medium_or_large": (31, 445, {"RGB": 6.7, "Flow": 11.0, "SIP-Net": 17.5}),
}
"""Classes, clips and global top-1 per group of classes; the first row is also Table 7's."""

NOT_REBUILT = (
    "Table 7, no object is relevant: the paper counts 644 clips; in the published v1.0 files "
    "671 clips have no relevant object.",
    "Table 7, no object is relevant and scene is not relevant: the paper counts 584 clips; in the "
    "published v1.0 files 610 have neither.",
)
"""What can't be rebuilt from public files."""

# class|object size|clips|top-1 (AP) of each system in turn, as printed
_TABLE_11 = """\
archery|large|19|0.0 3.4 0.0 2.6 5.3 11.3 0.0 9.5 0.0 10.7 36.8 42.0
bowling|medium|13|15.4 16.8 15.4 21.1 0.0 2.4 0.0 4.9 0.0 3.4 7.7 15.9
brushing hair|small|20|15.0 23.6 25.0 39.6 0.0 8.6 0.0 2.7 0.0 1.0 0.0 7.5
brushing teeth|small|15|40.0 45.4 53.3 62.8 13.3 24.4 0.0 1.7 0.0 1.9 6.7 25.3
canoeing or kayaking|large|14|0.0 1.5 0.0 5.3 0.0 2.6 0.0 2.8 0.0 8.2 0.0 3.9
catching or throwing baseball|small|14|21.4 27.0 0.0 22.9 0.0 9.2 0.0 5.9 0.0 2.6 0.0 17.6
catching or throwing frisbee|small|14|21.4 31.5 21.4 42.7 7.1 28.1 0.0 10.3 0.0 6.7 21.4 39.5
clean and jerk|large|13|15.4 25.3 38.5 47.7 46.2 52.3 23.1 43.0 30.8 47.5 46.2 50.1
cleaning windows|small|16|12.5 17.0 6.2 11.0 6.2 8.6 0.0 1.2 0.0 1.2 0.0 3.6
climbing a rope|medium|14|0.0 1.2 0.0 1.1 0.0 9.5 0.0 6.2 0.0 4.8 0.0 5.1
climbing ladder|large|13|0.0 1.8 0.0 5.4 7.7 11.4 0.0 1.2 0.0 1.8 0.0 2.1
deadlifting|large|11|36.4 52.8 45.5 64.9 36.4 55.2 54.5 69.2 45.5 67.1 63.6 75.5
dribbling basketball|medium|18|5.6 11.6 22.2 31.5 50.0 60.6 44.4 49.4 61.1 67.9 27.8 46.9
drinking|small|27|3.7 10.4 0.0 13.6 0.0 13.9 0.0 0.9 0.0 0.9 7.4 10.3
driving car|large|16|0.0 2.9 0.0 3.7 6.2 8.8 0.0 2.1 0.0 0.7 6.2 9.4
dunking basketball|medium|10|40.0 55.3 60.0 64.3 20.0 28.9 30.0 41.8 0.0 6.3 40.0 47.9
eating cake|small|19|0.0 2.0 0.0 2.9 0.0 1.3 0.0 0.6 0.0 1.4 0.0 0.9
eating ice cream|medium|11|0.0 4.7 0.0 11.3 0.0 4.4 0.0 2.4 0.0 1.8 18.2 21.5
flying kite|medium|10|10.0 14.4 0.0 3.7 0.0 3.2 0.0 1.6 0.0 1.2 0.0 6.6
golf driving|medium|16|12.5 19.7 31.2 44.0 62.5 69.5 50.0 57.8 37.5 47.5 62.5 70.5
hitting baseball|medium|15|6.7 18.5 13.3 23.4 0.0 17.7 20.0 34.9 6.7 16.0 20.0 34.1
hurdling|none|10|0.0 13.5 20.0 29.7 20.0 29.2 0.0 9.8 0.0 11.0 10.0 23.3
juggling balls|small|12|33.3 40.9 25.0 39.7 33.3 53.0 58.3 60.3 25.0 35.5 16.7 32.6
juggling soccer ball|medium|18|11.1 23.9 5.6 25.5 50.0 61.6 0.0 12.1 27.8 41.8 44.4 57.5
opening bottle|small|9|0.0 1.7 0.0 4.7 11.1 13.8 0.0 1.0 0.0 0.8 0.0 6.9
playing accordion|medium|11|0.0 4.7 9.1 18.5 9.1 11.2 0.0 6.7 0.0 5.0 27.3 36.1
playing basketball|medium|14|7.1 21.6 14.3 35.5 0.0 27.9 7.1 23.6 0.0 7.3 0.0 10.5
playing bass guitar|large|13|0.0 5.2 7.7 12.4 7.7 20.3 0.0 6.0 0.0 3.2 15.4 27.7
playing guitar|large|18|5.6 9.2 5.6 12.8 5.6 14.4 0.0 3.1 0.0 1.1 5.6 14.9
playing piano|large|17|0.0 9.6 11.8 18.7 17.6 19.6 0.0 6.8 5.9 11.2 11.8 13.5
playing saxophone|large|13|0.0 2.7 0.0 6.3 7.7 9.1 0.0 3.7 0.0 4.0 0.0 14.2
playing tennis|medium|19|5.3 7.9 10.5 15.1 21.1 35.0 31.6 45.5 5.3 20.4 21.1 34.5
playing trumpet|large|14|0.0 8.0 21.4 25.1 7.1 14.0 0.0 14.2 0.0 12.7 35.7 47.2
playing violin|large|20|10.0 15.3 10.0 26.0 5.0 15.2 25.0 37.5 25.0 34.7 25.0 36.5
playing volleyball|medium|13|30.8 44.4 7.7 28.3 38.5 52.9 0.0 5.3 0.0 4.5 7.7 18.4
punching person (boxing)|small|16|12.5 22.8 18.8 30.3 25.0 31.3 6.2 19.8 0.0 8.8 12.5 20.3
reading book|small|10|0.0 1.8 0.0 6.0 0.0 3.5 0.0 2.1 0.0 2.3 10.0 17.9
reading newspaper|large|10|0.0 2.3 0.0 1.1 0.0 1.2 0.0 0.7 0.0 0.5 0.0 3.1
shooting basketball|medium|19|5.3 15.4 5.3 20.2 5.3 11.3 5.3 19.2 0.0 3.4 5.3 13.4
shooting goal (soccer)|small|14|7.1 23.9 0.0 21.2 7.1 22.6 7.1 24.3 0.0 10.0 14.3 29.8
skiing (not slalom or crosscountry)|none|10|0.0 4.1 20.0 23.0 0.0 1.5 0.0 1.1 0.0 1.4 0.0 2.0
skiing slalom|none|10|0.0 5.5 0.0 1.5 0.0 0.6 10.0 13.3 20.0 20.8 10.0 15.8
skipping rope|small|12|41.7 53.6 41.7 58.5 75.0 83.3 75.0 81.3 0.0 8.8 50.0 61.6
smoking|small|19|0.0 8.5 5.3 14.8 0.0 7.2 0.0 2.0 0.0 1.5 5.3 13.8
surfing water|large|10|0.0 6.9 0.0 2.9 0.0 6.6 0.0 4.2 0.0 3.6 0.0 2.6
sweeping floor|medium|11|0.0 1.9 0.0 1.7 0.0 1.4 0.0 1.0 0.0 3.0 0.0 0.9
sword fighting|medium|17|0.0 15.2 17.6 36.1 11.8 25.2 0.0 7.2 0.0 5.4 0.0 10.2
tying tie|small|8|0.0 7.3 0.0 7.4 12.5 21.5 0.0 6.2 0.0 0.8 0.0 13.4
walking the dog|large|15|6.7 11.7 0.0 4.9 0.0 2.8 0.0 1.6 0.0 2.0 0.0 3.7
writing|small|13|0.0 1.8 0.0 3.0 0.0 2.9 0.0 2.6 0.0 0.9 15.4 18.5
"""


def _paper_class(line: str) -> PaperClass:
    name, size, clips, figures = line.split("|")
    values = tuple(map(float, figures.split()))
    return PaperClass(name, ObjectSize(size), int(clips), values[0::2], values[1::2])


TABLE_11 = tuple(map(_paper_class, _TABLE_11.splitlines()))
