"""RTP fan-out of one host to many viewers: pure, fed with packets and the time."""
