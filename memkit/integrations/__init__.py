"""memkit where people already work: one file per framework, each behind its extra."""
