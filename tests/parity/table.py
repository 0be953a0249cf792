"""The report, as people read it."""

from collections.abc import Iterator

from tests.parity.run import Finding, Report

FEW = 12  # places that are listed of one request


def table(report: Report) -> Iterator[str]:
    """A line for each request and, under it, where it differs without reason; then the sums."""
    for finding in report.findings:
        kind, name = finding.request.kind, finding.request.name
        yield f"{kind:20} {name:34} {'stream' if finding.request.streamed else 'whole':7} {_verdict(finding)}"
        yield from (f"    {gap}" for gap in finding.undocumented[:FEW])
    yield ""
    yield from (f"documented, but not seen: {difference}" for difference in report.vanished)
    yield _sums(report)


def _verdict(finding: Finding) -> str:
    again = f" (sent {finding.tries} times)" if finding.tries > 1 else ""
    if finding.undocumented:
        return f"DIFFERS in {len(finding.undocumented)} places{again}"
    reasons = "; ".join(difference.reason for difference in finding.documented)
    return (f"differs: {reasons}" if reasons else "equal") + again


def _sums(report: Report) -> str:
    wrong = sum(bool(finding.undocumented) for finding in report.findings)
    documented = sum(bool(finding.documented) and not finding.undocumented for finding in report.findings)
    equal = len(report.findings) - wrong - documented
    return (
        f"{len(report.findings)} requests: {equal} equal, {documented} differ as documented, "
        f"{wrong} differ otherwise; {len(report.vanished)} documented differences not seen"
    )
