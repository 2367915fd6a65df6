"""What a server can be told; every field has a default that works on a laptop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mediasrv.processing.confinement import SandboxLevel, usual_level

# What a host gets when it switches the filter on without having chosen: visible, but restrained.
STARTING_PARAMETERS: Mapping[str, int] = MappingProxyType({"smooth": 45, "brighten": 20})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of one node.

    Attributes:
        host: Address of the pages, the API and the websocket.
        port: TCP port of the same; 0 lets the system choose.
        udp_port: UDP port of all media; 0 lets the system choose.
        public_ips: Announced to browsers instead of the local addresses (behind a 1:1 NAT).
        public_udp_port: Announced instead of ``udp_port``: the port under which the outside reaches
            it, behind NAT or a container's port mapping.
        allowed_origins: Other sites whose pages may open the websocket.
        starting_parameters: Filter strengths of a new room.
        filter_workers_max: Beauty workers at once; None: twice the CPUs.
        filter_spares: Workers kept warm.
        filter_extra_stages: ``"module:factory"`` of stages to run before the built-in ones.
        filter_sandbox: What a beauty worker must have given up before it may filter.
        filter_python_path: Directories where the workers look for those modules.
        trace: Where a Unix socket gives benchmarks the times of single frames; None: nowhere.
        spans: File for OpenTelemetry spans of the control plane; None: none.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    udp_port: int = 8080
    public_ips: tuple[str, ...] = ()
    public_udp_port: int | None = None
    allowed_origins: tuple[str, ...] = ()
    starting_parameters: Mapping[str, int] = field(default_factory=lambda: STARTING_PARAMETERS)
    filter_workers_max: int | None = None
    filter_spares: int = 1
    filter_sandbox: SandboxLevel = field(default_factory=usual_level)
    filter_extra_stages: tuple[str, ...] = ()
    filter_python_path: tuple[str, ...] = ()
    trace: str | None = None
    spans: str | None = None
