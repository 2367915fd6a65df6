"""``mediasrv doctor``: ask every question and print the answers."""

import json
from collections import Counter
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from mediasrv.commands.checks import Finding, Level, all_checks

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def run_doctor(udp_port: int, *, as_json: bool) -> None:
    """Print what this machine can and cannot do; exits with 1 when something fails."""
    findings = [check() for check in all_checks(udp_port)]
    failed = any(finding.level is Level.FAIL for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "findings": [asdict(f) for f in findings]}))
    else:
        _print(findings)
    if failed:
        raise click.exceptions.Exit(1)


def _print(findings: list[Finding]) -> None:
    table = Table(show_header=False, box=None)
    for finding in findings:
        colour = _COLOURS[finding.level]
        table.add_row(f"[{colour}]{finding.level}[/]", finding.check, finding.text)
        if finding.advice:
            table.add_row("", "", f"-> {finding.advice}", style="bold")
    console = Console()
    console.print(table)
    counts = Counter(finding.level for finding in findings)
    console.print(
        f"{counts[Level.OK]} ok, {counts[Level.WARN]} warnings, {counts[Level.FAIL]} failed"
    )
