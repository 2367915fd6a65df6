"""Which sections the page has, in which order, and what each of them is about."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.reporting import (
    arrivals,
    fanout,
    filtering,
    glass,
    network,
    plain,
    stages,
    upkeep,
)
from benchmarks.reporting.section import Draw


@dataclass(frozen=True, slots=True)
class Kind:
    """A benchmark as the page presents it.

    Attributes:
        title: Of its section.
        question: What it answers.
        reading: How to read what is drawn.
        draw: Makes the section of all files of this benchmark.
    """

    title: str
    question: str
    reading: str
    draw: Draw


KINDS: Mapping[str, Kind] = {
    "suite": Kind(
        "What was run",
        "Which benchmarks are in this report, and which could not be measured?",
        "Each ran in a process of its own, one after the other. What a check refused or what"
        " failed has no figures here.",
        plain.draw_suite,
    ),
    "glass": Kind(
        "Glass to glass",
        "How long does a picture take from the host's camera to a viewer's screen?",
        "From the moment the camera hands a picture over until the viewer's browser composites it."
        " “direct” goes from browser to browser without the server: what it takes is the"
        " browsers' own. “python” goes through the server without browsers.",
        glass.draw,
    ),
    "stages": Kind(
        "Where the time goes",
        "Which part of that is whose, step by step?",
        "Each bar begins where the one before ends. To trust it, the stages' sum is held against"
        " glass to glass, and delays that were planted on purpose have to turn up where they were"
        " planted.",
        stages.draw,
    ),
    "join": Kind(
        "Joining",
        "How long does a viewer wait for the first picture, and for what?",
        "Phases follow each other: the answer to the offer, ICE, DTLS, the first packet, the"
        " first frame on the screen.",
        arrivals.draw_join,
    ),
    "rush": Kind(
        "A rush of viewers",
        "How long do viewers wait who come all within two seconds?",
        "A wait begins when the viewer was to come and ends when its first keyframe is there"
        " whole. The host should be asked for few keyframes, however many come.",
        arrivals.draw_rush,
    ),
    "fanout": Kind(
        "Fan-out",
        "What does each viewer cost, and how many does a core carry?",
        "CPU time of the server's process by the packets that reached viewers. The knee is where"
        " more viewers make no sense: the core is full, packets are lost, frames come late, or"
        " the load that measures was itself the bottleneck.",
        fanout.draw,
    ),
    "narrow": Kind(
        "Viewers with little bandwidth",
        "Do the others wait for them?",
        "The crowd's delay beside guests with room and beside guests with 300 kb/s; the two kinds"
        " of runs take turns.",
        arrivals.draw_narrow,
    ),
    "stalled": Kind(
        "Viewers who stop reading",
        "What do they cost the server and the others?",
        "Their process is stopped while the others go on. Memory should stay flat.",
        arrivals.draw_stalled,
    ),
    "network": Kind(
        "Bad networks",
        "What does a viewer see behind loss, jitter and a narrow link?",
        "A seeded proxy between server and viewer; the host's own network stays perfect. A freeze"
        " is a gap of 200 ms or more between two frames on the screen.",
        network.draw,
    ),
    "filtered": Kind(
        "The filter in the stream",
        "What does the beauty filter add to a frame, and how many rooms fit a core?",
        "From the first packet of a frame in to the last packet of the filtered one out.",
        filtering.draw_filtered,
    ),
    "filters": Kind(
        "The filters themselves",
        "What do they cost, and do they do what they should and nothing else?",
        "CPU time of one thread for one picture, without decoding and encoding.",
        filtering.draw_filters,
    ),
    "interruptions": Kind(
        "Interruptions",
        "How long does the picture stand still when the filter is switched or dies?",
        "The longest time between two frames on a viewer's screen around each event.",
        upkeep.draw_interruptions,
    ),
    "watch": Kind(
        "Browsers watching",
        "How many frames a second do viewers' browsers show?",
        "Browsers, server and load share one machine: these are lower bounds.",
        plain.draw_watch,
    ),
    "viewers": Kind(
        "Python viewers",
        "What do many clients lose, and what do they cost?",
        "Clients with real ICE, DTLS and SRTP that decode nothing.",
        plain.draw_viewers,
    ),
    "soak": Kind(
        "Soak",
        "Does anything grow while rooms come and go?",
        "The upright axes begin at the lowest value, so that growth shows; look at their figures"
        " for how much it is. The slope is the median over all pairs of samples after the warm-up.",
        upkeep.draw_soak,
    ),
    "tracing": Kind(
        "Cost of tracing",
        "What do the hooks for all this cost when nobody uses them?",
        "The same relay with the hooks cut out of its source, with them, and traced, in turns.",
        upkeep.draw_tracing,
    ),
    "trial": Kind(
        "Trial of compare",
        "Can the comparison of two runs be trusted?",
        "It should be quiet about two runs of one commit, and find what was slowed down on"
        " purpose.",
        upkeep.draw_trial,
    ),
}


def kind_of(name: str) -> Kind:
    """Return how a benchmark is presented; an unknown one as plain tables."""
    return KINDS.get(name) or Kind(name, "", "", plain.draw_plain)
