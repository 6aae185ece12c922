"""The execution lab: what the ladder costs in a market whose every rule is known, against what could be had there."""
