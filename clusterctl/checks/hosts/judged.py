"""How a judgement of one host becomes a finding."""

from __future__ import annotations

from clusterctl.model.finding import Finding, Severity


def ok(check: str, host: str, expected: str, seen: str) -> Finding:
    """Return that it holds."""
    return Finding(check, host, Severity.OK, expected, seen)


def warning(check: str, host: str, expected: str, seen: str, hint: str = "") -> Finding:
    """Return that it holds, but not well."""
    return Finding(check, host, Severity.WARNING, expected, seen, hint)


def failed(check: str, host: str, expected: str, seen: str, hint: str = "") -> Finding:
    """Return that it does not hold."""
    return Finding(check, host, Severity.FAILED, expected, seen, hint)


def unknown(check: str, host: str, expected: str, seen: str, hint: str = "") -> Finding:
    """Return that what was seen does not tell."""
    return Finding(check, host, Severity.UNKNOWN, expected, seen, hint)
