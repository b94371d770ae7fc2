"""The sound of a clip: the source's AAC packets, or what it decodes to, encoded as AAC."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import EOFError as StreamEndError
from av.error import FFmpegError

from mimecurate.curation.cut_decode import corrupt_if_broken
from mimecurate.curation.media_source import seek_to
from mimecurate.curation.open_container import demux
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt
    from av import AudioFrame, Packet
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

    from mimecurate.curation.media_source import MediaSource

    Samples = npt.NDArray[np.float32]

_LEAD_S = Fraction(1, 10)  # decoded and thrown away: codecs build on what came before
_JITTER_S = Fraction(1, 50)  # time stamps in whole milliseconds, and rounding
_BIT_RATE_PER_CHANNEL = 64_000
_ENCODER_OPTIONS = {"aac_coder": "fast"}
_FALLBACK_RATE = 48_000
_AAC_LC = 2
_AAC_RATES = frozenset(
    {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
)
_AAC_LAYOUTS = frozenset({"mono", "stereo", "3.0", "4.0", "5.0", "5.1"})


@dataclass(frozen=True, slots=True)
class Sound:
    """AAC packets, timed from the clip's first frame in samples."""

    packets: tuple[Packet[AudioStream], ...]
    rate: int
    layout: str
    copied_from: MediaSource | None
    """``None`` if they were encoded here."""

    def add_to(self, container: OutputContainer) -> tuple[Packet[AudioStream], ...]:
        """Add a stream for the packets, and return them as the stream's."""
        if self.copied_from is not None and self.copied_from.audio is not None:
            stream = container.add_stream_from_template(self.copied_from.audio)
            stream.codec_context.bit_rate = 0  # the source's, which libav only guesses
        else:
            stream = container.add_stream("aac", rate=self.rate)
            _set_up_encoder(stream.codec_context, self.rate, self.layout)
        for packet in self.packets:
            packet.stream = stream
        return self.packets


def cut_sound(
    source: MediaSource, start: Fraction, duration: Fraction, check_stopped: Callable[[], None]
) -> Sound | None:
    """Take the sound of an interval.

    AAC-LC is copied: the first packet begins before the clip, and the file's edit list tells how
    many of its samples to skip. Everything else, and AAC with gaps or without its header, is
    decoded, put in its place to the sample, and encoded; what is missing becomes silence.

    Args:
        source: has an audio stream; its position changes. In a file of its own, the sound's start
            is taken to coincide with the video's.
        start: seconds from the start of the source's video.
        duration: seconds.
        check_stopped: called at each packet; raises when the run is to end.

    Returns:
        The sound, or ``None`` where the source has none in the interval.

    Raises:
        ClipError: ``CORRUPT``: it can't be decoded.
    """
    begin = start + _zero(source)
    sound = None
    if _is_copyable(_audio_of(source)):
        sound = _copied(source, begin, start, duration, check_stopped)
    return sound or _encoded(source, begin, start, duration, check_stopped)


def _audio_of(source: MediaSource) -> AudioStream:
    assert source.audio is not None
    return source.audio


def _zero(source: MediaSource) -> Fraction:
    """Where the video's first frame lies on the sound's time line, in seconds."""
    if source.video_or_none is not None:
        return source.video_origin
    stream = _audio_of(source)
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return max(Fraction(0), stream.start_time * stream.time_base)  # below 0 lies the priming


def _is_copyable(stream: AudioStream) -> bool:
    context = stream.codec_context
    return context.codec.canonical_name == "aac" and _lc_frame_size(context.extradata) is not None


def _lc_frame_size(config: bytes | None) -> int | None:
    """Read the samples per packet from an AudioSpecificConfig; None if it is not plain AAC-LC.

    ISO/IEC 14496-3, 1.6.2.1: object type (5 bits), rate (4, or 4 and 24), channels (4), and in
    GASpecificConfig whether frames are short (1). libav itself knows these only once it decoded a
    packet, which it need not have done of a file that is read by ranges.

    >>> _lc_frame_size(bytes.fromhex("1190")), _lc_frame_size(bytes.fromhex("2b92")), _lc_frame_size(b"")
    (1024, None, None)
    """  # noqa: E501
    if not config or len(config) < 2:
        return None
    bits = f"{int.from_bytes(config[:8].ljust(8, bytes(1)), 'big'):064b}"
    has_own_rate = bits[5:9] == "1111"
    if int(bits[:5], 2) != _AAC_LC:
        return None
    return 960 if bits[13 + 24 * has_own_rate] == "1" else 1024


def _packets(
    source: MediaSource, start: Fraction, check_stopped: Callable[[], None]
) -> Iterator[Packet[AudioStream]]:
    with corrupt_if_broken("the sound"):
        seek_to(source, max(Fraction(0), start - _LEAD_S))
        for packet in demux(source.container, _audio_of(source)):
            check_stopped()
            if packet.size:
                yield packet


