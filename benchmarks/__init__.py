"""What engineers run to measure the server."""
