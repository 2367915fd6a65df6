"""Several measurements of the same become one result: medians, and all of them kept beside it."""

from statistics import median
from typing import Any


def merge(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of results of one shape; each of them is in ``repeats``.

    Rows (dictionaries in lists) are matched by their position: a benchmark measures the same things
    in the same order. Lists of numbers are samples and are joined. A figure that only some of the
    results have is the median of those.
    """
    if len(results) == 1:
        return results[0]
    merged: dict[str, Any] = _merged(results)
    return {**merged, "repeats": [_without_samples(result) for result in results]}


def _merged(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, dict):
        values, refused = _figures_first(values)
        keys = dict.fromkeys(key for value in values if isinstance(value, dict) for key in value)
        merged = {
            key: _merged([v[key] for v in values if isinstance(v, dict) and key in v])
            for key in keys
        }
        return {**merged, "refused_repeats": refused} if refused else merged
    if isinstance(first, list) and first and isinstance(first[0], dict):
        return [_merged(list(rows)) for rows in zip(*values, strict=False)]
    if isinstance(first, list) and all(_is_number(item) for item in first):
        return [item for value in values for item in value]
    numbers = [value for value in values if _is_number(value)]
    if len(numbers) == len(values):
        middle = median(numbers)
        return int(middle) if isinstance(first, int) and middle == int(middle) else middle
    return first


def _figures_first(values: list[Any]) -> tuple[list[Any], int]:
    """Leave refused rows out where others have figures; returns how many were left out."""
    kept = [v for v in values if isinstance(v, dict) and "refused" not in v]
    return (kept, len(values) - len(kept)) if kept else (values, 0)


def _without_samples(value: Any) -> Any:
    """Leave out the long lists: the joined ones are in the merged result."""
    if isinstance(value, dict):
        return {
            key: _without_samples(item) for key, item in value.items() if not _is_samples(key, item)
        }
    if isinstance(value, list):
        return [_without_samples(item) for item in value]
    return value


def _is_samples(key: str, value: Any) -> bool:
    return key.startswith("samples") and isinstance(value, list)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
