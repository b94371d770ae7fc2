"""TV-L1 by OpenCV on the CPU: the reference for `mimecurate.baselines.tvl1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.errors import MimecurateError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mimecurate.baselines.tvl1 import TvL1


def opencv_flow(
    first: NDArray[np.uint8], second: NDArray[np.uint8], settings: TvL1 | None = None
) -> NDArray[np.float32]:
    """Compute flow by OpenCV's ``DualTVL1OpticalFlow``, pair by pair.

    Args:
        first: ``(N, H, W)``, grey frames.
        second: the same, the frames that follow.
        settings: by default OpenCV's.

    Returns:
        ``(N, 2, H, W)``, in pixels: x to the right, y down.

    Raises:
        MissingExtraError: OpenCV is not installed.
        MimecurateError: an OpenCV without ``optflow`` is.
    """
    compute = make_opencv(settings)
    # OpenCV keeps a smaller pyramid from a smaller frame; all frames of a call have one size
    pairs = [
        compute.calc(a, b, None).transpose(2, 0, 1) for a, b in zip(first, second, strict=True)
    ]
    return np.stack(pairs) if pairs else np.zeros((0, 2, *first.shape[1:]), np.float32)


def make_opencv(settings: TvL1 | None = None) -> Any:
    """Make OpenCV's object, as `opencv_flow` uses it; raises what that raises."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-contrib-python-headless", "baselines") from error
    if not hasattr(cv2, "optflow"):
        raise MimecurateError(
            f"OpenCV {cv2.__version__} is installed without `optflow`: another OpenCV package was "
            "written over the one that has it; put it back with: pip install --force-reinstall "
            f"--no-deps opencv-contrib-python-headless=={_release(cv2.__version__)}.*"
        )
    optflow: Any = cv2.optflow  # its stub lacks the function
    make = optflow.DualTVL1OpticalFlow_create
    if settings is None:
        return make()
    return make(
        tau=settings.tau,
        lambda_=settings.lambda_,
        theta=settings.theta,
        nscales=settings.scales,
        warps=settings.warps,
        epsilon=settings.epsilon,
        innnerIterations=settings.inner_iterations,
        outerIterations=settings.outer_iterations,
        scaleStep=settings.scale_step,
        gamma=0.0,
        medianFiltering=settings.median,
    )


def _release(version: str) -> str:
    return ".".join(version.split(".")[:3])
