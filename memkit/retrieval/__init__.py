"""From a question to hits: candidates, signals, fusion."""
