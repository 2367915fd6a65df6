"""The HTTP side of a node: pages, API, websocket, health."""
