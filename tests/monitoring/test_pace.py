"""How often the parts of a page are read while somebody looks: figures within two seconds, drawings more seldom."""

from monitoring.panels import PANELS

# Of what has been going on for minutes: a line or strip of cells, which nobody reads by the second.
DRAWINGS = {
    "batch-burnup",
    "batch-chunks",
    "batch-compare",
    "batch-runs",
    "cause-trend",
    "latency",
    "queue-flow",
    "queue-sizes",
}


def test_figures_are_read_at_least_every_two_seconds() -> None:
    assert {name for name, panel in PANELS.items() if panel.every > 2} == DRAWINGS
