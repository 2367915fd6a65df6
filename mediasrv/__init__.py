"""A real-time media server: one host, many viewers, a beauty filter on the way."""

__version__ = "0.1.0"
