"""What a Python host can publish: a file, a camera, a test pattern, frames encoded before."""
