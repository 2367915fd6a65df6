"""One UDP port for every peer: demultiplexing, ICE-lite, DTLS-SRTP and SDP answers."""
