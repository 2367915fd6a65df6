"""What measurements stand on: a server of their own, browsers, bad networks, the machine."""
