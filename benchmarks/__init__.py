"""What is measured: one program a question, and what they share."""
