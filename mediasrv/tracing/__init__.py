"""Where the time of single frames goes, for benchmarks: off unless asked for, per room."""
