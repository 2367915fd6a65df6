"""How far a worker has given up what it could do: the words for it, on both sides of the channel.

A level is what the operator asks for; a :class:`Confinement` is what the worker has tried and seen
inside itself. Nothing here acts: that is :mod:`mediasrv.processing.sandbox`.
"""

import os
import sys
from dataclasses import dataclass, fields
from enum import StrEnum

# In place of an error number: this guard was not asked for.
NOT_ASKED = 255


class SandboxLevel(StrEnum):
    """What a server demands of its workers, and what one of them has reached."""

    STRICT = "strict"
    BEST_EFFORT = "best-effort"
    OFF = "off"


class Guard(StrEnum):
    """One thing that keeps a worker in; the values are the fields of :class:`Confinement`."""

    DESCRIPTORS = "descriptors"
    NO_NEW_PRIVILEGES = "no_new_privileges"
    UNDUMPABLE = "undumpable"
    CAPABILITIES = "capabilities"
    LANDLOCK = "landlock"
    LIMITS = "limits"
    SYSTEM_CALLS = "system_calls"


GUARDS = tuple(Guard)


def usual_level() -> SandboxLevel:
    """Linux can do all of it; other systems have only their resource limits."""
    return SandboxLevel.STRICT if sys.platform == "linux" else SandboxLevel.BEST_EFFORT


@dataclass(frozen=True, slots=True)
class Confinement:
    """What holds in one worker: 0 for a guard that was applied and then seen to work.

    Anything else is the error number (errno) of the first thing that went wrong, or
    :data:`NOT_ASKED`.

    Attributes:
        landlock_abi: Version that the kernel offers; 0 when it has none.
        threads: Of the process when it was confined; some guards bind only the calling thread,
            so with others around they count as missing.
        descriptors: Nothing is open but standard input, output, error and the channel.
        no_new_privileges: No program that is executed could gain rights.
        undumpable: No core file, no debugger of the same user.
        capabilities: Root's powers are given up, all of them.
        landlock: No file, directory or TCP port, and no signal to other processes.
        limits: Nothing more can be opened, written or forked.
        system_calls: Only those that decoding, filtering and encoding need.
    """

    landlock_abi: int = 0
    threads: int = 0
    descriptors: int = NOT_ASKED
    no_new_privileges: int = NOT_ASKED
    undumpable: int = NOT_ASKED
    capabilities: int = NOT_ASKED
    landlock: int = NOT_ASKED
    limits: int = NOT_ASKED
    system_calls: int = NOT_ASKED

    @property
    def missing(self) -> dict[Guard, str]:
        """What does not hold, and why, in the system's words."""
        return {
            guard: "not asked for" if error == NOT_ASKED else os.strerror(error)
            for guard in GUARDS
            if (error := getattr(self, guard)) != 0
        }

    @property
    def reached(self) -> SandboxLevel:
        """The level that this amounts to: ``strict`` only when nothing is missing."""
        if not self.missing:
            return SandboxLevel.STRICT
        if len(self.missing) < len(GUARDS):
            return SandboxLevel.BEST_EFFORT
        return SandboxLevel.OFF

    def fulfils(self, demanded: SandboxLevel) -> bool:
        """Whether a worker like this may filter when ``demanded`` is configured."""
        return demanded is not SandboxLevel.STRICT or self.reached is SandboxLevel.STRICT

    def __str__(self) -> str:
        """One line for people."""
        kernel = f"Landlock version {self.landlock_abi}" if self.landlock_abi else "no Landlock"
        if not self.missing:
            return f"{self.reached}, {kernel}"
        without = "; ".join(
            f"{guard.replace('_', ' ')}: {why}" for guard, why in self.missing.items()
        )
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.reached}, {kernel}{threads}, without {without}"


UNCONFINED = Confinement()
CONFINEMENT_FIELDS = tuple(declared.name for declared in fields(Confinement))
