"""agent-tracker: which setup of coding agents to use, learnt from the commits they made."""

__version__ = "0.1.0"
