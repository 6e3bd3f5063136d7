"""Pure facts from objects: no input or output, no verdicts."""
