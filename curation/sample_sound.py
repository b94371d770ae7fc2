"""A sound that tells the time: any 0.2 s of it says where in the video it belongs.

Two tones sound together. A sweep rises from 1500 Hz by 500 Hz a second and starts again every
8 s: its frequency gives the time within the period, to about a millisecond. A steady tone of
200 Hz + 10 Hz x period gives the period.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

_PERIOD_S = 8
_SWEEP_START_HZ, _SWEEP_HZ_PER_S = 1500, 500
_PILOT_START_HZ, _PILOT_STEP_HZ = 200, 10
_LEAST_PART = 0.08  # of the power; half a sweep across a restart still has 0.18
MAX_SECONDS = 960
"""The time that the sound can tell: the steady tone stays below the sweep."""
MIN_SAMPLE_RATE = 16_000
"""The sweep ends at 5500 Hz, and encoders cut off well below half the sample rate."""


def clock_sound(start_s: float, count: int, sample_rate: int) -> Samples:
    """Make ``count`` samples of the sound, the first at ``start_s``; silent before 0.

    Raises:
        ValueError: the sound would reach beyond ``MAX_SECONDS``.
    """
    times = start_s + np.arange(count) / sample_rate
    if count and times[-1] >= MAX_SECONDS:
        raise ValueError(f"sound at {times[-1]:.0f} s; it tells the time up to {MAX_SECONDS} s")
    period, within = np.divmod(times, _PERIOD_S)
    sweep = _SWEEP_START_HZ * within + _SWEEP_HZ_PER_S / 2 * within**2
    pilot = (_PILOT_START_HZ + _PILOT_STEP_HZ * period) * within
    sound = 0.4 * np.sin(2 * np.pi * sweep) + 0.25 * np.sin(2 * np.pi * pilot)
    return np.where(times < 0, 0, sound).astype(np.float32)


def audio_time(samples: npt.NDArray[Any], sample_rate: int) -> float:
    """Tell when a piece of the sound was made.

    The sweep is multiplied by its own mirror image, which leaves a steady tone whose frequency is
    the sweep's at the first sample; the largest peak of its spectrum is refined by a parabola.
    Measured on AAC and Opus at their default rates, the error is under 2 ms.

    Args:
        samples: ``(n,)`` one channel, in [-1, 1], at least 0.1 s; 0.2 to 1 s is best.
        sample_rate: of ``samples``, in Hz.

    Returns:
        Seconds from the first frame of the video to the first of ``samples``.

    Raises:
        ValueError: too short, silent, or another sound.
    """
    if len(samples) < sample_rate // 10:
        raise ValueError(f"{len(samples)} samples are too few; give 0.1 s or more")
    signal = samples.astype(np.float64)
    if np.sqrt(np.mean(signal**2)) < 0.02:
        raise ValueError("no clock sound: silence")
    times = np.arange(len(signal)) / sample_rate
    mirror = np.exp(-1j * np.pi * _SWEEP_HZ_PER_S * times**2)
    sweep_span = _SWEEP_HZ_PER_S * _PERIOD_S
    low = _SWEEP_START_HZ - _SWEEP_HZ_PER_S * times[-1] / 2
    start_hz = _peak_hz(signal * mirror, sample_rate, low, _SWEEP_START_HZ + sweep_span)
    within = (start_hz - _SWEEP_START_HZ) / _SWEEP_HZ_PER_S
    restart = int(((_PERIOD_S if within >= 0 else 0) - within) * sample_rate)
    same_period = signal[:restart] if within >= 0 else signal[restart:]
    pilot_hz = _peak_hz(same_period, sample_rate, _PILOT_START_HZ - 5, _SWEEP_START_HZ - 100)
    period = round((pilot_hz - _PILOT_START_HZ) / _PILOT_STEP_HZ)
    if abs(pilot_hz - _PILOT_START_HZ - _PILOT_STEP_HZ * period) > 0.4 * _PILOT_STEP_HZ:
        raise ValueError(f"no clock sound: a tone of {pilot_hz:.1f} Hz is none of its own")
    return period * _PERIOD_S + within


def _peak_hz(signal: npt.NDArray[Any], sample_rate: int, low_hz: float, high_hz: float) -> float:
    """Find the strongest tone in a band; it must hold a good part of the signal's power."""
    size = 1 << (max(len(signal), sample_rate // 2) * 4 - 1).bit_length()
    window = np.hanning(len(signal))
    spectrum = np.abs(np.fft.fft(signal * window, size))
    first, last = (int(hz / sample_rate * size) for hz in (low_hz, high_hz))
    band = spectrum[first : last + 2]
    top = int(band[1:-1].argmax()) + 1
    before, peak, after = band[top - 1 : top + 2]
    if 2 * (peak / window.sum()) ** 2 < _LEAST_PART * np.mean(np.abs(signal) ** 2):
        raise ValueError(f"no clock sound: no tone between {low_hz:.0f} and {high_hz:.0f} Hz")
    shift = (before - after) / (2 * (before - 2 * peak + after))
    return float((first + top + shift) * sample_rate / size)
