"""The parts of the page that ``python -m benchmarks report`` writes."""
