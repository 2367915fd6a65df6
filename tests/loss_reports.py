"""Receiver reports of a viewer that loses a given share of what it is sent."""

from mediasrv.relay import rtcp

PACKETS = 1000  # from report to report


class LossReports:
    """One viewer's report blocks; their counters are cumulative, as a browser's are.

    The first one tells of everything that arrived, so that there is something to compare with.
    """

    def __init__(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._highest = 0
        self._lost = 0

    def block(self, share: float, last_report: int = 0) -> rtcp.ReportBlock:
        """Tell that of the next packets ``share`` (0..1) was lost."""
        self._highest += PACKETS
        self._lost += round(PACKETS * share)
        return rtcp.ReportBlock(
            self._ssrc, int(256 * share), self._lost, self._highest, 0, last_report, 0
        )
