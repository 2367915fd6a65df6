"""A load that costs next to nothing: peers with real ICE, DTLS and SRTP on bare UDP sockets."""
