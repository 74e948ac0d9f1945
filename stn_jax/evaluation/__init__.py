"""From a finished run to predictions, metrics, figures and a report."""