def _copied(
    source: MediaSource,
    begin: Fraction,
    start: Fraction,
    duration: Fraction,
    check_stopped: Callable[[], None],
) -> Sound | None:
    """Copy packets, one more in front for the decoder; ``None`` if they leave gaps."""
    context = _audio_of(source).codec_context
    rate, layout = context.sample_rate, context.layout.name
    frame_size = _lc_frame_size(context.extradata)
    assert frame_size is not None
    total = round(duration * rate)
    chosen: list[tuple[int, bytes]] = []
    for packet in _packets(source, start, check_stopped):
        if packet.pts is None or packet.is_corrupt:
            return None
        at = round((packet.pts * packet.time_base - begin) * rate)
        if at >= total:
            break
        if at <= 0:
            del chosen[:-1]
        chosen.append((at, bytes(packet)))
    if not chosen or chosen[-1][0] + frame_size <= 0:
        return None
    first = chosen[0][0]
    jitter = float(_JITTER_S * rate)
    expected = range(first, first + len(chosen) * frame_size, frame_size)
    reaches_back = any(at <= 0 for at, _ in chosen)
    if not reaches_back or any(
        abs(at - due) > jitter for (at, _), due in zip(chosen, expected, strict=True)
    ):
        return None
    packets = []
    for at, (_, data) in zip(expected, chosen, strict=True):
        copy = cast("Packet[AudioStream]", av.Packet(data))
        copy.pts = copy.dts = at
        copy.duration = max(1, min(frame_size, total - at))
        copy.time_base, copy.is_keyframe = Fraction(1, rate), True
        packets.append(copy)
    return Sound(tuple(packets), rate, layout, source)


def _encoded(
    source: MediaSource,
    begin: Fraction,
    start: Fraction,
    duration: Fraction,
    check_stopped: Callable[[], None],
) -> Sound | None:
    context = _audio_of(source).codec_context
    rate = context.sample_rate if context.sample_rate in _AAC_RATES else _FALLBACK_RATE
    layout = context.layout.name
    if layout not in _AAC_LAYOUTS:
        layout = "mono" if context.layout.nb_channels == 1 else "stereo"
    encoder = av.CodecContext.create("aac", "w")
    _set_up_encoder(encoder, rate, layout)
    frames = _decoded(source, begin, start, duration, check_stopped)
    blocks = _placed(frames, rate, layout, begin)
    packets: list[Packet[AudioStream]] = []
    done = 0
    for samples in _without_gaps(blocks, round(duration * rate), rate):
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, done, Fraction(1, rate)
        done += samples.shape[1]
        packets += encoder.encode(frame)
    if not done:
        return None
    packets += encoder.encode(None)
    return Sound(tuple(packets), rate, layout, None)


def _set_up_encoder(encoder: AudioCodecContext, rate: int, layout: str) -> None:
    encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
    encoder.bit_rate = _BIT_RATE_PER_CHANNEL * encoder.layout.nb_channels
    encoder.options = _ENCODER_OPTIONS


def _decoded(
    source: MediaSource,
    begin: Fraction,
    start: Fraction,
    duration: Fraction,
    check_stopped: Callable[[], None],
) -> Iterator[AudioFrame]:
    """Decode from a little before the interval to its end; errors before it don't count."""
    decoder: AudioCodecContext | None = None
    for packet in _packets(source, start, check_stopped):
        if decoder is None:
            decoder = packet.stream.codec_context
            if decoder.is_open:
                decoder.flush_buffers()
        is_before = False
        if packet.pts is not None:
            offset = packet.pts * packet.time_base - begin
            if offset >= duration:
                break
            is_before = offset < -_JITTER_S
        try:
            frames = decoder.decode(packet)
        except FFmpegError as error:
            if not is_before:
                raise _broken(packet) from error
            continue
        if not is_before and any(frame.is_corrupt for frame in frames):
            raise _broken(packet)
        yield from frames
    if decoder is not None:
        with contextlib.suppress(StreamEndError), corrupt_if_broken("the sound"):
            yield from decoder.decode(None)


def _broken(packet: Packet[AudioStream]) -> ClipError:
    at = "" if packet.pts is None else f" at {float(packet.pts * packet.time_base):.2f} s"
    return ClipError(Reason.CORRUPT, f"the source's sound{at} does not decode")


def _placed(
    frames: Iterable[AudioFrame], rate: int, layout: str, begin: Fraction
) -> Iterator[tuple[int | None, Samples]]:
    """Resample, and say at which sample of the clip each piece belongs, if that is known."""
    resampler: AudioResampler | None = None
    kind: tuple[str, str, int] | None = None
    for frame in frames:
        if kind != (kind := (frame.format.name, frame.layout.name, frame.sample_rate)):
            resampler = AudioResampler(format="fltp", layout=layout, rate=rate)
        assert resampler is not None
        for piece in resampler.resample(frame):
            at = None
            if piece.pts is not None and piece.time_base is not None:
                at = round((piece.pts * piece.time_base - begin) * rate)
            yield at, cast("Samples", piece.to_ndarray())


def _without_gaps(
    blocks: Iterable[tuple[int | None, Samples]], total: int, rate: int
) -> Iterator[Samples]:
    """Cut and join blocks to samples ``[0, total)``; gaps in front of a block become silence."""
    done = 0
    jitter = int(_JITTER_S * rate)
    for at, samples in blocks:
        begin = done if at is None or (done and abs(at - done) <= jitter) else at
        end = min(begin + samples.shape[1], total)
        if end <= done:
            continue
        for edge, following in pairwise([*range(done, max(begin, done), rate), max(begin, done)]):
            yield np.zeros((samples.shape[0], following - edge), np.float32)
        done = max(begin, done)
        yield np.ascontiguousarray(samples[:, done - begin : end - begin])
        done = end
