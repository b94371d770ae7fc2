"""Reading packets as PyAV gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import av

from mimecurate.curation.open_container import demux
from mimecurate.curation.samples import VideoSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed import SampleMaker


class EndsByIndexError:
    """What PyAV does, by chance, at the end of a file in which a stream appeared late."""

    def __init__(self, container: Any) -> None:
        self.container = container

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in self.container.demux(stream):
            if packet.size:
                yield packet
        raise IndexError("list index out of range")


def test_a_stream_that_appears_late_does_not_cost_the_packets_of_ours(sample: SampleMaker) -> None:
    source = sample(VideoSpec(seconds=2, width=96, height=96), ".ts")
    with av.open(source.path) as container:
        late = cast("Any", EndsByIndexError(container))
        packets = list(demux(late, container.streams.video[0]))
    assert len(packets) == len(source.frames)
