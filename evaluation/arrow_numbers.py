"""Arrow's numbers as NumPy's, without pandas: `pyarrow.Array.to_numpy` would import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def arrow_numbers(array: Any) -> NDArray[Any]:
    """Return an Arrow array of integers or floats, NaN for null; no copy where none is needed.

    >>> import pyarrow as pa
    >>> arrow_numbers(pa.array([1, None, 3])).tolist()
    [1.0, nan, 3.0]
    """
    import pyarrow as pa
    import pyarrow.types as types

    if array.null_count:
        if not types.is_floating(array.type):
            array = array.cast(pa.float64(), safe=False)
        array = array.fill_null(float("nan"))
    numbers: NDArray[Any] = np.from_dlpack(array)
    return numbers
