"""The page that a clinician uses."""
