"""The parts of an analysis; each makes a section of the report."""
