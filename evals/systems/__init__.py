"""The memories that are compared: memkit, baselines, and third-party memories through adapters."""
