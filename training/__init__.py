"""Train the learned thinker; see README.md. Not part of the installed package."""
