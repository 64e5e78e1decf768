"""Words, dates and clean text. Each language table is in one module. Imports only errors."""
